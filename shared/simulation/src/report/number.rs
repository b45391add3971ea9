//! Numbers for people. Floating point serves only to draw and to print.

/// Steps of an axis from 0 to at least `most`: about `count` of them, at 1, 2 or 5 times a power of ten.
pub(super) fn ticks(most: f64, count: usize) -> Vec<f64> {
    let rough = (most / count.max(1) as f64).max(1e-9);
    let mut step = 1e-9;
    while step * 10.0 <= rough {
        step *= 10.0;
    }
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * step)
        .find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(rough);
    let steps = (most / step).ceil().max(1.0) as usize;
    (0..=steps).map(|index| index as f64 * step).collect()
}

/// A number with as many decimals as `step` needs.
pub(super) fn tick_label(value: f64, step: f64) -> String {
    let decimals = if step >= 1.0 {
        0
    } else if step >= 0.1 {
        1
    } else {
        2
    };
    group(&format!("{value:.decimals$}"))
}

/// Dollars from micro-dollars: whole ones from 1000 on, else two decimals.
pub(super) fn dollars(micro_usd: u64) -> String {
    let usd = micro_usd as f64 / 1e6;
    if usd >= 1000.0 { format!("${}", group(&format!("{usd:.0}"))) } else { format!("${usd:.2}") }
}

/// Hundredths of a per cent as a percentage with one decimal.
pub(super) fn percent(basis_points: i64) -> String {
    format!("{}%", basis_points_text(basis_points))
}

fn basis_points_text(basis_points: i64) -> String {
    format!("{:.1}", basis_points as f64 / 100.0)
}

/// Milliseconds as seconds, or minutes when they are many.
pub(super) fn wait(milliseconds: i64) -> String {
    match milliseconds {
        0 => "0 s".to_owned(),
        ..=599_999 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        _ => format!("{} min", milliseconds / 60_000),
    }
}

/// Thousands set apart.
pub(super) fn group(digits: &str) -> String {
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_steps_that_reach_the_top() {
        let check = |most, expected: &[f64]| assert_eq!(ticks(most, 4), expected, "{most}");
        check(380.0, &[0.0, 100.0, 200.0, 300.0, 400.0]);
        check(7.0, &[0.0, 2.0, 4.0, 6.0, 8.0]);
        check(0.0, &[0.0, 1e-9]);
    }

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(dollars(1_234_567_890_000), "$1,234,568");
        assert_eq!(dollars(96_000), "$0.10");
        assert_eq!(percent(1234), "12.3%");
        assert_eq!(wait(42_640), "42.6 s");
        assert_eq!(wait(3_600_000), "60 min");
        assert_eq!(group("1234567.5"), "1,234,567.5");
        assert_eq!(tick_label(0.5, 0.1), "0.5");
    }
}
