//! Which packages are built together. Cargo unites the features of what is selected in one call: always selecting the
//! same packages keeps it from compiling a dependency twice.

/// What runs on the machine itself, tests left out.
pub const NATIVE: &[&str] = &[
    "tidegate-core",
    "tidegate-native",
    "tidegate-virtual",
    "tidegate-simulator",
    "tidegate",
    "tidegate-load",
];
/// The contract suite.
pub const CONTRACT: &str = "tidegate-tests";
/// Real engines, recorded, and with the gateway before them.
pub const ENGINES: &str = "tidegate-engines";
/// The tests of the token counter against the libraries that it has to agree with.
pub const TOKENS: &str = "tidegate-tokens-tests";
/// The token counter beside other libraries.
pub const TOKENS_BENCH: &str = "tidegate-tokens-bench";
/// What runs it in wasmtime.
pub const TOKENS_WASMTIME: &str = "tidegate-tokens-wasmtime";
/// What is compiled for wasm.
pub const WASM: &[&str] = &[
    "tidegate-cloudflare",
    "tidegate-spin",
    "tidegate-bare-cloudflare",
    "tidegate-bare-spin",
];
/// Those of them with tests of their own, which run on the machine itself.
pub const WASM_ADAPTERS: &[&str] = &["tidegate-cloudflare", "tidegate-spin"];
/// The tests' own host for Spin components.
pub const SPIN_HOST: &str = "tidegate-spin-host";
/// The profile that it is built, tested and linted in: it takes minutes to compile, so once has to be enough.
pub const SPIN_HOST_PROFILE: &str = OPTIMISED;
/// The profile of programs that have to be quick, and run here only.
pub const OPTIMISED: &str = "host";

/// `--package A --package B …`
pub fn selected<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    packages.iter().flat_map(|package| ["--package", package]).collect()
}
