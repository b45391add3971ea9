//! What EC2 and AWS Health tell of instances (their events' fields: EC2 User Guide, AWS Health User Guide).

use crate::Trigger;
use crate::message::{Envelope, MessageError};
use model::disruption::InterruptionKind;
use model::{Duration, Interruption, Timestamp};
use serde_json::Value;

/// Spot capacity, and capacity of interruptible reservations, is taken back so long after the warning.
const NOTICE: Duration = Duration(120);
/// What an instance does that ends. Others (`pending`, `running`) are no news: its node tells them better.
const ENDING: [&str; 4] = ["stopping", "stopped", "shutting-down", "terminated"];

/// Reads an event of these two sources, which came at that time. One of a kind that is not known is an error: no rule asks for it.
pub(crate) fn read(event: Envelope, now: Timestamp) -> Result<Trigger, MessageError> {
    let at = happened_at(&event.time, now);
    let told = match (event.source.as_str(), event.kind.as_str()) {
        ("aws.ec2", "EC2 Spot Instance Interruption Warning") => {
            told(InterruptionKind::SpotWarning, at, Some(at.plus(NOTICE)))
        }
        ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning") => {
            told(InterruptionKind::ReservationEnding, at, Some(at.plus(NOTICE)))
        }
        ("aws.ec2", "EC2 Instance Rebalance Recommendation") => {
            told(InterruptionKind::Rebalance, at, None)
        }
        ("aws.ec2", "EC2 Instance State-change Notification") => {
            let state = event.detail["state"].as_str().unwrap_or_default();
            ENDING
                .contains(&state)
                .then_some(())
                .and_then(|()| told(InterruptionKind::Stopping, at, None))
        }
        ("aws.health", "AWS Health Event") => health(&event.detail, at),
        (source, kind) => {
            return Err(MessageError(format!(
                "an event {kind:?} from {source}, which no rule of Joiner's asks for"
            )));
        }
    };
    let ids = instances(&event);
    if ids.is_empty() && event.source == "aws.ec2" {
        return Err(MessageError(format!("the event {:?} names no instance", event.kind)));
    }
    Ok(Trigger::Instances { kind: event.kind, ids, told })
}

fn told(
    kind: InterruptionKind,
    at: Timestamp,
    deadline: Option<Timestamp>,
) -> Option<Interruption> {
    Some(Interruption { kind, at, deadline })
}

/// The event's own time. One that is missing, cannot be read, or lies ahead of our clock happened now: a warning is not lost for it.
fn happened_at(text: &str, now: Timestamp) -> Timestamp {
    let told = text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_second()));
    told.map_or(now, |at| at.min(now))
}

/// Of all that AWS Health tells, changes that are scheduled for instances matter, from the time on for which they are.
fn health(detail: &Value, at: Timestamp) -> Option<Interruption> {
    let of_instances = detail["service"] == "EC2";
    let scheduled = detail["eventTypeCategory"] == "scheduledChange";
    let start = detail["startTime"].as_str();
    let start = start.and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
    let start = start.map(|start| Timestamp(start.timestamp().as_second()));
    (of_instances && scheduled)
        .then_some(())
        .and_then(|()| told(InterruptionKind::ScheduledChange, at, start))
}

