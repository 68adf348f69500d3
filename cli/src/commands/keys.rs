//! `tidegate keys`: keys are 256 random bits; the configuration holds only their SHA-256.

use std::io::{self, Read, Write};

use serde_json::json;
use tidegate_core::config::KeyDigest;

use crate::failure::Failure;

/// What to do with keys.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a key for a tenant. It is printed once and kept nowhere.
    New(NewArgs),
    /// Read a key on stdin and print the digest that stands for it in gateway.toml.
    Digest,
}

/// Whom a key is for.
#[derive(Debug, clap::Args)]
#[group(id = "owner", required = true, args = ["tenant", "admin"])]
pub struct NewArgs {
    /// The tenant that will own the key, as named in gateway.toml.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Make a key for operators: it opens `/admin/…` and `/metrics`.
    #[arg(long)]
    admin: bool,
    /// Print one JSON object: `tenant` (null of an operators' key), `key`, `digest`.
    #[arg(long)]
    json: bool,
}

/// Makes a key or a digest.
///
/// # Errors
/// When the system has no randomness, or stdin holds no key.
pub fn run(command: &Command) -> Result<(), Failure> {
    let text = match command {
        Command::New(args) => new_key(args)?,
        Command::Digest => digest_of_stdin()?,
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn new_key(args: &NewArgs) -> Result<String, Failure> {
    let mut bits = [0; KEY_BYTES];
    getrandom::fill(&mut bits).map_err(|error| Failure::failed(format!("no random bits: {error}")))?;
    let key = format!("{KEY_PREFIX}{}", base64url(&bits));
    let digest = KeyDigest::of(&key).to_string();
    if args.json {
        return Ok(format!(
            "{}\n",
            json!({ "tenant": args.tenant, "key": key, "digest": digest })
        ));
    }
    let (owner, entry) = match &args.tenant {
        // A JSON string is a TOML string.
        Some(tenant) => ("the tenant", format!("[[tenants]]\n  name = {}", json!(tenant))),
        None => ("an operator", "[admin]".to_owned()),
    };
    Ok(format!(
        "key (shown only now; hand it to {owner}, keep no copy):\n  {key}\n\n\
         digest, for the keys of {owner} in gateway.toml:\n  {digest}\n\n\
         where the first key makes the entry:\n  {entry}\n  keys = [\"{digest}\"]\n"
    ))
}

fn digest_of_stdin() -> Result<String, Failure> {
    let mut key = String::new();
    io::stdin().take(MAX_KEY_BYTES).read_to_string(&mut key)?;
    let key = key.trim();
    if key.is_empty() {
        return Err(Failure::usage(
            "no key on stdin; try: printf %s \"$KEY\" | tidegate keys digest",
        ));
    }
    Ok(format!("{}\n", KeyDigest::of(key)))
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    let encode = |group: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | u32::from(group.get(at).copied().unwrap_or_default())
        });
        let digits = [18, 12, 6, 0].map(|shift| char::from(BASE64URL[(bits >> shift & 0x3f) as usize]));
        digits.into_iter().take(group.len() + 1)
    };
    bytes.chunks(3).flat_map(encode).collect()
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// What every key begins with, so that scanners for leaked secrets can find it.
const KEY_PREFIX: &str = "tg-";
/// 256 bits: no key is ever guessed, so a plain digest of it can stand in a file.
const KEY_BYTES: usize = 32;
/// More is no key.
const MAX_KEY_BYTES: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_follows_rfc_4648() {
        // Section 10, with the padding left out.
        let vectors = [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in vectors {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xfb, 0xff, 0xfe]), "-__-");
        assert_eq!(base64url(&[7; KEY_BYTES]).len(), 43);
    }

    #[test]
    fn a_new_key_comes_with_its_own_digest() {
        let args = |tenant: Option<&str>, json| NewArgs {
            tenant: tenant.map(str::to_owned),
            admin: tenant.is_none(),
            json,
        };
        let acme = Some("acme \"eu\"");
        let printed: serde_json::Value =
            serde_json::from_str(&new_key(&args(acme, true)).expect("a key")).expect("JSON");
        let key = printed["key"].as_str().expect("a key");
        assert_eq!(key.len(), 46);
        assert_eq!(printed["digest"], KeyDigest::of(key).to_string());
        assert_ne!(printed["key"], new_key(&args(acme, true)).expect("another key"));
        let text = new_key(&args(acme, false)).expect("a key");
        assert!(text.contains(r#"name = "acme \"eu\"""#), "{text}");
        let text = new_key(&args(None, false)).expect("a key");
        assert!(
            text.contains("[admin]\n  keys = [\"sha256:") && !text.contains("tenant"),
            "{text}"
        );
    }
}
