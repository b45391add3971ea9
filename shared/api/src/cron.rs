//! Schedules as cron writes them, in UTC. Source: the standard parser of github.com/robfig/cron v3, which Karpenter's budgets use.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use model::Timestamp;

/// Least and greatest value of each field.
const FIELDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
const NAMES: [&[&str]; 5] = [
    &[],
    &[],
    &[],
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
];
/// Names of whole schedules.
const NAMED: [(&str, &str); 7] = [
    ("annually", "0 0 1 1 *"),
    ("yearly", "0 0 1 1 *"),
    ("monthly", "0 0 1 * *"),
    ("weekly", "0 0 * * 0"),
    ("daily", "0 0 * * *"),
    ("midnight", "0 0 * * *"),
    ("hourly", "0 * * * *"),
];
/// February 29th comes again after eight years at the latest.
const DAYS_AHEAD: usize = 8 * 366;
const DAY_S: i64 = 86_400;

/// One field: the values that it allows, and whether it allows all because it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Field {
    bits: u64,
    star: bool,
}

impl Field {
    fn has(self, value: u32) -> bool {
        self.bits & (1 << value) != 0
    }
}

/// A schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cron {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

impl Cron {
    /// Five fields, or `@daily` and the like; `None` if the text is neither.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix('@') {
            let (_, fields) = NAMED.iter().find(|(known, _)| *known == name)?;
            return Self::parse(fields);
        }
        let fields = text.split_whitespace().enumerate().map(|(index, text)| field(text, index));
        let fields = fields.collect::<Option<Vec<_>>>()?;
        let &[minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        Some(Self { minutes, hours, days, months, weekdays })
    }

    /// The first moment of the schedule after that one; `None` if its date never comes.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let earliest = after.0.div_euclid(60).checked_add(1)?.checked_mul(60)?;
        let first = jiff::Timestamp::from_second(earliest).ok()?.to_zoned(TimeZone::UTC).date();
        let days = first.series(jiff::Span::new().days(1)).take(DAYS_AHEAD).enumerate();
        let mut dates = days.filter(|(_, date)| self.comes_on(*date));
        dates.find_map(|(index, _)| {
            let midnight = earliest.div_euclid(DAY_S) * DAY_S + index as i64 * DAY_S;
            let from = (earliest - midnight).max(0) / 60;
            let minute = self.minute_from(u32::try_from(from).ok()?)?;
            Some(Timestamp(midnight + i64::from(minute) * 60))
        })
    }

    /// Where both the day of the month and the weekday say something, either is enough.
    fn comes_on(&self, date: Date) -> bool {
        let number = |value: i8| value.unsigned_abs().into();
        let day = self.days.has(number(date.day()));
        let weekday = self.weekdays.has(number(date.weekday().since(Weekday::Sunday)));
        let both = self.days.star || self.weekdays.star;
        let fits = if both { day && weekday } else { day || weekday };
        fits && self.months.has(number(date.month()))
    }

    /// The first minute of a day that fits, from that one on.
    fn minute_from(&self, from: u32) -> Option<u32> {
        (from..24 * 60).find(|minute| self.hours.has(minute / 60) && self.minutes.has(minute % 60))
    }
}

fn field(text: &str, index: usize) -> Option<Field> {
    let parts = text.split(',').map(|text| part(text, index)).collect::<Option<Vec<_>>>()?;
    let either =
        |all: Field, part: Field| Field { bits: all.bits | part.bits, star: all.star || part.star };
    Some(parts.into_iter().fold(Field::default(), either))
}

fn part(text: &str, index: usize) -> Option<Field> {
    let (least, most) = *FIELDS.get(index)?;
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
        None => (text, None),
    };
    let star = matches!(range, "*" | "?");
    let (from, to) = match range.split_once('-') {
        Some((from, to)) => (value(from, index)?, value(to, index)?),
        None if star => (least, most),
        None => {
            let from = value(range, index)?;
            (from, if step.is_some() { most } else { from })
        }
    };
    let values = (from..=to).step_by(step.unwrap_or(1) as usize);
    let bits = values.fold(0, |bits, value| bits | 1_u64 << value);
    let star = star && step.is_none_or(|step| step == 1);
    (from <= to).then_some(Field { bits, star })
}

fn value(text: &str, index: usize) -> Option<u32> {
    let (least, most) = *FIELDS.get(index)?;
    let named = NAMES.get(index)?.iter().position(|name| name.eq_ignore_ascii_case(text));
    let number = named.map(|at| at as u32 + least).or_else(|| text.parse().ok())?;
    (least..=most).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_five_fields_or_a_name() {
        for text in
            ["@daily", "0 9 * * mon-fri", "*/15 0 1,15 * *", "0 0 1 JAN ?", "0-30/5 * * * 6"]
        {
            assert!(Cron::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "@often",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "TZ=UTC * * * *",
        ] {
            assert!(Cron::parse(text).is_none(), "{text}");
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_second())
    }

    fn check(schedule: &str, after: &str, expected: Option<&str>) {
        let next = Cron::parse(schedule).unwrap().next(at(after));
        assert_eq!(next, expected.map(at), "{schedule} after {after}");
    }

    #[test]
    fn the_next_moment_is_later_than_the_one_asked_for() {
        check("0 9 * * *", "2026-11-23T08:59:59Z", Some("2026-11-23T09:00:00Z"));
        check("0 9 * * *", "2026-11-23T09:00:00Z", Some("2026-11-24T09:00:00Z"));
        check("*/15 * * * *", "2026-11-23T09:44:10Z", Some("2026-11-23T09:45:00Z"));
        check("20/15 * * * *", "2026-11-23T09:51:00Z", Some("2026-11-23T10:20:00Z"));
        check("@hourly", "2026-12-31T23:30:00Z", Some("2027-01-01T00:00:00Z"));
        check("@weekly", "2026-11-23T00:00:00Z", Some("2026-11-29T00:00:00Z"));
        check("0 9 * * mon-fri", "2026-11-20T10:00:00Z", Some("2026-11-23T09:00:00Z"));
        check("* * * * *", "1969-12-31T23:58:30Z", Some("1969-12-31T23:59:00Z"));
    }

    #[test]
    fn a_day_and_a_weekday_are_alternatives_unless_one_says_nothing() {
        check("0 0 13 * fri", "2026-11-23T00:00:00Z", Some("2026-11-27T00:00:00Z"));
        check("0 0 13 * *", "2026-11-23T00:00:00Z", Some("2026-12-13T00:00:00Z"));
        check("0 0 */2 * tue", "2026-11-23T00:00:00Z", Some("2026-11-24T00:00:00Z"));
        check("0 0 13 * */2", "2026-11-23T00:00:00Z", Some("2026-11-24T00:00:00Z"));
    }

    #[test]
    fn rare_dates_are_found_and_impossible_ones_are_not() {
        check("0 0 29 2 *", "2026-11-23T00:00:00Z", Some("2028-02-29T00:00:00Z"));
        check("0 0 29 2 *", "2096-03-01T00:00:00Z", Some("2104-02-29T00:00:00Z"));
        check("0 0 30 2 *", "2026-11-23T00:00:00Z", None);
        check("0 0 31 4,6,9,11 *", "2026-11-23T00:00:00Z", None);
    }
}
