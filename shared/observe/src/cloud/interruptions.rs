//! What AWS tells of instances when it is asked: warnings whose events were lost, scheduled events, and failing status checks.
//! Sources: EC2 API reference, karpenter-provider-aws `interruption/instancestatus.go`.

use super::call::{Call, DESCRIBE_INSTANCE_STATUS, DESCRIBE_SPOT_INSTANCE_REQUESTS};
use super::clients::Clients;
use super::error::CloudReadError;
use super::shelf::Dated;
use super::{Ask, Stale};
use aws_sdk_ec2::operation::describe_instance_status::DescribeInstanceStatusOutput;
use aws_sdk_ec2::operation::describe_spot_instance_requests::DescribeSpotInstanceRequestsOutput;
use aws_sdk_ec2::types::{self, Filter, SummaryStatus};
use aws_smithy_types::DateTime;
use model::disruption::InterruptionKind;
use model::{Duration, Instance, Interruption, Timestamp};
use std::collections::BTreeMap;

const PAGE: i32 = 1000;
/// So long an answer stands, in seconds: a little less than a minute, so that each minute's tick asks anew.
const TTL_S: i64 = 45;
/// Spot capacity goes so long after its request was marked.
const NOTICE: Duration = Duration(120);
/// Status checks that fail for a shorter time may be of a reboot.
const IMPAIRED_FOR_S: i64 = 120;
/// Requests whose instance EC2 is about to take back.
const MARKED: [&str; 2] = ["marked-for-termination", "marked-for-stop"];
/// Events after which the instance is not what it was.
const EVENTS: [&str; 5] = [
    "instance-reboot",
    "system-reboot",
    "system-maintenance",
    "instance-retirement",
    "instance-stop",
];
/// What the description of an event that is over begins with.
const OVER: [&str; 2] = ["[Completed]", "[Canceled]"];

type Told = BTreeMap<String, Interruption>;

/// What was told last, by instance.
#[derive(Debug, Default)]
pub(crate) struct Interruptions {
    spot: Option<Dated<Told>>,
    status: Option<Dated<Told>>,
}

impl Interruptions {
    /// Asks again what is not fresh, and only what there is a reason to ask for: spot requests while there are spot instances.
    pub(crate) async fn refresh(&mut self, clients: &Clients, ask: &Ask<'_>) -> Vec<Stale> {
        let stale = |kept: &Option<Dated<Told>>| {
            !kept.as_ref().is_some_and(|kept| kept.is_fresh(ask.now, TTL_S))
        };
        let (ask_spot, ask_status) =
            (ask.has_spot && stale(&self.spot), ask.has_instances && stale(&self.status));
        let spot = async { if ask_spot { Some(read_spot(clients).await) } else { None } };
        let status =
            async { if ask_status { Some(read_status(clients, ask.now).await) } else { None } };
        let (spot, status) = futures::join!(spot, status);
        let mut failed = Vec::new();
        failed.extend(keep(&mut self.spot, spot, "spot instance requests", ask.now));
        failed.extend(keep(&mut self.status, status, "instance status", ask.now));
        failed
    }

    /// Tells the instances what was told of them, the most urgent of it.
    pub(crate) fn apply(&self, instances: &mut [Instance]) {
        let all = || [&self.spot, &self.status].into_iter().flatten();
        for instance in instances {
            for told in all().filter_map(|kept| kept.value.get(&instance.id)) {
                if told.outweighs(instance.interruption.as_ref()) {
                    instance.interruption = Some(*told);
                }
            }
        }
    }
}

/// Keeps a new answer; of a failure it tells, and what was known stays.
fn keep(
    kept: &mut Option<Dated<Told>>,
    answer: Option<Result<Told, CloudReadError>>,
    what: &str,
    now: Timestamp,
) -> Option<Stale> {
    match answer? {
        Ok(value) => {
            *kept = Some(Dated { read_at: now, value });
            None
        }
        Err(error) => {
            let age_s = kept.as_ref().map(|kept| kept.age_s(now));
            Some(Stale { what: what.to_owned(), age_s, error: error.to_string() })
        }
    }
}

