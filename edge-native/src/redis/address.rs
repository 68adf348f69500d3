//! Where Redis is, and how to sign in there. Nothing that is printed of it shows the user or the password.

use std::fmt;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionInfo, IntoConnectionInfo};
use thiserror::Error;

/// The URL of a Redis or Valkey, read.
#[derive(Clone)]
pub struct RedisAddress {
    info: Box<ConnectionInfo>,
}

/// Why a URL is none of a Redis. It does not repeat the URL, which may hold a password.
#[derive(Debug, Error)]
#[error("this is no URL of a Redis: {0}; expected `redis://host:port`, or `rediss://host:port` for TLS")]
pub struct AddressError(String);

impl RedisAddress {
    /// Reads `redis://user:password@host:port/database`, or `rediss://…` for TLS; all but the host may be left out. A
    /// `password` that is not empty takes the place of the URL's.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn parse(url: &str, password: Option<&str>) -> Result<Self, AddressError> {
        let info = url.into_connection_info();
        let info = info.map_err(|error| AddressError(error.category().to_owned()))?;
        let mut settings = info.redis_settings().clone();
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            settings = settings.set_password(password);
        }
        // Otherwise a script waits for the acknowledgement of the one before.
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = Box::new(info.set_redis_settings(settings).set_tcp_settings(tcp));
        Ok(Self { info })
    }

    /// A client that has not connected yet.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub(super) fn client(&self) -> Result<Client, String> {
        Client::open(ConnectionInfo::clone(&self.info)).map_err(|error| error.to_string())
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.info.addr(), self.info.redis_settings().db())
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printed_shows_user_or_password() {
        let address = RedisAddress::parse("rediss://somebody:hunter2@redis.test:7000/3", None).expect("a URL");
        assert_eq!(address.to_string(), "redis.test:7000/3");
        assert_eq!(format!("{address:?}"), "RedisAddress(redis.test:7000/3)");
        assert_eq!(address.info.redis_settings().password(), Some("hunter2"));
        for wrong in [
            "hunter2",
            "redis://u:hunter2@h:port",
            "http://u:hunter2@h",
            "redis://u:hunter2@h/db",
        ] {
            let error = RedisAddress::parse(wrong, None).expect_err(wrong);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_password_beside_the_url_counts_unless_it_is_empty() {
        let password = |beside| {
            let address = RedisAddress::parse("redis://u:in-url@h", beside).expect("a URL");
            address.info.redis_settings().password().map(str::to_owned)
        };
        assert_eq!(password(Some("beside")).as_deref(), Some("beside"));
        assert_eq!(password(Some("")).as_deref(), Some("in-url"));
        assert_eq!(password(None).as_deref(), Some("in-url"));
    }
}
