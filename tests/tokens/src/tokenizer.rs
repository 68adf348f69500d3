//! One tokenizer twice: as the gateway's table, and as the library that its table has to agree with.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tidegate_core::tokens::Table;
use tokenizers::pipeline::{EncodeOptions, PipelineToken, PipelineTokenizer};

/// A table and its reference.
pub struct Tokenizer {
    /// What the table's file is called.
    pub name: String,
    /// The table's file.
    pub path: PathBuf,
    /// What is tested.
    pub table: Table,
    reference: PipelineTokenizer,
}

impl Tokenizer {
    /// The ids that the gateway finds in `text`.
    pub fn ids(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.table.encode(text, |id| ids.push(id));
        ids
    }

    /// The ids that the Rust crate `tokenizers` finds in `text`, without special tokens around it.
    ///
    /// # Panics
    /// When the library fails.
    pub fn reference_ids(&self, text: &str) -> Vec<u32> {
        let mut tokens: Vec<PipelineToken> = Vec::new();
        let encoded = self
            .reference
            .encode_into(text, &EncodeOptions::no_specials(), &mut tokens);
        encoded.unwrap_or_else(|error| panic!("the reference of {} fails: {error}", self.name));
        tokens.into_iter().map(PipelineToken::id).collect()
    }

    /// Says where the gateway and the reference differ, as [`Self::difference`] does, unless the reference
    /// [errs](reference_errs).
    pub fn disagreement(&self, text: &str) -> Option<String> {
        self.difference(text).filter(|_| !reference_errs(text))
    }

    /// Says where the gateway and the reference differ on `text`, if they do; also when the count is not that of the ids.
    pub fn difference(&self, text: &str) -> Option<String> {
        let (ours, reference) = (self.ids(text), self.reference_ids(text));
        let count = self.table.count(text).0;
        if ours == reference && count == ours.len() as u64 {
            return None;
        }
        let at = ours.iter().zip(&reference).take_while(|(a, b)| a == b).count();
        let near = |ids: &[u32]| format!("{:?}", &ids[at.min(ids.len())..(at + 6).min(ids.len())]);
        Some(format!(
            "{}: count {count}, {} ids, the reference has {}; from the id at {at}: {}, the reference {}",
            self.name,
            ours.len(),
            reference.len(),
            near(&ours),
            near(&reference),
        ))
    }
}

/// Whether the Rust crate may find other ids than the regular expressions of the tokenizer do: where case is ignored,
/// U+017F is an s, and its splitter does not know that. The gateway does, as the library in Python, which engines use.
pub fn reference_errs(text: &str) -> bool {
    text.contains("'ſ")
}

/// All tokenizers that there are, at least one.
///
/// # Panics
/// When there are none, or one cannot be opened.
pub fn tokenizers() -> Vec<Tokenizer> {
    let folder =
        PathBuf::from(std::env::var_os("TIDEGATE_TOKENS").expect("TIDEGATE_TOKENS names the folder of tables"));
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tokens"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are no tables in {}", folder.display());
    paths.into_iter().map(|path| open(&folder, path)).collect()
}

fn open(folder: &Path, path: PathBuf) -> Tokenizer {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let source = folder.join("sources").join(&name).join("tokenizer.json");
    let canonical =
        tokenizers::canonicalize_file(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    Tokenizer {
        table: Table::open(bytes).unwrap_or_else(|error| panic!("{name}: {error}")),
        reference: tokenizers::from_json(&canonical).unwrap_or_else(|error| panic!("{name}: {error}")),
        name,
        path,
    }
}

/// The digest of ids, as the Python oracle writes it.
pub fn digest_of_ids(ids: &[u32]) -> String {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    digest(&bytes)
}

/// The first eight bytes of the SHA-256, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