fn filter(name: &str, values: &[&str]) -> Filter {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

fn moment(time: &DateTime) -> Timestamp {
    Timestamp(time.secs())
}

/// Instances of the account whose spot requests are marked: there are few, so they are not asked for by id.
async fn read_spot(clients: &Clients) -> Result<Told, CloudReadError> {
    const CALL: Call = DESCRIBE_SPOT_INSTANCE_REQUESTS;
    let call =
        clients.ec2.describe_spot_instance_requests().filters(filter("status-code", &MARKED));
    let stream = call.into_paginator().page_size(PAGE).send();
    let mut found = Told::new();
    let take = |page: DescribeSpotInstanceRequestsOutput| {
        found.extend(page.spot_instance_requests().iter().filter_map(marked));
    };
    clients.pages(CALL, stream, take).await?;
    Ok(found)
}

fn marked(request: &types::SpotInstanceRequest) -> Option<(String, Interruption)> {
    let status = request.status()?;
    // Emulators answer more than was asked for.
    MARKED.contains(&status.code()?).then_some(())?;
    let at = moment(status.update_time()?);
    let kind = InterruptionKind::SpotWarning;
    let told = Interruption { kind, at, deadline: Some(at.plus(NOTICE)) };
    Some((request.instance_id()?.to_owned(), told))
}

/// Instances of the account with a scheduled event or a failing check: few, again.
async fn read_status(clients: &Clients, now: Timestamp) -> Result<Told, CloudReadError> {
    let questions = [
        filter("event.code", &EVENTS),
        filter("instance-status.status", &["impaired"]),
        filter("system-status.status", &["impaired"]),
    ];
    let read = |question| read_status_of(clients, question, now);
    let [events, instances, systems] = questions.map(read);
    let (events, instances, systems) = futures::join!(events, instances, systems);
    let mut all = Told::new();
    for (id, told) in [events?, instances?, systems?].into_iter().flatten() {
        let before = all.get(&id);
        if told.outweighs(before) {
            all.insert(id, told);
        }
    }
    Ok(all)
}

async fn read_status_of(
    clients: &Clients,
    question: Filter,
    now: Timestamp,
) -> Result<Vec<(String, Interruption)>, CloudReadError> {
    const CALL: Call = DESCRIBE_INSTANCE_STATUS;
    let call = clients.ec2.describe_instance_status().filters(question);
    let stream = call.into_paginator().page_size(PAGE).send();
    let mut found = Vec::new();
    let take = |page: DescribeInstanceStatusOutput| {
        found.extend(page.instance_statuses().iter().filter_map(|status| of_status(status, now)));
    };
    clients.pages(CALL, stream, take).await?;
    Ok(found)
}

fn of_status(status: &types::InstanceStatus, now: Timestamp) -> Option<(String, Interruption)> {
    let checks = [status.instance_status(), status.system_status()].into_iter().flatten();
    let impaired = checks.filter_map(impaired_since).min();
    let impaired = impaired.filter(|since| now.since(*since).0 >= IMPAIRED_FOR_S);
    let impaired = impaired.map(|at| {
        let kind = InterruptionKind::StatusImpaired;
        Interruption { kind, at, deadline: None }
    });
    let planned = status.events().iter().filter_map(|event| planned(event, now)).min();
    Some((status.instance_id()?.to_owned(), impaired.or(planned)?))
}

fn impaired_since(check: &types::InstanceStatusSummary) -> Option<Timestamp> {
    (*check.status()? == SummaryStatus::Impaired).then_some(())?;
    check.details().iter().filter_map(|detail| detail.impaired_since()).map(moment).min()
}

fn planned(event: &types::InstanceStatusEvent, now: Timestamp) -> Option<Interruption> {
    let description = event.description().unwrap_or_default();
    let known = EVENTS.contains(&event.code()?.as_str());
    let is_over = OVER.iter().any(|over| description.starts_with(over));
    let kind = InterruptionKind::ScheduledChange;
    let deadline = event.not_before().map(moment);
    (known && !is_over).then_some(Interruption { kind, at: now, deadline })
}
