//! Compiles the component and links it to what the host offers, with Spin's settings of the engine where they matter
//! to speed.

use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{Component, Linker};
use wasmtime::error::Context as _;
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ProfilingStrategy, Result,
};
use wasmtime_wasi_http::handler::ProxyHandler;

use crate::app::App;
use crate::bindings::{key_value, redis, sqlite, variables};
use crate::state::{Spin, State};
use crate::worker::{Instances, Reuse};

/// Loads the component at `path`. With `perf_map`, perf learns the names of its functions.
///
/// # Errors
/// When it cannot be read or compiled, or imports what this host does not offer.
pub(crate) fn load(path: &Path, app: Arc<App>, reuse: Reuse, perf_map: bool) -> Result<ProxyHandler<Instances>> {
    let mut config = config()?;
    if perf_map {
        config.profiler(ProfilingStrategy::PerfMap);
    }
    let engine = Engine::new(&config)?;
    let component = Component::from_file(&engine, path).with_context(|| format!("cannot load {}", path.display()))?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    key_value::add_to_linker::<State, Spin>(&mut linker, |state| state)?;
    redis::add_to_linker::<State, Spin>(&mut linker, |state| state)?;
    sqlite::add_to_linker::<State, Spin>(&mut linker, |state| state)?;
    variables::add_to_linker::<State, Spin>(&mut linker, |state| state)?;
    let component = linker
        .instantiate_pre(&component)
        .with_context(|| format!("cannot link {}", path.display()))?;
    Ok(ProxyHandler::new(Instances::new(engine, component, app, reuse)?))
}

fn config() -> Result<Config> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MOST_INSTANCES)
        .total_memories(MOST_INSTANCES)
        .total_tables(2 * MOST_INSTANCES)
        .total_stacks(MOST_INSTANCES)
        .total_core_instances(4 * MOST_INSTANCES)
        .table_elements(100_000)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(1 << 19);
    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .cache(Some(Cache::new(CacheConfig::new())?));
    Ok(config)
}

/// Instances that may live at once: Spin's default.
const MOST_INSTANCES: u32 = 1_000;
