//! spin:sqlite, over the SQLite that is compiled in. Each handle is a connection of its own, as in Spin, with
//! SQLite's own defaults: what a component wants of journal and synchronisation it asks for by PRAGMA.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::ValueRef;
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::bindings::sqlite::{Error, Host, HostConnection, HostConnectionWithStore, QueryResult, RowResult, Value};
use crate::state::{Spin, State};

/// An open database.
#[derive(Clone)]
pub struct Connection(Arc<Mutex<rusqlite::Connection>>);

impl Connection {
    fn open(path: PathBuf) -> Result<Self, Error> {
        let connection = rusqlite::Connection::open(path).map_err(io)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs one statement on a thread that may block.
    async fn execute(self, statement: String, parameters: Vec<Value>) -> Result<QueryResult, Error> {
        let work = move || self.with(|connection| query(connection, &statement, parameters));
        let result = tokio::task::spawn_blocking(work).await;
        result.map_err(|error| Error::Io(error.to_string()))?.map_err(io)
    }

    fn with<R>(&self, work: impl FnOnce(&rusqlite::Connection) -> R) -> R {
        work(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn query(connection: &rusqlite::Connection, statement: &str, parameters: Vec<Value>) -> rusqlite::Result<QueryResult> {
    let mut statement = connection.prepare_cached(statement)?;
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query(rusqlite::params_from_iter(parameters.into_iter().map(to_sqlite)))?;
    let mut results = Vec::new();
    while let Some(row) = rows.next()? {
        let values = (0..columns.len()).map(|column| row.get_ref(column).map(from_sqlite));
        results.push(RowResult {
            values: values.collect::<Result<_, _>>()?,
        });
    }
    drop(rows);
    Ok(QueryResult { columns, rows: results })
}

impl Host for State {}

impl HostConnection for State {
    async fn open(&mut self, database: String) -> Result<Resource<Connection>, Error> {
        let connection = Connection::open(path_of(self, &database)?)?;
        self.table
            .push(connection)
            .map_err(|error| Error::Io(error.to_string()))
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> Result<QueryResult, Error> {
        let connection = self
            .table
            .get(&connection)
            .map_err(|_| Error::InvalidConnection)?
            .clone();
        connection.execute(statement, parameters).await
    }

    async fn last_insert_rowid(&mut self, connection: Resource<Connection>) -> i64 {
        self.table
            .get(&connection)
            .map_or(0, |open| open.with(rusqlite::Connection::last_insert_rowid))
    }

    async fn changes(&mut self, connection: Resource<Connection>) -> u64 {
        self.table
            .get(&connection)
            .map_or(0, |open| open.with(rusqlite::Connection::changes))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T> HostConnectionWithStore<T> for Spin {
    async fn open_async(accessor: &Accessor<T, Self>, database: String) -> Result<Resource<Connection>, Error> {
        let path = accessor.with(|mut access| path_of(access.get(), &database))?;
        let connection = Connection::open(path)?;
        accessor.with(|mut access| {
            access
                .get()
                .table
                .push(connection)
                .map_err(|error| Error::Io(error.to_string()))
        })
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> Result<(Vec<String>, StreamReader<RowResult>, FutureReader<Result<(), Error>>), Error> {
        let connection = opened(accessor, &connection)?;
        let QueryResult { columns, rows } = connection.execute(statement, parameters).await?;
        let readers = accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, rows)?;
            let result = FutureReader::new(&mut access, async { wasmtime::error::Ok(Ok(())) })?;
            wasmtime::error::Ok((rows, result))
        });
        let (rows, result) = readers.map_err(|error| Error::Io(error.to_string()))?;
        Ok((columns, rows, result))
    }

    async fn last_insert_rowid_async(accessor: &Accessor<T, Self>, connection: Resource<Connection>) -> i64 {
        opened(accessor, &connection).map_or(0, |open| open.with(rusqlite::Connection::last_insert_rowid))
    }

    async fn changes_async(accessor: &Accessor<T, Self>, connection: Resource<Connection>) -> u64 {
        opened(accessor, &connection).map_or(0, |open| open.with(rusqlite::Connection::changes))
    }
}

fn path_of(state: &State, database: &str) -> Result<PathBuf, Error> {
    if !state.app.databases.contains(database) {
        return Err(Error::AccessDenied);
    }
    Ok(state.app.state.join(format!("sqlite_{database}.db")))
}

fn opened<T>(accessor: &Accessor<T, Spin>, connection: &Resource<Connection>) -> Result<Connection, Error> {
    accessor.with(|mut access| {
        access
            .get()
            .table
            .get(connection)
            .cloned()
            .map_err(|_| Error::InvalidConnection)
    })
}

fn to_sqlite(value: Value) -> rusqlite::types::Value {
    match value {
        Value::Integer(integer) => integer.into(),
        Value::Real(real) => real.into(),
        Value::Text(text) => text.into(),
        Value::Blob(blob) => blob.into(),
        Value::Null => rusqlite::types::Value::Null,
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
    }
}

fn io(error: rusqlite::Error) -> Error {
    Error::Io(error.to_string())
}
