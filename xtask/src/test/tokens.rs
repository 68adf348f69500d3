//! Token counts against the libraries that they have to agree with: over a corpus, over chats, over texts drawn at random;
//! and with tables that were damaged.

use std::path::Path;
use std::time::Duration;

use crate::command::Run;
use crate::error::TaskError;
use crate::packages::{OPTIMISED, TOKENS};
use crate::setup::token_tables;

/// Runs the tests, optimised: they count hundreds of megabytes. `tidegate` compiles the tables, `corpus` is the folder
/// of texts, `chats` the file of conversations that Python has rendered.
pub fn counts(tidegate: &Path, corpus: &Path, chats: &Path) -> Result<(), TaskError> {
    Run::cargo()
        .args(["test", "--package", TOKENS, "--profile", OPTIMISED])
        .env("TIDEGATE_TOKENS", token_tables(tidegate)?)
        .env("TIDEGATE_CORPUS", corpus)
        .env("TIDEGATE_TEMPLATE_CASES", chats)
        .limit(LIMIT)
        .shown()
}

/// With the compilation they take some minutes on two cores.
const LIMIT: Duration = Duration::from_mins(20);
