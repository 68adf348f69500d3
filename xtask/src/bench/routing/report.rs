//! The tables: what each contender reached, and what that is beside round robin.

use std::fmt::Write as _;

use super::contenders::Contender;
use super::engines::REPLICAS;
use super::overload;
use super::run::{Measured, Traffic};
use super::schedule::Schedule;
use super::workloads::Workload;

/// A workload and who was measured with it.
#[derive(Debug)]
pub struct Section {
    /// Which one.
    pub workload: Workload,
    /// What was sent.
    pub schedule: Schedule,
    /// How many times as fast as real ones the engines were.
    pub speed: f64,
    /// In the order of measuring.
    pub entries: Vec<Entry>,
}

/// A contender, and how it went.
#[derive(Debug)]
pub struct Entry {
    /// Who.
    pub contender: Contender,
    /// How it did.
    pub outcome: Outcome,
}

/// What is told of a contender.
#[derive(Debug)]
pub enum Outcome {
    /// Its figures.
    Measured(Measured),
    /// Why there are none.
    Absent(String),
}

impl Section {
    /// The table, with what it is about before it.
    pub fn table(&self) -> String {
        let demand = &self.schedule.demand;
        let [cached, uncached] = self.schedule.load(REPLICAS).map(|load| load * 100.0);
        let count = self.schedule.requests.len();
        let mut text = format!(
            "\n### {}\n\n{count} requests in {:.0} engine seconds, {:.0} prompt tokens each on average, {:.1}% of them \
             possible with one endless cache for all. A load of {cached:.0}% with all of these found, of {uncached:.0}% \
             with none. Time x {}.\n\n",
            self.workload.name(),
            self.schedule.span_s,
            demand.prompt_tokens as f64 / count.max(1) as f64,
            demand.possible() * 100.0,
            self.speed,
        );
        text.push_str(if self.workload == Workload::Overload {
            overload::HEAD
        } else {
            HEAD
        });
        let base = self.measured(Contender::Nginx);
        for Entry { contender, outcome } in &self.entries {
            // Writing to a string does not fail.
            let _ = match outcome {
                Outcome::Measured(measured) if self.workload == Workload::Overload => {
                    writeln!(text, "{}", overload::row(*contender, measured))
                }
                Outcome::Measured(measured) => writeln!(text, "{}", row(*contender, measured, base)),
                Outcome::Absent(why) => writeln!(text, "| {} | absent: {} |", contender.title(), last_line(why)),
            };
        }
        let late = self
            .all_measured()
            .map(|(_, measured)| measured.late_ms)
            .fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "\n99% of requests were sent at most {:.2} engine seconds late.",
            late * self.speed / 1e3
        );
        for (contender, measured) in self.all_measured().filter(|(_, measured)| measured.failed > 0) {
            let (title, failure) = (contender.title(), one_line(&measured.failure));
            let _ = writeln!(text, "\n{title}: {} failed, the first: {failure}", measured.failed);
        }
        text
    }

    /// The figures of a contender, if there are some.
    pub fn measured(&self, contender: Contender) -> Option<&Measured> {
        self.all_measured()
            .find(|(other, _)| *other == contender)
            .map(|(_, measured)| measured)
    }

    /// All that have figures.
    pub fn all_measured(&self) -> impl Iterator<Item = (Contender, &Measured)> {
        self.entries.iter().filter_map(|entry| match &entry.outcome {
            Outcome::Measured(measured) => Some((entry.contender, measured)),
            Outcome::Absent(_) => None,
        })
    }
}

/// All tables.
pub fn document(sections: &[Section]) -> String {
    let tables: String = sections.iter().map(Section::table).collect();
    format!("{INTRODUCTION}{tables}")
}

