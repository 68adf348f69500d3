//! Which runtime the suite runs over, and where that runtime's artifacts are. `cargo xtask test` builds them and
//! tells by environment; nothing is searched for or built here.

use std::env;
use std::path::PathBuf;

/// What the gateway under test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The `tidegate` binary.
    Native,
    /// The Worker inside workerd, under Miniflare or `wrangler dev`.
    Cloudflare,
    /// The component inside Spin or the tests' own host for it.
    Spin,
}

impl Runtime {
    /// As named by `TIDEGATE_RUNTIME`; native when it is not set.
    pub fn current() -> Self {
        match env::var("TIDEGATE_RUNTIME").as_deref() {
            Err(_) | Ok("native") => Self::Native,
            Ok("cloudflare") => Self::Cloudflare,
            Ok("spin") => Self::Spin,
            Ok(other) => panic!("TIDEGATE_RUNTIME is `{other}`; it can be native, cloudflare or spin"),
        }
    }

    /// The name that `TIDEGATE_RUNTIME` gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Cloudflare => "cloudflare",
            Self::Spin => "spin",
        }
    }
}

/// The `tidegate` binary: the gateway natively, and the simulated engines for every runtime.
pub fn tidegate_binary() -> PathBuf {
    artifact("TIDEGATE_BIN", "the `tidegate` binary")
}

/// The folder with the token tables, which the Worker and the component carry already.
pub fn token_tables() -> PathBuf {
    artifact("TIDEGATE_TOKENS", "the folder with the token tables")
}

/// The folder with the tokenizers that the tables are made of, each in a folder of its name.
pub fn tokenizers() -> PathBuf {
    artifact("TIDEGATE_TOKENIZERS", "the folder with the tokenizers")
}

/// The folder that `worker-build` made.
pub fn worker_folder() -> PathBuf {
    artifact("TIDEGATE_WORKER_DIR", "the folder made by worker-build")
}

/// The program `wrangler`, where its `dev` runs the Worker.
pub fn wrangler() -> Option<PathBuf> {
    env::var_os(WRANGLER).map(|_| artifact(WRANGLER, "the program `wrangler`"))
}

/// The Spin component.
pub fn spin_component() -> PathBuf {
    artifact("TIDEGATE_SPIN_COMPONENT", "the Spin component (.wasm)")
}

/// The program that runs the Spin component.
pub fn spin_host() -> PathBuf {
    artifact("TIDEGATE_SPIN_HOST", "the host for the Spin component")
}

/// The program `redis-server` (or `valkey-server`), where the gateway under test keeps its state in Redis.
pub fn redis_server() -> Option<PathBuf> {
    env::var_os(REDIS_SERVER).map(|_| artifact(REDIS_SERVER, "the program `redis-server`"))
}

/// The `node_modules` folder with the OpenAI SDK.
pub fn node_modules() -> PathBuf {
    artifact(
        "TIDEGATE_NODE_MODULES",
        "the node_modules folder with the `openai` package",
    )
}

/// The Python interpreter of an environment with the OpenAI SDK.
pub fn python() -> PathBuf {
    artifact("TIDEGATE_PYTHON", "a Python interpreter with the `openai` package")
}

/// Where it is set, wrangler runs the Worker.
const WRANGLER: &str = "TIDEGATE_WRANGLER_DEV";
/// Where it is set, state is kept in Redis.
const REDIS_SERVER: &str = "TIDEGATE_REDIS_SERVER";

fn artifact(variable: &str, what: &str) -> PathBuf {
    let Some(value) = env::var_os(variable) else {
        panic!("{variable} is not set: it names {what}. Run `cargo xtask test`, which builds it and sets it.");
    };
    let path = PathBuf::from(value);
    assert!(
        path.exists(),
        "{variable} names {}, which does not exist. Run `cargo xtask test`.",
        path.display()
    );
    path
}
