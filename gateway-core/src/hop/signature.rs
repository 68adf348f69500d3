//! The signature under which the edge sends an order to a region hop: HMAC-SHA256 (RFC 2104) over all that decides what the
//! region does. It is told in two steps whether an order is sound: by its head, before anybody reads its body, then by that.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::ids::SecretName;
use crate::time::Timestamp;

/// What an order is signed for.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// In capitals.
    pub method: &'a str,
    /// The path, without a query.
    pub path: &'a str,
    /// What is known of the order, as its header has it.
    pub facts: &'a str,
}

/// A signature, as its header has it: `k=KEY;t=MICROSECONDS;n=NONCE;d=BODY;m=MAC`, the last three in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The secret that it was made with, by its name.
    pub key: SecretName,
    /// When, by the wall clock of who signed.
    pub at: Timestamp,
    /// No other order has it.
    pub nonce: u64,
    /// What the body, as it is sent, must be.
    pub body: BodyDigest,
    /// The code of all of that.
    pub mac: [u8; MAC_BYTES],
}

/// SHA-256 of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BodyDigest([u8; MAC_BYTES]);

/// The code of `message` under a secret, for platforms, which keep the secrets.
pub fn mac(secret: &[u8], message: &[u8]) -> [u8; MAC_BYTES] {
    // Keys of any length are taken.
    let hmac = Hmac::<Sha256>::new_from_slice(secret).map(|mut hmac| {
        hmac.update(message);
        hmac.finalize().into_bytes().into()
    });
    hmac.unwrap_or_default()
}

impl BodyDigest {
    /// Of the body as it is sent.
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

impl fmt::Debug for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl Signature {
    /// A signature that lacks its code.
    pub fn unfinished(key: SecretName, at: Timestamp, nonce: u64, body: &[u8]) -> Self {
        Self {
            key,
            at,
            nonce,
            body: BodyDigest::of(body),
            mac: [0; MAC_BYTES],
        }
    }

    /// What its code is of: each part in a line of its own, which none of them can hold.
    pub fn message(&self, signed: Signed<'_>) -> String {
        let Self {
            key, at, nonce, body, ..
        } = self;
        let Signed { method, path, facts } = signed;
        let at = at.as_micros();
        format!("{PURPOSE}\n{method}\n{path}\n{key}\n{at}\n{nonce:016x}\n{body:?}\n{facts}")
    }

    /// As its header has it.
    pub fn to_header(&self) -> String {
        let Self {
            key,
            at,
            nonce,
            body,
            mac,
        } = self;
        let at = at.as_micros();
        format!("k={key};t={at};n={nonce:016x};d={body:?};m={}", hex(mac))
    }

    /// What a header says.
    ///
    /// # Errors
    /// When it is no signature.
    pub fn parse(header: &str) -> Result<Self, SignatureError> {
        let mut parts = header.split(';');
        let mut part = |name: &str| {
            let value = parts.next()?.strip_prefix(name)?.strip_prefix('=')?;
            Some(value.trim())
        };
        let mut parsed = || {
            Some(Self {
                key: part("k")?.into(),
                at: Timestamp::from_micros(part("t")?.parse().ok()?),
                nonce: u64::from_be_bytes(unhex(part("n")?)?),
                body: BodyDigest(unhex(part("d")?)?),
                mac: unhex(part("m")?)?,
            })
        };
        parsed().ok_or(SignatureError::Malformed)
    }

    /// Whether it was made of late, as the wall clock here has it.
    ///
    /// # Errors
    /// When it was not, or by a clock that is far ahead.
    pub fn check_age(&self, wall: Timestamp) -> Result<(), SignatureError> {
        let off = wall.since(self.at).max(self.at.since(wall));
        if off <= WINDOW {
            Ok(())
        } else {
            Err(SignatureError::Stale)
        }
    }

    /// Whether its code is that one, in a time that tells nothing.
    ///
    /// # Errors
    /// When it is another.
    pub fn check_mac(&self, expected: &[u8; MAC_BYTES]) -> Result<(), SignatureError> {
        if self.mac.ct_eq(expected).into() {
            Ok(())
        } else {
            Err(SignatureError::Forged)
        }
    }

