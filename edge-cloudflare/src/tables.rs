//! The token tables of this deployment: data modules beside the script, which the runtime keeps outside of wasm. One is
//! copied in when a request first counts with it, and stays for the life of the isolate.

use bytes::Bytes;
use tidegate_core::tokens::Tables;

use crate::glue;

/// All of them, by name.
pub(crate) fn tables() -> Tables {
    let mut tables = Tables::default();
    for name in glue::table_names().lines() {
        let file = name.to_owned();
        tables.add_bundled(name, move || Bytes::from(glue::table(&file)));
    }
    tables
}
