//! What one thread does for the whole process now and then: the core's upkeep, asking engines, the store's sweep, and a look
//! at the configuration file.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::Gateway;
use tidegate_core::observe::StoreAccess;
use tokio::sync::Notify;

use crate::clock::now;
use crate::config_file::ConfigFile;
use crate::platform::NativePlatform;
use crate::store::SWEEP_EVERY;
use crate::worker::every;

/// The chores of a process.
#[derive(Debug)]
pub struct Chores {
    /// The file that the gateway was started with.
    pub config_file: ConfigFile,
    /// Says that the file shall be read now.
    pub reload: Arc<Notify>,
}

impl Chores {
    /// Does them on this thread until it ends.
    pub fn start(self, gateway: &Arc<Gateway>, platform: &NativePlatform) {
        let (maintained, maintaining) = (Arc::clone(gateway), platform.clone());
        every(MAINTAIN_EVERY, async move || {
            maintained.maintain(maintaining.clone()).await
        });
        let (asking, asked) = (Arc::clone(gateway), platform.clone());
        every(ASK_ENGINES_EVERY, async move || asking.poll_engines(&asked));
        let (told, kept) = (Arc::clone(gateway), platform.clone());
        every(KEEP_EVERY, async move || {
            let done = kept.state().keep_cells().await;
            told.on_store(now(), StoreAccess::Write, done);
        });
        let swept = platform.clone();
        // What cannot be swept stays for the next time; that the store fails is told where it is noticed first.
        every(SWEEP_EVERY, async move || drop(swept.state().sweep().await));
        drop(tokio::task::spawn_local(self.config_file.watch(
            self.reload,
            Arc::clone(gateway),
            platform.clone(),
        )));
    }
}

/// Time between two times that cells' records are written: what a process that is killed may forget, and how often a store
/// that fails is tried again.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// Time between two times that it is seen to whether engines are to be asked what they say of themselves: the core knows when.
const ASK_ENGINES_EVERY: Duration = Duration::from_millis(250);
/// Time between two calls of the core's upkeep.
const MAINTAIN_EVERY: Duration = Duration::from_secs(20);