/// The instances that an event names, sorted.
fn instances(event: &Envelope) -> Vec<String> {
    let named = event.detail["instance-id"].as_str();
    let of_arn = event.resources.iter().filter_map(|arn| arn.rsplit('/').next());
    let affected = event.detail["affectedEntities"].as_array().into_iter().flatten();
    let affected = affected.filter_map(|entity| entity["entityValue"].as_str());
    let all = named.into_iter().chain(of_arn).chain(affected);
    let mut ids = all.filter(|id| id.starts_with("i-")).map(str::to_owned).collect::<Vec<_>>();
    ids.sort();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message;
    use serde_json::json;

    /// 2020-02-10T08:17:22Z.
    const AT: i64 = 1_581_322_642;
    const NOW: Timestamp = Timestamp(AT + 3);

    fn event(source: &str, kind: &str, detail: Value) -> Value {
        json!({
            "version": "0", "id": "1", "detail-type": kind, "source": source, "account": "111122223333",
            "time": "2020-02-10T08:17:22Z", "region": "us-east-1",
            "resources": ["arn:aws:ec2:us-east-1a:instance/i-1"], "detail": detail,
        })
    }

    fn read(event: &Value) -> Result<(Vec<String>, Option<Interruption>), String> {
        match message::read(&event.to_string(), NOW) {
            Ok(Trigger::Instances { ids, told, .. }) => Ok((ids, told)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.0),
        }
    }

    /// The kind and the deadline, in seconds after the event.
    fn check(event: &Value, expected: Option<(InterruptionKind, Option<i64>)>) {
        let expected = expected.map(|(kind, after)| Interruption {
            kind,
            at: Timestamp(AT),
            deadline: after.map(|after| Timestamp(AT + after)),
        });
        assert_eq!(read(event), Ok((vec!["i-1".to_owned()], expected)), "{event}");
    }

    #[test]
    fn each_kind_of_event_tells_what_it_means() {
        let ec2 = |kind: &str, detail| event("aws.ec2", &format!("EC2 {kind}"), detail);
        let named = json!({ "instance-id": "i-1", "instance-action": "terminate" });
        let spot = ec2("Spot Instance Interruption Warning", named.clone());
        check(&spot, Some((InterruptionKind::SpotWarning, Some(120))));
        let reservation = ec2("Capacity Reservation Instance Interruption Warning", named.clone());
        check(&reservation, Some((InterruptionKind::ReservationEnding, Some(120))));
        let rebalance = ec2("Instance Rebalance Recommendation", named);
        check(&rebalance, Some((InterruptionKind::Rebalance, None)));
        for state in ENDING {
            let detail = json!({ "instance-id": "i-1", "state": state });
            let stops = ec2("Instance State-change Notification", detail);
            check(&stops, Some((InterruptionKind::Stopping, None)));
        }
        for state in ["pending", "running", "", "resting"] {
            let detail = json!({ "instance-id": "i-1", "state": state });
            check(&ec2("Instance State-change Notification", detail), None);
        }
    }

    #[test]
    fn of_aws_health_scheduled_changes_of_instances_count() {
        let health = |service: &str, category: &str| {
            let detail = json!({
                "service": service, "eventTypeCategory": category, "eventTypeCode": "AWS_EC2_RETIREMENT",
                "startTime": "Mon, 10 Feb 2020 09:17:22 GMT", "affectedEntities": [{ "entityValue": "i-1" }, { "entityValue": "vol-1" }],
            });
            event("aws.health", "AWS Health Event", detail)
        };
        let change = Some((InterruptionKind::ScheduledChange, Some(3600)));
        check(&health("EC2", "scheduledChange"), change);
        check(&health("EC2", "issue"), None);
        check(&health("EBS", "scheduledChange"), None);
        let mut nobody = health("EC2", "scheduledChange");
        nobody["resources"] = json!([]);
        nobody["detail"]["affectedEntities"] = json!([]);
        assert_eq!(read(&nobody).unwrap().0, Vec::<String>::new(), "of no instance, and no error");
        let mut soon = health("EC2", "scheduledChange");
        soon["detail"]["startTime"] = json!("soon");
        check(&soon, Some((InterruptionKind::ScheduledChange, None)));
    }

    #[test]
    fn a_warning_without_a_time_that_makes_sense_is_of_now() {
        for time in [json!("yesterday"), json!(""), json!("2031-01-01T00:00:00Z")] {
            let detail = json!({ "instance-id": "i-1" });
            let mut spot = event("aws.ec2", "EC2 Spot Instance Interruption Warning", detail);
            spot["time"] = time.clone();
            let told = read(&spot).unwrap().1.unwrap();
            assert_eq!((told.at, told.deadline), (NOW, Some(NOW.plus(NOTICE))), "{time}");
        }
    }

    #[test]
    fn events_of_other_kinds_and_of_nobody_are_errors() {
        let check = |event: &Value, begins: &str| {
            let error = read(event).unwrap_err();
            assert!(error.starts_with(begins), "{error}");
        };
        let other = event("aws.ec2", "EBS Volume Notification", json!({}));
        check(&other, "an event \"EBS Volume Notification\" from aws.ec2, which no rule");
        let other = event("aws.health", "AWS Health Abuse Event", json!({}));
        check(&other, "an event \"AWS Health Abuse Event\" from aws.health, which no rule");
        let mut nobody = event("aws.ec2", "EC2 Instance Rebalance Recommendation", json!({}));
        nobody["resources"] = json!(["arn:aws:ec2:us-east-1:111122223333:volume/vol-1"]);
        check(&nobody, "the event \"EC2 Instance Rebalance Recommendation\" names no instance");
        let mut odd = event("aws.ec2", "EC2 Instance Rebalance Recommendation", json!("odd"));
        odd["resources"] = json!([]);
        check(&odd, "the event \"EC2 Instance Rebalance Recommendation\" names no instance");
    }
}
