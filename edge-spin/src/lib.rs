//! Tidegate on Spin: the requests that the runtime delivers, handed to the core.
//!
//! One instance serves many requests, interleaved, and what it keeps between them is data and handles of the host,
//! never a future or a stream that belongs to one request: `instance.rs` has all of it. A trap would take every
//! request of the instance along, so nothing here panics on what comes from outside. There is no cron trigger:
//! requests look for a newer configuration themselves.

mod body;
mod cells;
mod clock;
#[cfg(feature = "conformance")]
mod conformance;
mod http;
mod instance;
mod log;
mod platform;
mod redis;
mod reply;
mod secrets;
mod state;
mod store;
mod tasks;
mod timers;
mod upstream;

use std::pin::pin;

use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use tidegate_core::{Body, Gateway};

use crate::body::IncomingBody;
use crate::instance::Instance;
use crate::platform::SpinPlatform;

struct Component;

spin_sdk::wasip3::http::service::export!(Component);

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        // Pinned here: it is large, and each hand that it went through would copy it.
        let handler = pin!(async {
            let instance = Instance::of_this_thread();
            let request = http::request_in(request);
            let response = match Instance::gateway(&instance).await {
                Some(gateway) => serve(gateway, SpinPlatform::new(&instance), request).await,
                None => Gateway::misconfigured(),
            };
            http::response_out(response)
        });
        tasks::handle(handler).await
    }
}

async fn serve(
    gateway: &std::sync::Arc<Gateway>,
    platform: SpinPlatform,
    request: ::http::Request<IncomingBody>,
) -> ::http::Response<Body> {
    #[cfg(feature = "conformance")]
    if request.uri().path() == "/conformance" {
        return conformance::serve(platform, request).await;
    }
    let location = platform.instance().location().await;
    gateway.serve(platform, location, request).await
}
