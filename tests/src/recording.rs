//! What real engines sent, kept byte for byte below `tests/recordings/`, and what it says, read as slowly and plainly as
//! can be: the reference for what the gateway makes of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// One answer of an engine.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The folder, which names the engine and its version, and the file: `vllm-0.32.0/chat-stream`.
    pub name: String,
    /// All of it as it came over a connection that the engine then closed.
    pub bytes: Vec<u8>,
}

/// What an answer says, a stream or a whole one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// By the number of the choice.
    pub choices: BTreeMap<u64, Choice>,
    /// The figures of the usage that came last: of the prompt, of the output.
    pub usage: Option<(u64, u64)>,
    /// An error's words.
    pub error: Option<String>,
}

/// What one choice says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Its text.
    pub content: String,
    /// Its reasoning, by whichever name.
    pub reasoning: String,
    /// Names and arguments of the tools that it calls, by their numbers.
    pub calls: BTreeMap<u64, (String, String)>,
    /// The tokens whose probabilities are told.
    pub tokens: Vec<String>,
    /// Why it ended.
    pub finish_reason: Option<String>,
}

impl Recording {
    /// All of them but pages of metrics, which no client asks for, in the order of their names.
    pub fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
        let mut all: Vec<Self> = entries(&root)
            .flat_map(|engine| entries(&engine))
            .filter_map(|file| read(&file))
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        assert!(!all.is_empty(), "no recordings in {}", root.display());
        all
    }

    /// The name without the engine's.
    pub fn case(&self) -> &str {
        self.name.split('/').next_back().unwrap_or_default()
    }

    /// Whether it is an answer to a request for a stream.
    pub fn is_stream(&self) -> bool {
        self.case().contains("stream")
    }

    /// Where it was asked for.
    pub fn path(&self) -> &'static str {
        match self.case() {
            "error-embeddings" => "/v1/embeddings",
            case if case.starts_with("completion") => "/v1/completions",
            _ => "/v1/chat/completions",
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        let code = self.bytes.get(9..12).and_then(|code| std::str::from_utf8(code).ok());
        code.and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.bytes[..self.head_length()]).into_owned();
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(present, _)| present.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim().to_owned())
    }

    /// The body without its framing.
    pub fn body(&self) -> Vec<u8> {
        let framed = &self.bytes[self.head_length()..];
        match self.header("transfer-encoding") {
            Some(coding) if coding == "chunked" => unframed(framed),
            Some(_) | None => framed.to_vec(),
        }
    }

    /// What it says.
    pub fn said(&self) -> Said {
        Said::of(&self.body())
    }

    fn head_length(&self) -> usize {
        let end = self.bytes.windows(4).position(|window| window == b"\r\n\r\n");
        end.expect("a recording has a head") + 4
    }
}

impl Said {
    /// What a body says, be it JSON or events.
    pub fn of(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let mut said = Self::default();
        if let Ok(whole) = serde_json::from_str(&text) {
            said.hear(&whole);
            return said;
        }
        for line in text.lines() {
            let data = line.strip_prefix("data:").or_else(|| line.strip_prefix("error:"));
            if let Some(chunk) = data.and_then(|data| serde_json::from_str(data.trim()).ok()) {
                said.hear(&chunk);
            }
        }
        said
    }

    fn hear(&mut self, message: &Value) {
        for choice in message["choices"].as_array().into_iter().flatten() {
            let number = choice["index"].as_u64().unwrap_or_default();
            self.choices.entry(number).or_default().hear(choice);
        }
        let usage = &message["usage"];
        if let (Some(prompt), Some(output)) = (usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64()) {
            self.usage = Some((prompt, output));
        }
        let error = &message["error"];
        let words = error["message"]
            .as_str()
            .or(error.as_str())
            .or(message["detail"].as_str());
        if let Some(words) = words.or_else(|| message["message"].as_str()) {
            self.error = Some(words.to_owned());
        }
    }
}

impl Choice {
    fn hear(&mut self, choice: &Value) {
        let message = if choice["delta"].is_object() {
            &choice["delta"]
        } else {
            &choice["message"]
        };
        let texts = [&message["content"], &choice["text"]];
        texts
            .iter()
            .filter_map(|text| text.as_str())
            .for_each(|text| self.content.push_str(text));
        let reasoning = message["reasoning_content"].as_str().or(message["reasoning"].as_str());
        self.reasoning.push_str(reasoning.unwrap_or_default());
        for (position, call) in (0..).zip(message["tool_calls"].as_array().into_iter().flatten()) {
            let number = call["index"].as_u64().unwrap_or(position);
            let (name, arguments) = self.calls.entry(number).or_default();
            name.push_str(call["function"]["name"].as_str().unwrap_or_default());
            arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
        }
        let logprobs = &choice["logprobs"];
        let tokens = logprobs["content"].as_array().or(logprobs["tokens"].as_array());
        let text = |token: &Value| {
            token["token"]
                .as_str()
                .or(token.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        self.tokens.extend(tokens.into_iter().flatten().map(text));
        if let Some(reason) = choice["finish_reason"].as_str().filter(|reason| !reason.is_empty()) {
            self.finish_reason = Some(reason.to_owned());
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path())
}

/// A recording of an answer that a client gets.
fn read(file: &Path) -> Option<Recording> {
    let case = file.file_stem()?.to_str()?;
    let engine = file.parent()?.file_name()?.to_str()?;
    let is_answer = ["chat", "completion", "error"]
        .iter()
        .any(|kind| case.starts_with(kind));
    (is_answer && file.extension()? == "http").then(|| Recording {
        name: format!("{engine}/{case}"),
        bytes: fs::read(file).expect("the recording can be read"),
    })
}

/// What stands in the chunks of a chunked body.
fn unframed(mut framed: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = framed.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&framed[..line]).ok();
        let size = size
            .and_then(|size| usize::from_str_radix(size, 16).ok())
            .expect("a chunk's size");
        let end = (line + 2 + size).min(framed.len());
        body.extend_from_slice(&framed[line + 2..end]);
        framed = &framed[(end + 2).min(framed.len())..];
    }
    body
}
