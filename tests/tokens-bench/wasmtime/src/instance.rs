//! The bench module in wasmtime, called as the JavaScript that wasm-bindgen writes for it would call it. It is the module
//! before wasm-bindgen has put JavaScript's references into it: functions with several results write them to memory.

use wasmtime::error::Context as _;
use wasmtime::{Func, Linker, Memory, Module, Result, Store, TypedFunc, WasmParams};

/// Bytes in the module's memory.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    at: u32,
    length: u32,
}

/// One instance, and the library that it has open.
pub struct Instance {
    store: Store<()>,
    instance: wasmtime::Instance,
    memory: Memory,
    allocate: TypedFunc<(u32, u32), u32>,
    results: u32,
    bench: u32,
}

impl Instance {
    /// A fresh instance. What the module would import of JavaScript, it gets traps for.
    ///
    /// # Errors
    /// When the module is not the bench's.
    pub fn new(module: &Module) -> Result<Self> {
        let mut store = Store::new(module.engine(), ());
        store.set_epoch_deadline(u64::MAX / 2);
        let mut linker = Linker::new(module.engine());
        linker.define_unknown_imports_as_traps(module)?;
        let instance = linker.instantiate(&mut store, module)?;
        let memory = instance
            .get_memory(&mut store, "memory")
            .context("the module has no memory")?;
        let allocate: TypedFunc<(u32, u32), u32> = instance.get_typed_func(&mut store, "__wbindgen_malloc")?;
        let results = allocate.call(&mut store, (RESULT_BYTES, 8))?;
        Ok(Self {
            store,
            instance,
            memory,
            allocate,
            results,
            bench: 0,
        })
    }

    /// Bytes of the instance's memory, of which it never gives any back.
    ///
    /// # Errors
    /// When the module traps.
    pub fn memory_bytes(&mut self) -> Result<f64> {
        Ok(self.memory.data_size(&self.store) as f64)
    }

    /// Puts bytes into the module's memory; the next call that takes them owns them.
    ///
    /// # Errors
    /// When the module has no memory for them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Written> {
        let length = u32::try_from(bytes.len())?;
        let at = self.allocate.call(&mut self.store, (length, 1))?;
        self.memory.write(&mut self.store, at as usize, bytes)?;
        Ok(Written { at, length })
    }

    /// Opens a table.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(&mut self, table: Written) -> Result<()> {
        let library = self.write(b"tidegate")?;
        let arguments = (self.results, library.at, library.length, table.at, table.length);
        self.call("bench_new", arguments)?;
        let [bench, _, is_thrown, _] = self.results()?;
        wasmtime::ensure!(is_thrown == 0, "the table cannot be opened");
        self.bench = bench;
        Ok(())
    }

    /// Keeps a text to be counted.
    ///
    /// # Errors
    /// When the module traps.
    pub fn take(&mut self, text: &str) -> Result<()> {
        let text = self.write(text.as_bytes())?;
        self.call("bench_take", (self.bench, text.at, text.length))
    }

    /// Counts the kept text so many times, and returns how many tokens it is.
    ///
    /// # Errors
    /// When the module traps.
    pub fn count(&mut self, times: u32) -> Result<f64> {
        self.call("bench_count", (self.results, self.bench, times))?;
        let [low, high, _, is_thrown] = self.results()?;
        wasmtime::ensure!(is_thrown == 0, "the text cannot be counted");
        Ok(f64::from_bits(u64::from(high) << 32 | u64::from(low)))
    }

    /// Calls the function whose name is this one with a digest behind it.
    fn call(&mut self, name: &str, arguments: impl WasmParams) -> Result<()> {
        let is_named = |export: &str| export.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
        let exports = self.instance.exports(&mut self.store);
        let found: Option<Func> = exports
            .filter(|export| is_named(export.name()))
            .find_map(|export| export.into_func());
        let function = found.context("the module lacks a function")?;
        function.typed(&self.store)?.call(&mut self.store, arguments)
    }

    /// What the last function wrote: a value of one or two words, then what it throws in place of it, and whether it does
    /// (wasm-bindgen 0.2, `ResultAbi` in `convert/impls.rs`).
    fn results(&mut self) -> Result<[u32; 4]> {
        let mut bytes = [0; RESULT_BYTES as usize];
        self.memory.read(&self.store, self.results as usize, &mut bytes)?;
        let word = |at| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Ok([0, 4, 8, 12].map(word))
    }
}

const RESULT_BYTES: u32 = 16;
