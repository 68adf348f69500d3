//! A line through measurements of which some are wrong.

/// How long prompts take: seconds before the first token, and seconds for each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    pub base: f64,
    pub slope: f64,
    /// Half of the slopes between two measurements are within this share of the slope, above or below.
    pub spread: f64,
}

/// The line with the median of the slopes between any two points (Theil 1950, Sen 1968): up to 29% of the points may lie
/// anywhere. `None` where there are no two different x.
pub fn line(points: &[(f64, f64)]) -> Option<Line> {
    let pairs = points
        .iter()
        .enumerate()
        .flat_map(|(index, a)| points[index + 1..].iter().map(move |b| (a, b)));
    let slopes = pairs
        .filter(|(a, b)| a.0 != b.0)
        .map(|(a, b)| (b.1 - a.1) / (b.0 - a.0));
    let slopes = sorted(slopes.collect());
    let slope = quantile(&slopes, 0.5)?;
    let base = quantile(&sorted(points.iter().map(|(x, y)| y - slope * x).collect()), 0.5)?;
    let spread = (quantile(&slopes, 0.75)? - quantile(&slopes, 0.25)?) / 2.0 / slope.abs();
    Some(Line { base, slope, spread })
}

/// The median; `None` of nothing.
pub fn median(values: Vec<f64>) -> Option<f64> {
    quantile(&sorted(values), 0.5)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Of sorted values, without interpolation.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_points_may_be_wrong() {
        let mut points: Vec<_> = (1..=12).map(|x| (f64::from(x), 0.5 + 2.0 * f64::from(x))).collect();
        for index in [1, 5, 9] {
            points[index].1 += 40.0;
        }
        let line = line(&points).expect("a line");
        assert!(
            (line.slope - 2.0).abs() < 0.05 && (line.base - 0.5).abs() < 0.5,
            "{line:?}"
        );
    }

    #[test]
    fn no_line_goes_through_one_place() {
        assert_eq!(line(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(line(&[]), None);
        assert_eq!(median(vec![]), None);
    }
}
