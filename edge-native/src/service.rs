//! One request through the core.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tidegate_core::Gateway;
use tidegate_core::geo::Location;

use crate::http::{RequestBody, ResponseBody};
use crate::outbox::Outbox;
use crate::platform::NativePlatform;

/// What answers requests on one thread.
pub struct Service {
    /// The core.
    pub gateway: Arc<Gateway>,
    /// This thread's platform.
    pub platform: NativePlatform,
    /// What this thread writes.
    pub outbox: Outbox,
    /// Where this process stands.
    pub location: Location,
}

impl Service {
    /// The core's answer to one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let request = request.map(|body| RequestBody::new(body, self.outbox.clone()));
        #[cfg(feature = "conformance")]
        if crate::conformance::is_asked_for(&request) {
            return crate::conformance::answer(self.platform.clone(), request).await;
        }
        self.gateway
            .serve(self.platform.clone(), self.location.clone(), request)
            .await
            .map(ResponseBody::from)
    }
}
