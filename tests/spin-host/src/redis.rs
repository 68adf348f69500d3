//! spin:redis, over the `redis` crate as in Spin: an address must be granted as an outbound host, each handle is a
//! connection of its own, and the values of a reply come in one list, those of nested lists too. What Tidegate does
//! not call is left out.

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Value};
use wasmtime::component::{Accessor, Resource};

use crate::bindings::redis::{Error, Host, HostConnection, HostConnectionWithStore, RedisParameter, RedisResult};
use crate::state::{Spin, State};

/// An open connection.
#[derive(Clone)]
pub struct Connection(MultiplexedConnection);

impl Host for State {}

impl HostConnection for State {
    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T> HostConnectionWithStore<T> for Spin {
    async fn open(accessor: &Accessor<T, Self>, address: String) -> Result<Resource<Connection>, Error> {
        let hosts = accessor.with(|mut access| access.get().app.hosts.clone());
        let is_granted = address.parse().is_ok_and(|uri| hosts.allow(&uri));
        if !is_granted {
            return Err(Error::InvalidAddress);
        }
        let client = redis::Client::open(address).map_err(|_| Error::InvalidAddress)?;
        let connection = client.get_multiplexed_async_connection().await.map_err(other)?;
        accessor.with(|mut access| {
            let pushed = access.get().table.push(Connection(connection));
            pushed.map_err(|_| Error::TooManyConnections)
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Connection(mut connection) = opened(accessor, &connection)?;
        connection.get(key).await.map_err(other)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Result<Vec<RedisResult>, Error> {
        let Connection(mut connection) = opened(accessor, &connection)?;
        let mut command = redis::cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(number) => command.arg(number),
                RedisParameter::Binary(bytes) => command.arg(bytes),
            };
        }
        let mut results = Vec::new();
        flatten(&mut results, command.query_async(&mut connection).await.map_err(other)?)?;
        Ok(results)
    }
}

fn opened<T>(accessor: &Accessor<T, Spin>, connection: &Resource<Connection>) -> Result<Connection, Error> {
    let found = accessor.with(|mut access| access.get().table.get(connection).cloned());
    found.map_err(other)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of newer protocols, which the client does not ask for, and more to come"
)]
fn flatten(results: &mut Vec<RedisResult>, value: Value) -> Result<(), Error> {
    match value {
        Value::Nil => results.push(RedisResult::Nil),
        Value::Int(number) => results.push(RedisResult::Int64(number)),
        Value::BulkString(bytes) => results.push(RedisResult::Binary(bytes)),
        Value::SimpleString(text) => results.push(RedisResult::Status(text)),
        Value::Okay => results.push(RedisResult::Status("OK".to_owned())),
        Value::Array(values) => {
            for value in values {
                flatten(results, value)?;
            }
        }
        other => {
            return Err(Error::Other(format!(
                "a reply of a kind that is not supported: {other:?}"
            )));
        }
    }
    Ok(())
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}
