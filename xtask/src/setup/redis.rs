//! Redis, for tests of state that is kept there.

use std::path::PathBuf;

use super::with_packages;
use crate::error::TaskError;

/// The program `redis-server`, or Valkey's.
///
/// # Errors
/// When there is none and none can be installed.
pub fn redis_server() -> Result<PathBuf, TaskError> {
    let purpose = "to test state that is kept in Redis";
    with_packages("redis-server", purpose, &["redis-server"], || {
        let folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"];
        let programs = folders.map(PathBuf::from).into_iter();
        programs
            .flat_map(|folder| ["redis-server", "valkey-server"].map(|name| folder.join(name)))
            .find(|path| path.exists())
    })
}
