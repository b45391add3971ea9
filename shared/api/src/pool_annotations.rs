//! What Joiner adds to pools of any API version: annotations `joiner.dev/...` on the pool itself.

use crate::duration::parse_timestamp;
use crate::finding::{Findings, field};
use crate::windows;
use model::disruption::{Rebalance, Window};
use model::pool::{Disruption, SpotPremium};
use model::{Labels, MicroUsdPerHour, labels};

/// Hours in a month, as bills count them.
const HOURS_OF_MONTH: u64 = 730;

/// Adds what the annotations say. What cannot be read is told, and the pool's other rules go on: no rebalancing, no rotation, the
/// usual saving; windows that cannot be read never open.
pub(crate) fn read(annotations: &Labels, rules: &mut Disruption, findings: &mut Findings) {
    let mut say = |key: &str, wanted: &str| {
        let text = annotations.get(key).map(String::as_str).unwrap_or_default();
        let path = field("metadata.annotations", key);
        findings.error("pool-annotation", &path, format!("{text:?} is not {wanted}"));
    };
    if let Some(text) = annotations.get(labels::SAVING_PER_MOVE) {
        rules.saving_per_move = per_month(text);
        if rules.saving_per_move.is_none() {
            say(labels::SAVING_PER_MOVE, "dollars a month such as 0.10; the default of 0.10 holds");
        }
    }
    match annotations.get(labels::REBALANCE).map(String::as_str) {
        None | Some("ignore") => {}
        Some("replace") => rules.rebalance = Rebalance::Replace,
        Some(_) => say(labels::REBALANCE, "ignore or replace; recommendations are ignored"),
    }
    if let Some(text) = annotations.get(labels::ROTATE) {
        rules.rotate_before = parse_timestamp(text);
        if rules.rotate_before.is_none() {
            say(labels::ROTATE, "a moment such as 2026-01-31T12:00:00Z; nothing is rotated");
        }
    }
    if let Some(text) = annotations.get(labels::DISRUPTION_WINDOWS) {
        if windows::is_valid(text) {
            rules.windows = Some(text.clone());
        } else {
            rules.allowed = Window::Never;
            let wanted = "days, hours and a time zone such as \"mon-fri 22:00-06:00 Europe/Berlin; sat,sun 00:00-24:00 Europe/Berlin\"; nothing is disrupted by choice until it is";
            say(labels::DISRUPTION_WINDOWS, wanted);
        }
    }
}

/// What is added to spot prices: `none`, one percentage for all, or five, by how often types are interrupted. One that cannot be read is told,
/// and the default holds.
pub(crate) fn spot_premium(annotations: &Labels, findings: &mut Findings) -> SpotPremium {
    let Some(text) = annotations.get(labels::SPOT_PREMIUM) else { return SpotPremium::default() };
    let parts = text.split(',').map(|part| percent(part.trim())).collect::<Option<Vec<_>>>();
    match (text.trim(), parts.as_deref()) {
        ("none", _) => SpotPremium::NONE,
        (_, Some([all])) => SpotPremium([*all; 5]),
        (_, Some([a, b, c, d, e])) => SpotPremium([*a, *b, *c, *d, *e]),
        _ => {
            let path = field("metadata.annotations", labels::SPOT_PREMIUM);
            let wanted = "none, a percentage such as 2.5%, or five of them from the steadiest types to those interrupted most: 0%,1%,2%,3%,5%";
            let message = format!("{text:?} is not {wanted}; the default of 0%,1%,2%,3%,5% holds");
            findings.error("pool-annotation", &path, message);
            SpotPremium::default()
        }
    }
}

/// The least part of the pool that is not spot, in per cent. One that cannot be read is told, and then nothing is bought as spot capacity.
pub(crate) fn on_demand_percent(annotations: &Labels, findings: &mut Findings) -> u32 {
    let Some(text) = annotations.get(labels::ON_DEMAND_SHARE) else { return 0 };
    let percent = text.trim().strip_suffix('%').and_then(|number| number.parse().ok());
    percent.filter(|percent| *percent <= 100).unwrap_or_else(|| {
        let path = field("metadata.annotations", labels::ON_DEMAND_SHARE);
        let message =
            format!("{text:?} is not a whole percentage such as 30%; until it is, 100% holds");
        findings.error("pool-annotation", &path, message);
        100
    })
}

/// Hundredths of a per cent, from 0% to 1000% with at most two digits after the point.
fn percent(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%')?;
    let (whole, digits) = number.split_once('.').unwrap_or((number, ""));
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty()
        || whole.len() > 4
        || digits.len() > 2
        || !numeric(whole)
        || !numeric(digits)
    {
        return None;
    }
    let hundredths: u32 = format!("{whole}{digits:0<2}").parse().ok()?;
    (hundredths <= 100_000).then_some(hundredths)
}

/// Dollars a month as micro-dollars an hour, to the nearest; at most six digits after the point count.
fn per_month(text: &str) -> Option<MicroUsdPerHour> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = numeric(whole) && numeric(digits) && !(whole.is_empty() && digits.is_empty());
    if !plain || digits.len() > 6 || whole.len() > 9 {
        return None;
    }
    let micro: u64 = format!("0{whole}{digits:0<6}").parse().ok()?;
    Some(MicroUsdPerHour((micro + HOURS_OF_MONTH / 2) / HOURS_OF_MONTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spot_premium_is_none_one_percentage_or_five() {
        let check = |text: &str, expected: [u32; 5], findings: usize| {
            let annotations = Labels::from([(labels::SPOT_PREMIUM.to_owned(), text.to_owned())]);
            let mut found = Findings::default();
            assert_eq!(spot_premium(&annotations, &mut found).0, expected, "{text:?}");
            assert_eq!(found.into_vec().len(), findings, "{text:?}");
        };
        check("none", [0; 5], 0);
        check("0%", [0; 5], 0);
        check("2.5%", [250; 5], 0);
        check("0%, 0.05%,10%,20%,1000%", [0, 5, 1_000, 2_000, 100_000], 0);
        for text in ["", "5", "%", "1%,2%", "-1%", "0.123%", "1001%", "a%", "1%,2%,3%,4%,5%,6%"] {
            check(text, [0, 100, 200, 300, 500], 1);
        }
    }

    #[test]
    fn a_share_is_a_whole_percentage() {
        let check = |text: &str, expected: u32, findings: usize| {
            let annotations = Labels::from([(labels::ON_DEMAND_SHARE.to_owned(), text.to_owned())]);
            let mut found = Findings::default();
            assert_eq!(on_demand_percent(&annotations, &mut found), expected, "{text:?}");
            assert_eq!(found.into_vec().len(), findings, "{text:?}");
        };
        check("30%", 30, 0);
        check("0%", 0, 0);
        check("100%", 100, 0);
        for text in ["", "30", "-1%", "101%", "0.5%", "a%"] {
            check(text, 100, 1);
        }
    }

    #[test]
    fn savings_are_dollars_a_month() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(per_month(text).map(|price| price.0), expected, "{text:?}");
        };
        check("0.10", Some(model::disruption::DEFAULT_SAVING_PER_MOVE.0));
        check("7.3", Some(10_000));
        check("0", Some(0));
        check(".5", Some(685));
        for text in ["", ".", "-1", "$1", "1e3", "0.1234567", "1.2.3", "free"] {
            check(text, None);
        }
    }
}
