//! A world: simulated engines and one gateway in front of them, made from a configuration file with placeholders.
//!
//! `{engine NAME}` becomes the URL of an engine that is started for the name, `{tokenizing NAME}` that of one with the
//! tokenizer of that name, `{scripted NAME}` that of an upstream that tests write answers for, `{key NAME}` the digest
//! of the API key that [`key`] gives for the name. So a world's file reads as the operator's own would.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{fs, panic, process};

use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::gateway::{self, FRANKFURT, Place, Setup};
use crate::http::{Request, Response};
use crate::process::Server;
use crate::redis::Redis;
use crate::runtime::{self, Runtime};
use crate::scripted::Scripted;

/// Engines and a gateway that serves them.
#[derive(Debug)]
pub struct World {
    /// The gateway under test.
    pub gateway: Server,
    /// Where the gateway keeps its state, if that is a Redis.
    pub redis: Option<Redis>,
    upstreams: Upstreams,
}

impl World {
    /// Starts the engines that `template` names and a gateway at `place` that has it in force.
    pub fn start(name: &str, template: &str, place: Place, secrets: &[(&str, &str)]) -> Self {
        let folder = folder(name);
        let upstreams = Upstreams::start(template, &folder);
        let redis = Redis::if_wanted(&folder);
        let gateway = gateway::start(Setup {
            name: "gateway",
            folder: &folder,
            config: &fill(template, &upstreams),
            place,
            secrets,
            redis: redis.as_ref(),
        });
        Self {
            gateway,
            redis,
            upstreams,
        }
    }

    /// The same with the native gateway, run as `start` does, which keeps its state in the world's folder.
    pub fn start_native(name: &str, template: &str, start: impl FnOnce(Setup) -> Server) -> Self {
        let folder = folder(name);
        let upstreams = Upstreams::start(template, &folder);
        let gateway = start(Setup {
            name: "gateway",
            folder: &folder,
            config: &fill(template, &upstreams),
            place: FRANKFURT,
            secrets: &[],
            redis: None,
        });
        Self {
            gateway,
            redis: None,
            upstreams,
        }
    }

    /// The same for a world that many tests share: where it does not start, none of them can run, and the reason is
    /// told once instead of by each.
    pub fn start_or_exit(name: &str, template: &str, place: Place, secrets: &[(&str, &str)]) -> Self {
        panic::catch_unwind(|| Self::start(name, template, place, secrets)).unwrap_or_else(|reason| {
            let reason = reason.downcast_ref::<String>().map_or("see above", String::as_str);
            // Not `eprintln!`: what a test prints is shown when it ends, and this one never does.
            let _ = writeln!(io::stderr(), "the world `{name}` does not start: {reason}");
            process::exit(1)
        })
    }

    /// An engine by the name that the template gives it.
    pub fn engine(&self, name: &str) -> &Engine {
        self.upstreams
            .engines
            .get(name)
            .unwrap_or_else(|| panic!("no engine `{name}` in this world"))
    }

    /// The engine with the tokenizer of that name.
    pub fn tokenizing(&self, tokenizer: &str) -> &Engine {
        self.upstreams
            .tokenizing
            .get(tokenizer)
            .unwrap_or_else(|| panic!("no engine with the tokenizer `{tokenizer}` in this world"))
    }

    /// An upstream that tests write answers for, by the name that the template gives it.
    pub fn scripted(&self, name: &str) -> &Scripted {
        self.upstreams
            .scripted
            .get(name)
            .unwrap_or_else(|| panic!("no scripted upstream `{name}` in this world"))
    }

    /// `template` with this world's engines, as text for `PUT /admin/config`.
    pub fn config(&self, template: &str) -> String {
        fill(template, &self.upstreams)
    }

    /// Sends a request to the gateway.
    pub fn send(&self, request: &Request) -> Response {
        request.send(self.gateway.address())
    }

    /// The gateway's metrics.
    pub fn metrics(&self) -> String {
        let response = self.send(&Request::get("/metrics").key(&key("admin")));
        assert_eq!(response.status, 200, "{}", response.text());
        response.text().to_owned()
    }
}

/// What stands behind the gateway.
#[derive(Debug)]
struct Upstreams {
    engines: BTreeMap<String, Engine>,
    tokenizing: BTreeMap<String, Engine>,
    scripted: BTreeMap<String, Scripted>,
}

impl Upstreams {
    /// Starts those that `template` names.
    fn start(template: &str, folder: &Path) -> Self {
        let engine = |name: &str| (name.to_owned(), Engine::start(name, folder));
        let scripted = |name: &str| (name.to_owned(), Scripted::start());
        let tokenizing = |name: &str| (name.to_owned(), Engine::start_tokenizing(name, folder));
        Self {
            engines: placeholders(template, "engine").map(engine).collect(),
            tokenizing: placeholders(template, "tokenizing").map(tokenizing).collect(),
            scripted: placeholders(template, "scripted").map(scripted).collect(),
        }
    }
}

/// The API key of a name: the same in every run, so that a failing request can be sent again by hand.
pub fn key(name: &str) -> String {
    format!("tg-{}", &hexadecimal(&format!("contract suite: {name}"))[..43])
}

/// The digest of an API key as the configuration holds it.
pub fn digest(key: &str) -> String {
    format!("sha256:{}", hexadecimal(key))
}

fn hexadecimal(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fill(template: &str, upstreams: &Upstreams) -> String {
    let mut config = template.to_owned();
    for (name, engine) in &upstreams.engines {
        config = config.replace(&format!("{{engine {name}}}"), &engine.url());
    }
    for (name, engine) in &upstreams.tokenizing {
        config = config.replace(&format!("{{tokenizing {name}}}"), &engine.url());
    }
    for (name, scripted) in &upstreams.scripted {
        config = config.replace(&format!("{{scripted {name}}}"), &scripted.url());
    }
    for name in placeholders(template, "key") {
        config = config.replace(&format!("{{key {name}}}"), &digest(&key(name)));
    }
    config
}

/// The names in placeholders of one kind, each as often as it stands there.
fn placeholders<'a>(template: &'a str, kind: &'a str) -> impl Iterator<Item = &'a str> {
    template
        .split('{')
        .filter_map(move |text| text.split_once('}')?.0.strip_prefix(kind)?.strip_prefix(' '))
}

/// A fresh folder for a world's logs and data, in the workspace's target folder; it stays for whoever looks into a
/// failure.
pub fn folder(world: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/contract");
    let variant = match (runtime::redis_server(), runtime::wrangler()) {
        (Some(_), _) => "-redis",
        (None, Some(_)) => "-wrangler",
        (None, None) => "",
    };
    let folder = target
        .join(format!("{}{variant}", Runtime::current().name()))
        .join(world);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}
