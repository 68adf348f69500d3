//! `tidegate detect`: the detectors over saved answers, for choosing thresholds and for looking back.

mod answer;
mod reading;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use serde_json::json;
use tidegate_core::detect::Detector;

use crate::failure::{Failure, warn};
use answer::Answer;
use reading::Found;

/// What to look at, and for what.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// A JSON value a line: a text, an object with `text`, or an answer as OpenAI's API gives it, whole, with `choices`.
    /// Beside it may stand what the request had: `prompt` or `messages`, `tools`, `max_tokens`. `-` reads standard input.
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,
    /// A JSON object for each finding, and one with the counts at the end.
    #[arg(long)]
    json: bool,
    /// Only what these detectors find.
    #[arg(long, value_name = "DETECTOR", value_delimiter = ',', value_parser = PossibleValuesParser::new(Detector::ALL.map(Detector::name)))]
    only: Vec<String>,
}

const AFTER: &str = "Exit codes:
  0  every line is an answer, and nothing was found in any; or nobody reads the output any more
  1  something was found, and every line is an answer
  2  the file cannot be read, or a line is no answer: it is named, and the others were looked at";

/// Looks at each answer, and prints what is found in it and how much was found in all.
///
/// # Errors
/// When something is found, a line is no answer, or the file cannot be read.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut counts = Counts::default();
    let mut printer = Printer::new();
    for (index, line) in open(&args.file)?.split(b'\n').enumerate() {
        let line = line.map_err(|error| unreadable(&args.file, &error))?;
        let line = line
            .strip_prefix(BYTE_ORDER_MARK)
            .filter(|_| index == 0)
            .unwrap_or(&line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let number = index + 1;
        match found_in(line) {
            Ok(mut found) => {
                found.retain(|found| args.wants(found.finding.detector));
                counts.note(&found);
                let as_told = if args.json { as_json } else { as_text };
                for found in &found {
                    printer.print(&as_told(number, found))?;
                }
            }
            Err(reason) => {
                counts.unreadable += 1;
                warn(&format!("line {number}: {reason}"));
            }
        }
        if printer.is_closed {
            return Ok(());
        }
    }
    printer.print(&if args.json { counts.as_json() } else { counts.as_text() })?;
    counts.conclude()
}

/// What is found in the answer on a line.
fn found_in(line: &[u8]) -> Result<Vec<Found>, String> {
    let line = std::str::from_utf8(line).map_err(|error| format!("no UTF-8: {error}"))?;
    reading::read(&Answer::read(line)?)
}

/// Standard output, until whoever reads it has had enough.
struct Printer {
    out: io::StdoutLock<'static>,
    is_closed: bool,
}

impl Printer {
    fn new() -> Self {
        Self {
            out: io::stdout().lock(),
            is_closed: false,
        }
    }

    fn print(&mut self, line: &str) -> io::Result<()> {
        match writeln!(self.out, "{line}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            written => written,
        }
    }
}

impl Args {
    fn wants(&self, detector: Detector) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == detector.name())
    }
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(Box::new(BufReader::new(file)))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", path.display()))
}

fn as_text(line: usize, found: &Found) -> String {
    let finding = &found.finding;
    format!(
        "line {line}: {} in {} at byte {} (about token {}), score {:.2}: {}",
        finding.detector.name(),
        found.channel,
        finding.at_bytes,
        finding.at_bytes / TOKEN_BYTES,
        finding.score,
        finding.reason,
    )
}

fn as_json(line: usize, found: &Found) -> String {
    let finding = &found.finding;
    json!({
        "line": line,
        "detector": finding.detector,
        "channel": found.channel,
        "at_bytes": finding.at_bytes,
        "score": finding.score,
        "reason": finding.reason,
    })
    .to_string()
}

/// What editors on Windows begin files with.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Of most texts a token has about so many bytes.
const TOKEN_BYTES: u64 = 4;

/// What was found in all.
#[derive(Debug, Default)]
struct Counts {
    answers: u64,
    failed: u64,
    unreadable: u64,
    /// Answers in which each has found something.
    by_detector: BTreeMap<Detector, u64>,
}

impl Counts {
    fn note(&mut self, found: &[Found]) {
        self.answers += 1;
        self.failed += u64::from(!found.is_empty());
        for detector in Detector::ALL {
            if found.iter().any(|found| found.finding.detector == detector) {
                *self.by_detector.entry(detector).or_default() += 1;
            }
        }
    }

    fn as_text(&self) -> String {
        let mut text = format!("{:<12} {:>8}  {:>8}", "detector", "answers", "share");
        let rows = self
            .by_detector
            .iter()
            .map(|(detector, count)| (detector.name(), *count));
        for (name, count) in rows.chain([("any", self.failed)]) {
            text += &format!("\n{name:<12} {count:>8}  {:>7.3}%", self.percent(count));
        }
        text + &format!("\nof {} answers; {} lines are none", self.answers, self.unreadable)
    }

    fn as_json(&self) -> String {
        json!({
            "answers": self.answers,
            "failed": self.failed,
            "unreadable": self.unreadable,
            "by_detector": self.by_detector,
        })
        .to_string()
    }

    fn percent(&self, count: u64) -> f64 {
        100.0 * count as f64 / self.answers.max(1) as f64
    }

    fn conclude(&self) -> Result<(), Failure> {
        match (self.unreadable, self.failed) {
            (0, 0) => Ok(()),
            (0, failed) => Err(Failure::failed(format!(
                "{failed} of {} answers have failed",
                self.answers
            ))),
            (lines, _) => Err(Failure::usage(format!("lines that are no answers: {lines}"))),
        }
    }
}
