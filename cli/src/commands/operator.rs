//! A gateway as an operator's command asks it.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::server::{self, Server};

/// Which gateway to ask, and with which key.
#[derive(Debug, clap::Args)]
pub struct Gateway {
    /// The gateway's base URL, or that of `--admin-listen` where it has one.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Environment variable with the admin key.
    #[arg(long, value_name = "NAME", default_value = "TIDEGATE_ADMIN_KEY")]
    key_env: String,
}

/// A gateway that is asked.
#[derive(Debug)]
pub struct Operator(Server);

impl Operator {
    /// To be made within [`server::block_on`].
    ///
    /// # Errors
    /// When there is no key.
    pub fn new(gateway: &Gateway) -> Result<Self, Failure> {
        let key = server::token(&gateway.key_env)?;
        Server::new(&gateway.url, Some(&key)).map(Self)
    }

    /// What it answers below `/admin/v1`.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.ask_with(method, path, body.map(Value::to_string)).await
    }

    /// The same, with a body as it is written.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn ask_with(&self, method: Method, path: &str, body: Option<String>) -> Result<Value, Failure> {
        let text = self.ask_text(method, path, body).await?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// The same, with an answer as it comes.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn ask_text(&self, method: Method, path: &str, body: Option<String>) -> Result<String, Failure> {
        let path = format!("/admin/v1{path}");
        let asking = async {
            let answer = self.0.send_text(method, &path, body).await?;
            Ok::<_, Failure>((answer.status(), server::text(answer).await?))
        };
        let answer = timeout(WITHIN, asking).await;
        let (status, text) = answer.map_err(|_| Failure::failed(format!("{} does not answer", self.0.url)))??;
        if status.is_success() {
            return Ok(text);
        }
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let words = json["error"]["message"].as_str().unwrap_or(&text);
        let words: Vec<_> = words.lines().take(MOST_LINES).map(server::short).collect();
        let message = format!("{}: {status}: {}", self.0.url, words.join("\n"));
        Err(refused(status, message))
    }
}

/// What a refusal with that status comes to in a shell.
pub fn refused(status: StatusCode, message: String) -> Failure {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Unauthorised(message),
        StatusCode::NOT_FOUND => Failure::NotFound(message),
        StatusCode::CONFLICT => Failure::Elsewhere(message),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Failure::Usage(message),
        _ => Failure::Failed(message),
    }
}

/// A time such as `900s`, `15m`, `1h`, or seconds alone.
pub fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => 0,
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    match seconds {
        Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        Some(_) | None => Err("expected a time of up to a day, such as 900s, 15m or 1h".to_owned()),
    }
}

/// A name as a path has it: all but what stands for itself is percent-encoded.
pub fn encoded(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// Of what is wrong with a document.
const MOST_LINES: usize = 50;
/// For cells that are far away and slow.
const WITHIN: Duration = Duration::from_secs(10);
