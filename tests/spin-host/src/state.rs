//! What one instance owns in the host: its resources, and its way to what all instances share.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::app::App;
use crate::outbound::Outbound;

/// The data of one instance's store.
pub(crate) struct State {
    /// What all instances share.
    pub(crate) app: Arc<App>,
    /// The resources that the instance holds handles of.
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl State {
    /// The state of a new instance.
    pub(crate) fn new(app: Arc<App>) -> Self {
        app.instances.fetch_add(1, Ordering::Relaxed);
        let outbound = Outbound::new(&app);
        let wasi = WasiCtx::builder().inherit_stdout().inherit_stderr().build();
        Self {
            app,
            table: ResourceTable::new(),
            wasi,
            http: WasiHttpCtx::new(),
            outbound,
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.app.instances.fetch_sub(1, Ordering::Relaxed);
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound,
        }
    }
}

/// Names the implementation of Spin's own interfaces to the linker.
pub(crate) struct Spin;

impl HasData for Spin {
    type Data<'a> = &'a mut State;
}
