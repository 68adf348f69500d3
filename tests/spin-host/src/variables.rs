//! spin:variables.

use wasmtime::component::Accessor;

use crate::bindings::variables::{Error, Host, HostWithStore};
use crate::state::{Spin, State};
use crate::template;

impl Host for State {}

impl<T> HostWithStore<T> for Spin {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        if !template::is_name(&name) {
            return Err(Error::InvalidName(name));
        }
        let value = accessor.with(|mut access| access.get().app.variables.get(&name).cloned());
        value.ok_or_else(|| Error::Undefined(format!("the manifest grants no variable `{name}`")))
    }
}
