//! What was found, and whether that is good enough.

use std::time::Duration;

use tidegate_core::detect::Finding;

use crate::samples::{Sample, Share};

/// Targets: of clean answers, one in so many may be taken for a failure.
const CLEAN_PER_FALSE: usize = 10_000;
/// Of a hundred loops, and of gibberish, so many have to be found.
const LOOPS_FOUND: f64 = 99.0;
const GIBBERISH_FOUND: f64 = 95.0;
/// Megabytes a second, both detectors together.
const MB_PER_SECOND: f64 = 200.0;
/// Memory for an answer, both together.
const STREAM_BYTES: usize = 6 * 1024;
/// About so many bytes are a token.
const TOKEN_BYTES: usize = 4;
/// A unit has to come around so often before it is a loop.
const LEAST_REPEATS: usize = 4;

/// Kinds that no detector claims to find: they are listed, and no part of the totals. Where only figures change or come,
/// a task may have asked for it; walks that remember letters, or draw whole words, need a
/// model of the language, and the one of letters is for Latin ones.
const NOT_CLAIMED: [&str; 7] = [
    "counter-figures",
    "counter-prose",
    "gibberish-characters-1-other",
    "gibberish-characters-2",
    "gibberish-characters-3",
    "gibberish-tokens-1",
    "gibberish-tokens-2",
];

/// Of clean blocks, by share: how many there are, and how many were taken for failures.
#[derive(Debug, Default)]
pub struct Clean {
    blocks: [usize; 2],
    bytes: [usize; 2],
    wrong: [usize; 2],
}

/// Of failures, by share.
#[derive(Debug, Default)]
pub struct Failed {
    samples: [usize; 2],
    /// Taken for a failure before they were.
    early: [usize; 2],
    /// How late each was found, in tokens.
    late: [Vec<usize>; 2],
}

/// Of everything.
#[derive(Debug, Default)]
pub struct Totals {
    /// Clean blocks.
    pub clean: Clean,
    /// All kinds of loops.
    pub loops: Failed,
    /// All kinds of gibberish.
    pub gibberish: Failed,
    /// Both detectors' size.
    pub stream_bytes: usize,
    mb_per_second: f64,
    chunk_ns: f64,
}

impl Clean {
    /// Of a table of rows.
    pub const HEAD: &str =
        "| clean | tuning: blocks | MB | false | held out: blocks | MB | false |\n|---|--:|--:|--:|--:|--:|--:|";

    /// Counts a block.
    pub fn note(&mut self, sample: &Sample, is_wrong: bool) {
        let share = place(sample.share());
        self.blocks[share] += 1;
        self.bytes[share] += sample.text.len();
        self.wrong[share] += usize::from(is_wrong);
    }

    /// Counts what another counted.
    pub fn add(&mut self, other: &Self) {
        for share in [0, 1] {
            self.blocks[share] += other.blocks[share];
            self.bytes[share] += other.bytes[share];
            self.wrong[share] += other.wrong[share];
        }
    }

    /// Of the table.
    pub fn row(&self, kind: &str) -> String {
        let share = |share: usize| {
            let megabytes = self.bytes[share] as f64 / 1e6;
            format!("{} | {megabytes:.1} | {}", self.blocks[share], self.wrong[share])
        };
        format!("| {kind} | {} | {} |", share(0), share(1))
    }
}

impl Failed {
    /// Of a table of rows.
    pub const HEAD: &str = "| failed | tuning: answers | found | early | tokens late, p50 / p99 / most | held out: answers | found | early | tokens late, p50 / p99 / most |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|";

    /// Counts a failure.
    pub fn note(&mut self, sample: &Sample, found: Option<&Finding>) {
        let share = place(sample.share());
        self.samples[share] += 1;
        let Some(found) = found else { return };
        let at = found.at_bytes as usize;
        if at < sample.from {
            self.early[share] += 1;
        } else {
            let certain = sample.from + LEAST_REPEATS * sample.unit;
            self.late[share].push(at.saturating_sub(certain) / TOKEN_BYTES);
        }
    }

    fn add(&mut self, other: &Self) {
        for share in [0, 1] {
            self.samples[share] += other.samples[share];
            self.early[share] += other.early[share];
            self.late[share].extend(&other.late[share]);
        }
    }

    /// In percent, of the share that decides.
    fn found(&self) -> f64 {
        percent(self.late[1].len(), self.samples[1])
    }

    /// Of the table.
    pub fn row(&self, kind: &str) -> String {
        let share = |share: usize| {
            let mut late = self.late[share].clone();
            late.sort_unstable();
            let at = |part: f64| late.get((late.len() as f64 * part) as usize).or(late.last());
            let [half, most_all, last] =
                [0.5, 0.99, 1.0].map(|part| at(part).map_or("-".to_owned(), ToString::to_string));
            let found = percent(late.len(), self.samples[share]);
            format!(
                "{} | {found:.1}% | {} | {half} / {most_all} / {last}",
                self.samples[share], self.early[share]
            )
        };
        format!("| {kind} | {} | {} |", share(0), share(1))
    }
}

impl Totals {
    /// Counts a kind of failure.
    pub fn add(&mut self, kind: &str, figures: &Failed) {
        if NOT_CLAIMED.contains(&kind) {
            return;
        }
        let sort = if kind.starts_with("gibberish") {
            &mut self.gibberish
        } else {
            &mut self.loops
        };
        sort.add(figures);
    }

    /// Notes a round.
    pub fn time(&mut self, bytes: usize, chunks: usize, took: Duration) {
        let megabytes = bytes as f64 / 1e6 / took.as_secs_f64();
        if megabytes > self.mb_per_second {
            self.mb_per_second = megabytes;
            self.chunk_ns = took.as_nanos() as f64 / chunks as f64;
        }
    }

    /// Prints what decides.
    ///
    /// # Errors
    /// When a target is missed.
    pub fn conclude(&self) -> Result<(), String> {
        let (wrong, blocks) = (self.clean.wrong[1], self.clean.blocks[1]);
        println!("not claimed, and no part of the totals: {}", NOT_CLAIMED.join(", "));
        println!(
            "{:.0} MB/s, {:.0} ns for 20 bytes, {} bytes an answer",
            self.mb_per_second, self.chunk_ns, self.stream_bytes
        );
        let targets = [
            (
                wrong * CLEAN_PER_FALSE <= blocks,
                format!("{wrong} of {blocks} clean blocks are false alarms"),
            ),
            (
                self.loops.found() >= LOOPS_FOUND,
                format!("{:.2}% of loops are found", self.loops.found()),
            ),
            (
                self.gibberish.found() >= GIBBERISH_FOUND,
                format!("{:.2}% of gibberish is found", self.gibberish.found()),
            ),
            (
                self.mb_per_second >= MB_PER_SECOND,
                format!("{:.0} MB/s", self.mb_per_second),
            ),
            (
                self.stream_bytes <= STREAM_BYTES,
                format!("{} bytes an answer", self.stream_bytes),
            ),
        ];
        let missed: Vec<String> = targets
            .into_iter()
            .filter(|(is_met, _)| !is_met)
            .map(|(_, what)| what)
            .collect();
        if missed.is_empty() {
            Ok(())
        } else {
            Err(format!("held out: {}", missed.join("; ")))
        }
    }
}

fn place(share: Share) -> usize {
    match share {
        Share::Tuning => 0,
        Share::HeldOut => 1,
    }
}

fn percent(part: usize, all: usize) -> f64 {
    100.0 * part as f64 / all.max(1) as f64
}
