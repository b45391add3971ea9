//! Deployments that follow the hours of a day, rollouts, and jobs.

use super::Size;
use crate::Random;
use crate::workload::{Change, Constraints, Request, Workload, spec};
use model::resources::{CPU, MEMORY, PODS};
use model::{Labels, Resources};
use std::sync::Arc;

/// What is asked for at each hour of a day, in hundredths of the most: a working day with a long evening.
const HOURS: [i64; 24] = [
    58, 52, 48, 46, 46, 50, 57, 66, 76, 86, 93, 97, 98, 97, 100, 99, 97, 95, 93, 91, 88, 82, 74, 66,
];
/// Requested cores in thousandths for each node, at the busiest hour.
const MILLI_CPU_OF_A_NODE: i64 = 6_900;
/// An autoscaler of pods looks every so many seconds, and acts if the number is off by a tenth.
const SCALE_EVERY_S: i64 = 300;
/// Thousandths of a core, each as often as the others.
const SHAPES: [i64; 10] = [50, 100, 100, 200, 250, 250, 500, 500, 1_000, 2_000];
/// MiB for each core.
const MIB_OF_A_CORE: [i64; 4] = [1_500, 2_000, 3_500, 6_000];

/// The day's workload. The same size gives the same.
pub fn churn(size: Size) -> Workload {
    let mut random = Random::new(size.seed ^ 0xDA_11);
    let length_s = i64::from(size.hours) * 3600;
    let wanted = i64::from(size.nodes) * MILLI_CPU_OF_A_NODE;
    let (mut requests, mut asked) = (Vec::new(), 0);
    while asked < wanted * 95 / 100 {
        let request = deployment(&mut random, requests.len(), length_s);
        asked += request.1;
        requests.push(request.0);
    }
    let mut at_s = 0;
    // A job every so many seconds, so that jobs are about a twentieth of all.
    let pause = (60 * 3600 / (i64::from(size.nodes) * 6)).max(2);
    while at_s < length_s {
        at_s += random.between(1, 2 * pause);
        requests.push(job(&mut random, requests.len(), at_s));
    }
    requests.sort_by_key(|request| request.arrival_s);
    Workload {
        name: "day".to_owned(),
        source: "deployments that follow the hours, rollouts, jobs; made by the seed".to_owned(),
        requests,
        spread_s: 0,
    }
}

fn pick(random: &mut Random, values: &[i64]) -> i64 {
    values[random.below(values.len() as u64) as usize]
}

fn resources(random: &mut Random) -> (Resources, i64) {
    let milli_cpu = pick(random, &SHAPES);
    let mib = milli_cpu * pick(random, &MIB_OF_A_CORE) / 1000;
    let requests = Resources::new().with(CPU, milli_cpu).with(MEMORY, mib << 20).with(PODS, 1);
    (requests, milli_cpu)
}

/// A Deployment, and how many thousandths of a core it asks for at most.
fn deployment(random: &mut Random, number: usize, length_s: i64) -> (Request, i64) {
    let (requests, milli_cpu) = resources(random);
    let most = random.between(4, 120).min(60_000 / milli_cpu).max(2);
    let kind = random.below(20);
    let constraints = Constraints {
        zone_spread: kind < 4,
        anti_affinity_host: kind == 4,
        ..Constraints::default()
    };
    let most = if constraints.anti_affinity_host { most.min(9) } else { most };
    let labels = Labels::from([("app".to_owned(), format!("service-{number}"))]);
    let (follows, shift_s) = (random.below(10) < 8, random.between(-3600, 3600));
    let first = if follows { replicas(most, shift_s) } else { most };
    let mut changes = Vec::new();
    let mut now = first;
    let mut at_s = random.between(1, SCALE_EVERY_S);
    while follows && at_s < length_s {
        let noise = random.between(97, 103);
        let wanted = (replicas(most, at_s + shift_s) * noise + 50) / 100;
        if (wanted - now).abs() * 10 > now {
            now = wanted.max(1);
            changes.push((at_s, Change::Scale(now as u32)));
        }
        at_s += SCALE_EVERY_S;
    }
    let rollout_s = random.between(600, 86_400);
    if rollout_s < length_s {
        changes.push((rollout_s, Change::Rollout));
    }
    changes.sort_by_key(|(at_s, _)| *at_s);
    let request = Request {
        name: format!("service-{number}"),
        count: first as u32,
        arrival_s: 0,
        duration_s: None,
        scale_in: None,
        changes,
        spec: Arc::new(spec(requests, &labels, constraints)),
        labels: Arc::new(labels),
    };
    (request, most * milli_cpu)
}

/// Replicas at that second of the day, between the hours in a straight line.
fn replicas(most: i64, at_s: i64) -> i64 {
    let (hour, rest) = (at_s.div_euclid(3600), at_s.rem_euclid(3600));
    let at = |hour: i64| HOURS[hour.rem_euclid(24) as usize];
    let share = at(hour) * (3600 - rest) + at(hour + 1) * rest;
    ((most * share + 180_000) / 360_000).max(1)
}

fn job(random: &mut Random, number: usize, arrival_s: i64) -> Request {
    let (requests, _) = resources(random);
    let labels = Labels::from([("job".to_owned(), format!("job-{}", random.below(40)))]);
    Request {
        name: format!("job-{number}"),
        count: random.between(1, 20) as u32,
        arrival_s,
        duration_s: Some(random.between(300, 3_000)),
        scale_in: None,
        changes: Vec::new(),
        spec: Arc::new(spec(requests, &labels, Constraints::default())),
        labels: Arc::new(labels),
    }
}
