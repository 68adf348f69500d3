//! Names and quantities as types of their own, so that the compiler keeps them apart.

use std::borrow::Borrow;
use std::fmt;
use std::ops::{Add, AddAssign};
use std::sync::Arc;

use http::HeaderValue;
use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as it stands in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A region: where clusters stand.
    RegionName
);
name!(
    /// A cluster: replicas of one engine in one region.
    ClusterName
);
name!(
    /// A replica of a cluster: its base URL, which is unique in the configuration.
    ReplicaName
);
name!(
    /// A model as clients ask for it.
    ModelName
);
name!(
    /// A version of a model's clusters: which of them serve the same weights and software.
    VersionName
);
name!(
    /// A tenant: who owns API keys and whose traffic is kept apart.
    TenantName
);
name!(
    /// A budget of a tenant: the name tells its budgets apart.
    BudgetName
);
name!(
    /// A secret's name. Its value is known to the platform only, never to the core.
    SecretName
);
name!(
    /// A table of tokens that a deployment carries: its file is `NAME.tokens`.
    TableName
);
name!(
    /// A jurisdiction that data may be kept to, such as `eu`.
    Jurisdiction
);

/// A budget among all budgets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BudgetId {
    /// Whose it is.
    pub tenant: TenantName,
    /// Its name among the tenant's budgets.
    pub name: BudgetName,
}

impl fmt::Display for BudgetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

/// Names one prefix of a prompt, together with all that is before it and in its identity: a 64-bit hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrefixKey(pub u64);

/// A number of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens(pub u64);

impl Add for Tokens {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A request as it is named in answers, logs and upstream headers: `req_` and 128 random bits in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id made of two random words.
    pub fn from_random(high: u64, low: u64) -> Self {
        let mut id = *b"req_0123456789abcdef0123456789abcdef";
        for (word, digits) in [high, low].into_iter().zip(id[4..].chunks_exact_mut(16)) {
            for (nibble, digit) in digits.iter_mut().rev().enumerate() {
                *digit = HEX[(word >> (4 * nibble)) as usize & 0xF];
            }
        }
        Self(HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("req_")))
    }

    /// As another gateway has sent it; `None` where that is no such id.
    pub fn parse(header: &HeaderValue) -> Option<Self> {
        let digits = header.as_bytes().strip_prefix(b"req_")?;
        let is_id = digits.len() == 32 && digits.iter().all(|digit| HEX.contains(digit));
        is_id.then(|| Self(header.clone()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As it is sent in `x-request-id`.
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_written_in_hexadecimal() {
        let id = RequestId::from_random(0x0123_4567_89ab_cdef, 7);
        assert_eq!(id.as_str(), "req_0123456789abcdef0000000000000007");
        assert_eq!(id.to_header(), id.as_str());
        assert_eq!(RequestId::parse(&id.to_header()), Some(id));
        for wrong in [
            "req_",
            "req_0123456789ABCDEF0000000000000007",
            "0123456789abcdef0000000000000007",
        ] {
            assert_eq!(RequestId::parse(&HeaderValue::from_static(wrong)), None, "{wrong}");
        }
    }
}