fn row(contender: Contender, measured: &Measured, base: Option<&Measured>) -> String {
    let [mean, median, p99] = measured.ttft_s;
    let ratio = |own: f64, base: Option<f64>| base.map_or("n/a".to_owned(), |base| format!("{:.2}", own / base));
    let ratios = [0, 2].map(|at| ratio(measured.ttft_s[at], base.map(|base| base.ttft_s[at])));
    let Traffic { reads, writes, permits } = measured.traffic;
    let told = |figure: Option<f64>, digits: usize| match figure {
        Some(figure) => format!("{figure:.digits$}"),
        None if contender.gateways() > 0 => "n/a".to_owned(),
        None => String::new(),
    };
    let cells = [
        contender.title().to_owned(),
        format!("{:.1}%", measured.hits * 100.0),
        format!("{mean:.2}"),
        format!("{median:.2}"),
        format!("{p99:.2}"),
        ratios[0].clone(),
        ratios[1].clone(),
        format!("{:.2}", measured.imbalance),
        measured.completed.to_string(),
        measured.failed.to_string(),
        format!("{:.3}", measured.outside_s),
        told(reads, 3),
        told(writes, 3),
        told(permits, 2),
        told(measured.traffic.kv_dollars(), 2),
    ];
    format!("| {} |", cells.join(" | "))
}

/// What a program said last is why it failed.
fn last_line(text: &str) -> String {
    one_line(text.lines().last().unwrap_or_default().trim_start_matches([' ', '|']))
}

fn one_line(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|char| if char == '\n' || char == '|' { ' ' } else { char })
        .collect();
    line.chars().take(160).collect()
}

const INTRODUCTION: &str = "Written by `cargo xtask bench routing`: all routers of a table in one run, with the same \
requests at the same times, before eight simulated replicas of a 70B model on four H100 each \
([what they simulate](simulated-engine.md)), whose caches are empty at first. All times are seconds of the engines; x RR \
is the share of round robin's in the same run. *Busiest* is what the busiest replica computed of prompts over the mean. \
*Outside* is the part of the mean TTFT that was spent outside of engines: in the router, and in this machine, times the \
speed-up. Index reads, writes and permits that the cluster's cell was asked for are per request; KV $ is what a million requests cost at Workers \
KV's list price ($0.50 a million reads, $5.00 a million writes).\n\n\
The *oracle* is no router and no hop: the load generator itself replays what every engine's cache holds, and sends each request to \
the replica with the least queued and own uncached tokens. It says what is to be had with these caches, not what is \
best: it looks neither ahead nor at decoding, and rather computes a prompt anew than has it wait. *Possible* is what one cache for all that forgets nothing would find.\n";

const HEAD: &str = "| router | prefix hits | TTFT mean | p50 | p99 | mean x RR | p99 x RR | busiest | completed | failed | \
outside | reads | writes | permits | KV $ |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(contender: Contender, mean: f64) -> Entry {
        let measured = Measured {
            hits: 0.125,
            ttft_s: [mean, 1.0, 8.0],
            failed: u64::from(mean > 3.0),
            failure: "503 |\nbusy".to_owned(),
            ..Measured::default()
        };
        Entry {
            contender,
            outcome: Outcome::Measured(measured),
        }
    }

    #[test]
    fn figures_stand_beside_round_robins_and_nobody_is_left_out() {
        let absent = Entry {
            contender: Contender::VllmRouter,
            outcome: Outcome::Absent("`pip` failed\n    | warning\n    | no such version".to_owned()),
        };
        let section = Section {
            workload: Workload::Unique,
            schedule: Schedule::new(Vec::new(), 0.65, REPLICAS),
            speed: 16.0,
            entries: vec![entry(Contender::Nginx, 4.0), absent, entry(Contender::Tidegate1, 2.0)],
        };
        let table = section.table();
        assert!(
            table.contains("| nginx, round robin | 12.5% | 4.00 | 1.00 | 8.00 | 1.00 | 1.00 |"),
            "{table}"
        );
        assert!(
            table.contains("| Tidegate | 12.5% | 2.00 | 1.00 | 8.00 | 0.50 | 1.00 |"),
            "{table}"
        );
        assert!(
            table.contains("| n/a | n/a | n/a | n/a |") && table.contains("absent: no such version |"),
            "{table}"
        );
        assert!(
            table.contains("nginx, round robin: 1 failed, the first: 503   busy"),
            "{table}"
        );
    }
}
