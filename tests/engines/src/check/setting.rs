//! Two replicas of one engine, a gateway before them, and ways to ask both.

use serde_json::{Value, json};
use tidegate_tests::gateway::{self, FRANKFURT, Role, Setup};
use tidegate_tests::http::{Exchange, Request, Response};
use tidegate_tests::process::Server;
use tidegate_tests::redis::Redis;
use tidegate_tests::world::{digest, key};

use super::folder;
use crate::cases::body as chat;
use crate::engine::{Engine, Kind, Programs};

/// What a check has to do with.
pub struct Setting {
    /// The engine.
    pub kind: Kind,
    /// Its two replicas.
    pub replicas: [Engine; 2],
    /// The gateway before them.
    pub gateway: Server,
    /// Where the gateway keeps its state, if that is a Redis.
    _redis: Option<Redis>,
}

/// Where chats are asked for.
pub const CHAT: &str = "/v1/chat/completions";

impl Setting {
    /// Starts all of it.
    pub fn start(kind: Kind, programs: &Programs) -> Self {
        let folder = folder(kind);
        let replicas = ["first", "second"].map(|name| Engine::start(kind, programs, name, &folder, &[]));
        let [first, second] = &replicas;
        let config = include_str!("engines.toml")
            .replace("{kind}", kind.name())
            .replace("{first}", &first.url())
            .replace("{second}", &second.url());
        let config = ["everyone", "counted", "admin"].iter().fold(config, |config, name| {
            config.replace(&format!("{{key {name}}}"), &digest(&key(name)))
        });
        let redis = Redis::if_wanted(&folder);
        let gateway = gateway::start(Setup {
            name: "gateway",
            folder: &folder,
            config: &config,
            place: FRANKFURT,
            role: Role::All,
            secrets: &[],
            redis: redis.as_ref(),
        });
        Self {
            kind,
            replicas,
            gateway,
            _redis: redis,
        }
    }

    /// The gateway's answer.
    pub fn ask(&self, path: &str, body: &Value) -> Response {
        self.open(path, body).finish()
    }

    /// The gateway's answer, to be read by the check.
    pub fn open(&self, path: &str, body: &Value) -> Exchange {
        Request::post(path, body.to_string())
            .key(&key("everyone"))
            .open(self.gateway.address())
    }

    /// The engine's own answer to the same.
    pub fn ask_engine(&self, path: &str, body: &Value) -> Response {
        Request::post(path, body.to_string()).send(&self.replicas[0].address())
    }

    /// The gateway's answer to an ordinary request, which has to be good.
    #[track_caller]
    pub fn assert_serves(&self, text: &str) {
        let response = self.ask(CHAT, &chat(json!({"messages": [{"role": "user", "content": text}]})));
        assert_eq!(response.status, 200, "{text}: {}", response.text());
    }
}
