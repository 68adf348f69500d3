//! The picture: bars of prefix hits and of the mean time to the first token, one group for each workload.

use std::fmt::Write as _;

use super::contenders::Contender;
use super::report::Section;

/// An SVG of all workloads. Text and lines follow the reader's light or dark scheme; bars are legible on both.
pub fn svg(sections: &[Section]) -> String {
    // Where engines are asked for more than they can carry, hits and means say nothing.
    let sections = sections.iter().filter(|section| section.workload.load().is_none());
    let sections: Vec<&Section> = sections.collect();
    let contenders = shown(&sections);
    let group = contenders.len() as f64 * BAR + GAP;
    let height = TOP + sections.len() as f64 * group + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{TITLE}\">\n{STYLE}<text class=\"title\" x=\"16\" y=\"28\">{TITLE}</text>\n"
    );
    legend(&contenders, &mut svg);
    for panel in [&HITS, &TTFT] {
        axis(panel, height - BOTTOM, &mut svg);
    }
    for (number, section) in sections.iter().enumerate() {
        let top = TOP + number as f64 * group;
        let middle = top + (group - GAP) / 2.0 + 4.0;
        // Writing to a string does not fail.
        let _ = writeln!(
            svg,
            "<text class=\"name\" x=\"{}\" y=\"{middle}\">{}</text>",
            HITS.left - 10.0,
            section.workload.name()
        );
        bars(section, &contenders, top, &mut svg);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Those that have figures somewhere, in the order of their kinds.
fn shown(sections: &[&Section]) -> Vec<Contender> {
    let all = Contender::COMPARED.into_iter();
    all.filter(|contender| sections.iter().any(|section| section.measured(*contender).is_some()))
        .collect()
}

/// One of the two halves.
struct Panel {
    title: &'static str,
    left: f64,
    /// Where the axis ends, and the distance of its lines.
    most: f64,
    step: f64,
    unit: &'static str,
}

impl Panel {
    /// The place of a value; what is beyond the axis ends with it.
    fn x(&self, value: f64) -> f64 {
        self.left + PANEL_WIDTH * (value / self.most).clamp(0.0, 1.0)
    }
}

fn legend(contenders: &[Contender], svg: &mut String) {
    for (number, contender) in contenders.iter().enumerate() {
        let (x, y) = (16.0 + (number % 4) as f64 * 228.0, 48.0 + (number / 4) as f64 * 20.0);
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"{}\">{}</text>",
            y - 10.0,
            colour(*contender),
            x + 18.0,
            y,
            contender.title()
        );
    }
}

fn axis(panel: &Panel, bottom: f64, svg: &mut String) {
    let lines = (panel.most / panel.step).round() as u32;
    for line in 0..=lines {
        let value = f64::from(line) * panel.step;
        let x = panel.x(value);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{bottom}\"/><text class=\"tick\" x=\"{x}\" \
             y=\"{}\">{value:.0}{}</text>",
            TOP - 8.0,
            bottom + 14.0,
            panel.unit
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"axis\" x=\"{}\" y=\"{}\">{}</text>",
        panel.left + PANEL_WIDTH / 2.0,
        bottom + 34.0,
        panel.title
    );
}

fn bars(section: &Section, contenders: &[Contender], top: f64, svg: &mut String) {
    let base = section.measured(Contender::Nginx).map(|base| base.ttft_s[0]);
    for (number, contender) in contenders.iter().enumerate() {
        let Some(measured) = section.measured(*contender) else {
            continue;
        };
        let y = top + number as f64 * BAR;
        bar(&HITS, measured.hits * 100.0, *contender, y, svg);
        if let Some(base) = base {
            bar(&TTFT, measured.ttft_s[0] / base * 100.0, *contender, y, svg);
        }
    }
    let possible = HITS.x(section.schedule.demand.possible() * 100.0);
    let bottom = top + contenders.len() as f64 * BAR;
    let _ = writeln!(
        svg,
        "<line class=\"possible\" x1=\"{possible}\" y1=\"{top}\" x2=\"{possible}\" y2=\"{bottom}\"/>"
    );
}

