//! Runs the detectors over the corpus of `cargo xtask bench detectors`, and prints what they find, by kind of text:
//!
//! ```text
//! detectors CORPUS [--show N]
//! ```
//!
//! Blocks are shared out by the document they were cut from: seven in ten are for tuning, three decide, and no threshold
//! was chosen by them. `--show` prints that many texts of each kind that were taken wrongly, of the tuning share alone. It
//! fails when the share that decides misses a target.

mod figures;
mod samples;

use std::hint::black_box;
use std::path::{Path, PathBuf};

use cpu_time::ThreadTime;
use tidegate_core::detect::{Finding, Gibberish, Repetition};

use figures::{Clean, Failed, Totals};
use samples::{Sample, Share, kinds, pieces};

/// What an answer's pieces are like where a token comes at a time, in a few events together: 20 bytes.
const PIECE: usize = 20;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (corpus, show) = match &arguments[..] {
        [corpus] => (PathBuf::from(corpus), 0),
        [corpus, flag, show] if flag == "--show" => (corpus.into(), show.parse().map_err(|_| USAGE.to_owned())?),
        _ => return Err(USAGE.to_owned()),
    };
    let mut totals = Totals::default();
    clean(&corpus.join("clean"), show, &mut totals)?;
    failed(&corpus.join("failed"), show, &mut totals)?;
    speed(&corpus.join("clean"), &mut totals)?;
    totals.conclude()
}

const USAGE: &str = "usage: detectors CORPUS [--show N]";

fn clean(folder: &Path, show: usize, totals: &mut Totals) -> Result<(), String> {
    println!("{}", Clean::HEAD);
    for kind in kinds(folder)? {
        let mut figures = Clean::default();
        let mut shown = 0;
        for sample in kind.samples()? {
            let found = first(&sample.text);
            if let (Some(found), Share::Tuning, true) = (&found, sample.share(), shown < show) {
                shown += 1;
                eprintln!(
                    "{}: {} at byte {}: {}",
                    sample.document,
                    found.detector.name(),
                    found.at_bytes,
                    found.reason
                );
            }
            figures.note(&sample, found.is_some());
        }
        println!("{}", figures.row(&kind.name));
        totals.clean.add(&figures);
    }
    println!("{}\n", totals.clean.row("**all**"));
    Ok(())
}

fn failed(folder: &Path, show: usize, totals: &mut Totals) -> Result<(), String> {
    println!("{}", Failed::HEAD);
    for kind in kinds(folder)? {
        let mut figures = Failed::default();
        let mut shown = 0;
        for sample in kind.samples()? {
            let found = first(&sample.text);
            if found.is_none() && sample.share() == Share::Tuning && shown < show {
                shown += 1;
                let failure: String = sample.text[sample.from..].chars().take(100).collect();
                eprintln!("{}: missed {failure:?}", kind.name);
            }
            figures.note(&sample, found.as_ref());
        }
        println!("{}", figures.row(&kind.name));
        totals.add(&kind.name, &figures);
    }
    println!("{}", totals.loops.row("**loops**"));
    println!("{}\n", totals.gibberish.row("**gibberish**"));
    Ok(())
}

/// What is found first.
fn first(text: &str) -> Option<Finding> {
    let (mut repetition, mut gibberish) = (Repetition::default(), Gibberish::default());
    pieces(text, PIECE).find_map(|piece| repetition.push(piece).or_else(|| gibberish.push(piece)))
}

/// How fast both read, in one answer after the other, in pieces.
fn speed(folder: &Path, totals: &mut Totals) -> Result<(), String> {
    let mut texts = Vec::new();
    for kind in kinds(folder)? {
        texts.extend(kind.samples()?.into_iter().take(200).map(|sample: Sample| sample.text));
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    for _ in 0..ROUNDS {
        let begun = ThreadTime::now();
        let mut chunks = 0;
        for text in &texts {
            let (mut repetition, mut gibberish) = (Repetition::default(), Gibberish::default());
            for piece in pieces(text, PIECE) {
                chunks += 1;
                black_box(repetition.push(piece).is_some() | gibberish.push(piece).is_some());
            }
        }
        totals.time(bytes, chunks, begun.elapsed());
    }
    totals.stream_bytes = size_of::<Repetition>() + size_of::<Gibberish>();
    Ok(())
}

/// The best of so many counts: what else the machine does only makes it slower.
const ROUNDS: usize = 5;
