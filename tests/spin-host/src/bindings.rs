//! Rust's view of the interfaces in `wit/`.

mod generated {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "host",
        imports: { default: async },
        with: {
            "spin:key-value/key-value.store": crate::key_value::Store,
            "spin:redis/redis.connection": crate::redis::Connection,
            "spin:sqlite/sqlite.connection": crate::sqlite::Connection,
        },
    });
}

pub(crate) use generated::spin::key_value::key_value;
pub(crate) use generated::spin::redis::redis;
pub(crate) use generated::spin::sqlite::sqlite;
pub(crate) use generated::spin::variables::variables;
