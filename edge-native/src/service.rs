//! One request through the core.

use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tidegate_core::geo::Location;
use tidegate_core::{Entrance, Gateway};

use crate::clients::Client;
use crate::http::{Answering, RequestBody, ResponseBody};
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
    /// By which of its addresses requests come in.
    pub entrance: Entrance,
}

impl Service {
    /// The core's answer to one request of that client.
    pub async fn answer(&self, client: Rc<Client>, request: Request<Incoming>) -> Response<ResponseBody> {
        let answering = Answering::begin(Rc::clone(&client));
        let mut request = request.map(|body| RequestBody::new(body, self.outbox.clone(), client));
        request.extensions_mut().insert(self.entrance);
        #[cfg(feature = "conformance")]
        if crate::conformance::is_asked_for(&request) {
            let answer = crate::conformance::answer(self.platform.clone(), request).await;
            return answer.map(|body| ResponseBody::new(body, answering));
        }
        self.gateway
            .serve(self.platform.clone(), self.location.clone(), request)
            .await
            .map(|body| ResponseBody::new(body, answering))
    }
}
