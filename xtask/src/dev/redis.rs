//! A Redis for one task.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use super::child::{Child, free_address};
use crate::error::TaskError;

/// Starts `program` on a free port of loopback, with nothing on disk.
///
/// # Errors
/// When it does not get ready.
pub fn start_redis(program: &Path, folder: &Path) -> Result<Child, TaskError> {
    let address = free_address()?;
    let port = address.rsplit(':').next().unwrap_or_default();
    let mut redis = Command::new(program);
    redis.args([
        "--bind",
        "127.0.0.1",
        "--port",
        port,
        "--save",
        "",
        "--appendonly",
        "no",
    ]);
    redis.arg("--dir").arg(folder);
    let url = format!("redis://{address}");
    Child::start_at("redis", &redis, folder, &url, || TcpStream::connect(&address).is_ok())
}