/// A bar, with its figure where it does not fit.
fn bar(panel: &Panel, value: f64, contender: Contender, y: f64, svg: &mut String) {
    let width = panel.x(value) - panel.left;
    let _ = writeln!(
        svg,
        "<rect x=\"{}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{}\"/>",
        panel.left,
        BAR - 2.0,
        colour(contender)
    );
    if value > panel.most {
        let (x, y) = (panel.left + PANEL_WIDTH + 4.0, y + BAR - 3.0);
        let _ = writeln!(
            svg,
            "<text class=\"beyond\" x=\"{x}\" y=\"{y}\">{value:.0}{}</text>",
            panel.unit
        );
    }
}

/// Greys and browns for others, blues for Tidegate.
fn colour(contender: Contender) -> &'static str {
    match contender {
        Contender::Nginx | Contender::Direct => "#8c8c8c",
        Contender::SmgCacheAware => "#c9822b",
        Contender::SmgPrefixHash => "#d9b45c",
        Contender::VllmRouter => "#a8577e",
        Contender::Tidegate1 => "#1f6fd6",
        Contender::Tidegate2 => "#4a90e8",
        Contender::Tidegate5 => "#7db2f5",
        Contender::TidegateHops => "#12b5a6",
        Contender::Oracle => "#3f9e5a",
    }
}

const TITLE: &str = "Eight simulated replicas of a 70B model, the same requests through each router";
const STYLE: &str = "<style>text { font: 12px sans-serif; fill: #1f2328 } .title { font-size: 16px; font-weight: bold } \
.name { text-anchor: end } .tick, .axis { text-anchor: middle } .beyond { font-size: 9px } .grid { stroke: #d0d7de } \
.possible { stroke: #1f2328; stroke-width: 2; stroke-dasharray: 3 2 } @media (prefers-color-scheme: dark) { text { fill: \
#e6edf3 } .grid { stroke: #3d444d } .possible { stroke: #e6edf3 } }</style>\n";
const HITS: Panel = Panel {
    title: "prompt tokens found in caches; dashed: possible in one endless cache",
    left: 140.0,
    most: 100.0,
    step: 20.0,
    unit: "%",
};
const TTFT: Panel = Panel {
    title: "mean time to first token, as a share of round robin's",
    left: 540.0,
    most: 150.0,
    step: 25.0,
    unit: "%",
};
const WIDTH: f64 = 940.0;
const PANEL_WIDTH: f64 = 350.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 48.0;
const BAR: f64 = 11.0;
/// Between two workloads.
const GAP: f64 = 16.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::routing::report::{Entry, Outcome};
    use crate::bench::routing::run::Measured;
    use crate::bench::routing::schedule::Schedule;
    use crate::bench::routing::workloads::Workload;

    #[test]
    fn a_bar_is_as_long_as_its_figure_and_one_beyond_the_axis_says_it() {
        let entry = |contender, hits, mean| Entry {
            contender,
            outcome: Outcome::Measured(Measured {
                hits,
                ttft_s: [mean, mean, mean],
                ..Measured::default()
            }),
        };
        let section = Section {
            workload: Workload::Unique,
            schedule: Schedule::new(Vec::new(), 0.65, 8),
            speed: 1.0,
            entries: vec![entry(Contender::Nginx, 0.5, 2.0), entry(Contender::Tidegate1, 1.0, 8.0)],
        };
        let svg = svg(&[section]);
        assert!(
            svg.contains("width=\"175.0\"") && svg.contains("width=\"350.0\""),
            "{svg}"
        );
        assert!(
            svg.contains(">400%</text>") && svg.contains(">nginx, round robin</text>"),
            "{svg}"
        );
        assert!(!svg.contains("oracle"), "{svg}");
    }
}
