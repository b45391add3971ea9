//! Spans as Go writes them (`720h`, `1h30m`, `300ms`), and timestamps.

use model::{Duration, Timestamp};

/// Seconds per unit, as (numerator, denominator).
const UNITS: [(&str, i128, i128); 7] = [
    ("ns", 1, 1_000_000_000),
    ("us", 1, 1_000_000),
    ("µs", 1, 1_000_000),
    ("ms", 1, 1_000),
    ("s", 1, 1),
    ("m", 60, 1),
    ("h", 3600, 1),
];

/// A span in whole seconds, rounded up; `None` if the text is not a Go duration, is negative or is too long for 64 bits.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim().strip_prefix('+').unwrap_or(text.trim());
    if rest == "0" {
        return Some(Duration(0));
    }
    let mut nanoseconds: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (span, after) = first_part(rest)?;
        nanoseconds = nanoseconds.checked_add(span)?;
        rest = after;
    }
    let seconds = nanoseconds.div_euclid(1_000_000_000);
    let round_up = i128::from(nanoseconds.rem_euclid(1_000_000_000) > 0);
    i64::try_from(seconds + round_up).ok().map(Duration)
}

/// The nanoseconds of the first number with its unit, and the text behind it.
fn first_part(text: &str) -> Option<(i128, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let (_, numerator, denominator) = UNITS.into_iter().find(|(name, _, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if number.len() > 20 || (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.checked_pow(fraction.len() as u32)?.checked_mul(denominator)?;
    let product = digits.checked_mul(numerator)?.checked_mul(1_000_000_000)?;
    Some((product / scale, rest))
}

/// A span or `Never`: `None` if the text is neither, `Some(None)` for never.
pub(crate) fn parse_or_never(text: &str) -> Option<Option<Duration>> {
    if text == "Never" { Some(None) } else { parse(text).map(Some) }
}

/// The moment that an RFC 3339 text names.
pub(crate) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|moment| Timestamp(moment.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: Option<i64>) {
        assert_eq!(parse(text).map(|duration| duration.0), seconds, "{text:?}");
    }

    #[test]
    fn spans_are_read_as_go_reads_them() {
        check("720h", Some(2_592_000));
        check("48h0m0s", Some(172_800));
        check("1h30m", Some(5_400));
        check("1.5h", Some(5_400));
        check("300ms", Some(1));
        check("0s", Some(0));
        check("0", Some(0));
        check("10s", Some(10));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            "10",
            "h",
            "-5s",
            "5d",
            "1.2.3s",
            "Never",
            "5 s",
            "99999999999999999999h",
            "s5",
            ".",
        ] {
            check(text, None);
        }
        assert_eq!(parse_or_never("Never"), Some(None));
        assert_eq!(parse_or_never("soon"), None);
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        assert_eq!(parse_timestamp("1970-01-02T00:00:00Z"), Some(Timestamp(86_400)));
        assert_eq!(parse_timestamp("yesterday"), None);
    }
}
