//! What one instance keeps between requests: the gateway, and handles of the host that any request may use.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use spin_sdk::variables;
use tidegate_core::Gateway;
use tidegate_core::geo::Location;
use tidegate_core::hop::Role;
use tidegate_core::observe::{Level, Sink};
use tidegate_core::tokens::Tables;

use crate::log;
use crate::secrets::Secrets;
use crate::state::State;

/// The one instance that this code runs in.
#[derive(Default)]
pub(crate) struct Instance {
    gateway: OnceCell<Option<Arc<Gateway>>>,
    location: OnceCell<Location>,
    /// Cells, as far as this instance knows them, and store.
    pub(crate) state: State,
    /// The engines' secrets.
    pub(crate) secrets: Secrets,
}

impl Instance {
    /// The instance; it has one thread.
    pub(crate) fn of_this_thread() -> Rc<Self> {
        INSTANCE.with(Rc::clone)
    }

    /// The gateway, made of the bundled configuration for the first request; `None` where that is damaged, or the variable
    /// `role` names no role, which is logged once.
    pub(crate) async fn gateway(&self) -> Option<&Arc<Gateway>> {
        if let Some(gateway) = self.gateway.get() {
            return gateway.as_ref();
        }
        let role = variables::get("role").await.unwrap_or_default();
        self.gateway.get_or_init(|| gateway(&role)).as_ref()
    }

    /// Where requests come in: Spin does not tell, the variable `location` may.
    pub(crate) async fn location(&self) -> Location {
        if let Some(location) = self.location.get() {
            return location.clone();
        }
        let code = variables::get("location").await.unwrap_or_default();
        self.location
            .get_or_init(|| Location {
                code,
                coordinates: None,
            })
            .clone()
    }
}

fn gateway(role: &str) -> Option<Arc<Gateway>> {
    let role = match role {
        "" => Role::All,
        name => match name.parse() {
            Ok(role) => role,
            Err(error) => {
                log::warn(&format!("the variable `role`: {error}"));
                return None;
            }
        },
    };
    match Gateway::bundled(BUNDLED_CONFIG, BUNDLED_TEXT, tables()) {
        Ok(gateway) => {
            gateway.set_role(role);
            gateway.set_sink(Sink::new(Level::Warn, log::on_record));
            Some(gateway)
        }
        Err(error) => {
            log::warn(&format!("the configuration cannot be used: {error}"));
            None
        }
    }
}

/// The bundled tables, used where they lie in the component.
fn tables() -> Tables {
    let mut tables = Tables::default();
    for (name, file) in BUNDLED_TABLES {
        tables.add_bundled(name, || Bytes::from_static(file));
    }
    tables
}

const BUNDLED_CONFIG: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gateway.bundle"));
const BUNDLED_TEXT: &str = include_str!(concat!(env!("OUT_DIR"), "/gateway.toml"));
const BUNDLED_TABLES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/tables.rs"));

thread_local! {
    static INSTANCE: Rc<Instance> = Rc::default();
}