    /// Whether it is for that body.
    pub fn is_for(&self, body: BodyDigest) -> bool {
        self.body == body
    }
}

/// Why an order is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// There is none.
    #[error("not signed")]
    Missing,
    /// What is there is none.
    #[error("the signature is not one")]
    Malformed,
    /// The configuration names no such key.
    #[error("signed with a key that is not in hops.keys here")]
    UnknownKey,
    /// It was not made of late.
    #[error("signed more than 30 s ago, or by a clock that is as far off")]
    Stale,
    /// It is not of this order.
    #[error("the signature is of something else, or was made with another secret")]
    Forged,
    /// It came before.
    #[error("the order has come before")]
    Replayed,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let is_hex = text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut bytes = [0; BYTES];
    for (index, byte) in bytes.iter_mut().enumerate().filter(|_| is_hex) {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    is_hex.then_some(bytes)
}

/// Bytes of a code of HMAC-SHA256.
pub const MAC_BYTES: usize = 32;
/// How far the clocks of two hops and the way between them may be apart.
pub(super) const WINDOW: Duration = Duration::from_secs(30);
/// What the code is for, so that none made for something else is one.
const PURPOSE: &str = "tidegate order v1";

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: Signed<'_> = Signed {
        method: "POST",
        path: "/hop/v1/chat/completions",
        facts: r#"{"cluster":"fra"}"#,
    };

    fn signature(secret: &str) -> Signature {
        let mut signature = Signature::unfinished("HOP_KEY".into(), Timestamp::from_millis(1_000_000), 7, b"{}");
        signature.mac = mac(secret.as_bytes(), signature.message(SIGNED).as_bytes());
        signature
    }

    fn check(signature: &Signature, signed: Signed<'_>) -> Result<(), SignatureError> {
        signature.check_mac(&mac(b"secret", signature.message(signed).as_bytes()))
    }

    #[test]
    fn a_code_is_that_of_rfc_4231() {
        // Test case 2.
        let code = mac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(
            hex(&code),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_header_reads_as_it_is_written_and_holds_for_what_was_signed_alone() {
        let signature = signature("secret");
        let read = Signature::parse(&signature.to_header()).expect("a signature");
        assert_eq!(read, signature);
        assert_eq!(check(&read, SIGNED), Ok(()));
        for other in [
            Signed {
                method: "PUT",
                ..SIGNED
            },
            Signed {
                path: "/hop/v1/completions",
                ..SIGNED
            },
            Signed {
                facts: r#"{"cluster":"iad"}"#,
                ..SIGNED
            },
        ] {
            assert_eq!(check(&read, other), Err(SignatureError::Forged), "{other:?}");
        }
        let changed: [fn(&mut Signature); 4] = [
            |it| it.nonce += 1,
            |it| it.at = it.at + Duration::from_millis(1),
            |it| it.body = BodyDigest::of(b"[]"),
            |it| it.key = "OTHER".into(),
        ];
        for change in changed {
            let mut other = read.clone();
            change(&mut other);
            assert_eq!(check(&other, SIGNED), Err(SignatureError::Forged), "{other:?}");
        }
        assert!(read.is_for(BodyDigest::of(b"{}")));
        assert!(!read.is_for(BodyDigest::of(b"{} ")));
    }

    #[test]
    fn another_secret_makes_another_code() {
        assert_eq!(check(&signature("secreu"), SIGNED), Err(SignatureError::Forged));
    }

    #[test]
    fn half_a_minute_is_near_either_way() {
        for (at, expected) in [
            (970_000, Ok(())),
            (1_030_000, Ok(())),
            (969_999, Err(SignatureError::Stale)),
            (1_030_001, Err(SignatureError::Stale)),
        ] {
            let wall = Timestamp::from_millis(at);
            assert_eq!(signature("secret").check_age(wall), expected, "{at}");
        }
    }

    #[test]
    fn what_is_no_signature_is_none() {
        let header = signature("secret").to_header();
        for wrong in [
            "",
            "k=HOP_KEY",
            &header[..header.len() - 1],
            &header.replace("m=", "m=+"),
            &header.replace(";n=", ";x="),
            &header.replace("t=1000000000", "t=-1"),
        ] {
            assert_eq!(Signature::parse(wrong), Err(SignatureError::Malformed), "{wrong}");
        }
    }
}
