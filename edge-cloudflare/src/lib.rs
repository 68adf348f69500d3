//! Tidegate on Cloudflare Workers: the events that the runtime delivers, handed to the core.
//!
//! Durable Objects are in `cells.rs`, the core's way out in `platform.rs`. What an isolate keeps between requests is
//! the [`Gateway`], which is data only: nothing that belongs to one request's I/O may be touched by another.

mod cells;
mod client;
#[cfg(feature = "conformance")]
mod conformance;
mod glue;
mod head;
mod http;
mod incoming;
mod outbox;
mod platform;
mod random;
mod relay;
mod store;
mod tables;
mod timers;
mod upstream;

use std::sync::{Arc, OnceLock};

use futures::future::{Either, select};
use tidegate_core::geo::Location;
use tidegate_core::hop::{Role, UnknownRole};
use tidegate_core::observe::{Level, Sink};
use tidegate_core::{Body, Gateway};
use worker::web_sys::{Request, Response};
use worker::{Context, Env, ScheduleContext, ScheduledEvent, console_error, console_warn, event};

use crate::client::Client;
use crate::platform::CloudflarePlatform;

/// Answers one request.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let client = Client::new(&request);
    let Some(gateway) = gateway(&env) else {
        return Ok(http::response_out(Gateway::misconfigured(), client)?);
    };
    let (platform, end) = CloudflarePlatform::new(env);
    context.wait_until(end);
    let (request, location) = http::request_in(&request)?;
    let (response, client) = match select(Box::pin(serve(gateway, platform, location, request)), client).await {
        Either::Left((response, client)) => (response, client),
        // Nobody will read this. What the request was doing is dropped here, and settles.
        Either::Right(_) => return Ok(http::abandoned()?),
    };
    Ok(http::response_out(response, client)?)
}

/// What Cloudflare has done each minute.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, context: ScheduleContext) {
    if let Some(gateway) = gateway(&env) {
        let (platform, end) = CloudflarePlatform::new(env);
        context.wait_until(end);
        gateway.maintain(platform).await;
    }
}

/// Runs once in each isolate, before anything else.
#[event(start)]
fn start() {
    cells::make_callable();
}

async fn serve(
    gateway: &Arc<Gateway>,
    platform: CloudflarePlatform,
    location: Location,
    request: ::http::Request<http::RequestBody>,
) -> ::http::Response<Body> {
    #[cfg(feature = "conformance")]
    if request.uri().path() == "/conformance" {
        return conformance::serve(platform, request).await;
    }
    gateway.serve(platform, location, request).await
}

/// The isolate's gateway; `None` where the bundled configuration is damaged, or the variable `ROLE` names no role, which is
/// told once.
fn gateway(env: &Env) -> Option<&'static Arc<Gateway>> {
    static GATEWAY: OnceLock<Option<Arc<Gateway>>> = OnceLock::new();
    let make = || match Gateway::bundled(BUNDLED_CONFIG, BUNDLED_TEXT, tables::tables()) {
        Ok(gateway) => {
            match role(env) {
                Ok(role) => gateway.set_role(role),
                Err(error) => {
                    console_error!("the variable ROLE: {error}");
                    return None;
                }
            }
            // What failed. The course of things is in the metrics: a line for each request would cost more time than the
            // request's way through the core.
            gateway.set_sink(Sink::new(Level::Warn, |record| console_warn!("{record}")));
            Some(gateway)
        }
        Err(error) => {
            console_error!("the configuration cannot be used: {error}");
            None
        }
    };
    GATEWAY.get_or_init(make).as_ref()
}

/// What the variable `ROLE` says; all of a request's way where there is none.
fn role(env: &Env) -> Result<Role, UnknownRole> {
    env.var("ROLE").map_or(Ok(Role::All), |name| name.to_string().parse())
}

const BUNDLED_CONFIG: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gateway.bundle"));
const BUNDLED_TEXT: &str = include_str!(concat!(env!("OUT_DIR"), "/gateway.toml"));
