//! A world: simulated engines and one gateway in front of them, made from a configuration file with placeholders.
//!
//! `{engine NAME}` becomes the URL of an engine that is started for the name, `{tokenizing NAME}` that of one with the
//! tokenizer of that name, `{scripted NAME}` that of an upstream that tests write answers for, `{hop NAME}` that of a
//! gateway with the role `region` that is started for the name, `{key NAME}` the digest of the API key that [`key`] gives for
//! the name. So a world's file reads as the operator's own would. Where it has a hop, the gateway in front is an edge.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{fs, panic, process};

use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::gateway::{self, FRANKFURT, Place, Role, Setup};
use crate::http::{Request, Response};
use crate::process::Server;
use crate::redis::Redis;
use crate::relay::Relay;
use crate::runtime::{self, Runtime};
use crate::scripted::Scripted;

/// Engines and a gateway that serves them.
#[derive(Debug)]
pub struct World {
    /// The gateway under test.
    pub gateway: Server,
    /// Where the gateway keeps its state, if that is a Redis.
    pub redis: Option<Redis>,
    regions: BTreeMap<String, Server>,
    upstreams: Upstreams,
}

impl World {
    /// Starts the engines that `template` names, region hops if it does, and a gateway at `place`; all of them have it in
    /// force.
    pub fn start(name: &str, template: &str, place: Place, secrets: &[(&str, &str)]) -> Self {
        let folder = folder(name);
        let upstreams = Upstreams::start(template, &folder);
        let redis = Redis::if_wanted(&folder);
        let setup = Setup {
            name: "gateway",
            folder: &folder,
            config: &fill(template, &upstreams),
            place,
            role: if upstreams.hops.is_empty() {
                Role::All
            } else {
                Role::Edge
            },
            secrets,
            redis: redis.as_ref(),
        };
        let regions = upstreams.hops.iter().map(|(name, relay)| {
            let region = start_apart(&format!("region-{name}"), Role::Region, setup);
            relay.lead_to(region.address());
            (name.clone(), region)
        });
        Self {
            regions: regions.collect(),
            gateway: gateway::start(setup),
            redis,
            upstreams,
        }
    }

    /// Starts one more gateway with the configuration `template`, which shares with the others only what their Redis holds,
    /// if there is one.
    pub fn start_another(&self, world: &str, template: &str, role: Role, secrets: &[(&str, &str)]) -> Server {
        let setup = Setup {
            name: "gateway",
            folder: &folder(world),
            config: &self.config(template),
            place: FRANKFURT,
            role,
            secrets,
            redis: self.redis.as_ref(),
        };
        gateway::start(setup)
    }

    /// The same with a gateway that `start` starts, which keeps its state to itself.
    pub fn start_by(name: &str, template: &str, start: impl FnOnce(Setup) -> Server) -> Self {
        let folder = folder(name);
        let upstreams = Upstreams::start(template, &folder);
        let gateway = start(Setup {
            name: "gateway",
            folder: &folder,
            config: &fill(template, &upstreams),
            place: FRANKFURT,
            role: Role::All,
            secrets: &[],
            redis: None,
        });
        Self {
            gateway,
            redis: None,
            regions: BTreeMap::new(),
            upstreams,
        }
    }

    /// Has another gateway take the place of this world's, which has ended, in the same folder: `start` starts it under `name`.
    pub fn start_again(&mut self, name: &str, template: &str, start: impl FnOnce(Setup) -> Server) {
        let folder = self.gateway.log.parent().expect("a folder").to_owned();
        self.gateway = start(Setup {
            name,
            folder: &folder,
            config: &self.config(template),
            place: FRANKFURT,
            role: Role::All,
            secrets: &[],
            redis: None,
        });
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

    /// The region hop by the name that the template gives it.
    pub fn region(&self, name: &str) -> &Server {
        self.regions
            .get(name)
            .unwrap_or_else(|| panic!("no region hop `{name}` in this world"))
    }

    /// The way to that region hop.
    pub fn way(&self, name: &str) -> &Relay {
        self.upstreams
            .hops
            .get(name)
            .unwrap_or_else(|| panic!("no way to a region hop `{name}` in this world"))
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

    /// The figure of that name in the gateway's metrics, of which one label reads so, such as `cluster="eu"`.
    pub fn figure(&self, name: &str, label: &str) -> Option<f64> {
        let (metrics, begins) = (self.metrics(), format!("{name}{{"));
        let mut lines = metrics.lines();
        let line = lines.find(|line| line.starts_with(&begins) && line.contains(label))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

/// What stands behind the gateway.
#[derive(Debug)]
struct Upstreams {
    engines: BTreeMap<String, Engine>,
    tokenizing: BTreeMap<String, Engine>,
    scripted: BTreeMap<String, Scripted>,
    /// The ways to region hops, which are there before these.
    hops: BTreeMap<String, Relay>,
}

impl Upstreams {
    /// Starts those that `template` names.
    fn start(template: &str, folder: &Path) -> Self {
        let engine = |name: &str| (name.to_owned(), Engine::start(name, folder));
        let scripted = |name: &str| (name.to_owned(), Scripted::start());
        let hop = |name: &str| (name.to_owned(), Relay::start());
        let tokenizing = |name: &str| (name.to_owned(), Engine::start_tokenizing(name, folder));
        Self {
            engines: placeholders(template, "engine").map(engine).collect(),
            tokenizing: placeholders(template, "tokenizing").map(tokenizing).collect(),
            scripted: placeholders(template, "scripted").map(scripted).collect(),
            hops: placeholders(template, "hop").map(hop).collect(),
        }
    }
}

/// Starts a gateway as `setup` has it, but for its role and with its files in a folder of its own.
fn start_apart(name: &str, role: Role, setup: Setup) -> Server {
    let folder = setup.folder.join(name);
    fs::create_dir_all(&folder).expect("the world's folder is writable");
    gateway::start(Setup {
        folder: &folder,
        role,
        ..setup
    })
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
    for (name, relay) in &upstreams.hops {
        config = config.replace(&format!("{{hop {name}}}"), &relay.url());
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
