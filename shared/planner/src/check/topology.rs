//! Spread, affinity and anti-affinity, by binding the planned pods one after another as the kube-scheduler may.
//!
//! A plan is right if some order binds every pod where the plan has it.

use super::Findings;
use super::hosts::Host;
use super::rules::{Kind, Rules, Spread};
use model::{Pod, PodId, PodSpec, Snapshot, labels};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The domains of a label.
struct Domains {
    /// By host, its domain.
    of_host: Vec<Option<usize>>,
    count: usize,
}

/// The pods that a rule counts.
#[derive(Clone, Default)]
struct Tally {
    /// By domain, the pods counted.
    counts: Vec<u32>,
    /// By domain, the pods that have the rule as their anti-affinity.
    carriers: Vec<u32>,
    total: u32,
    /// How many of the domains that count have none.
    without: usize,
}

/// What stays the same while pods are bound.
struct Board<'a, 'h> {
    hosts: &'h [Host<'a>],
    rules: Rules<'a>,
    domains: BTreeMap<&'a str, Domains>,
    /// By rule, the hosts that count, if not all do.
    counting: Vec<Option<Vec<bool>>>,
    /// By rule, its domains that count.
    eligible: Vec<Vec<bool>>,
}

/// What makes pods alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn<'k> {
    /// The rules that count them.
    Counted(&'k [usize]),
    /// Their specs.
    Spec,
}

/// A planned pod: its kind and its host.
type Waiting<'a> = (&'a Pod, usize, usize);

/// Pods of lesser rank are bound first.
type Rank = (Reverse<i32>, bool);

/// Binds the planned pods in several fair orders and reports those that no order found binds.
pub(super) fn check<'a>(snapshot: &'a Snapshot, hosts: &[Host<'a>], findings: &mut Findings) {
    let board = Board::new(snapshot, hosts);
    if board.rules.len() == 0 {
        return;
    }
    let running = board.running();
    if board.bind_all(running.clone(), board.largest_first()).is_empty() {
        return;
    }
    let turns =
        [board.in_turns(|kind| Turn::Counted(&kind.counted)), board.in_turns(|_| Turn::Spec)];
    let ranks: [fn(&Pod, &Kind) -> Rank; 5] = [
        |_, _| (Reverse(0), false),
        |pod, _| (Reverse(pod.spec.priority), false),
        |_, kind| (Reverse(0), kind.spreads.is_empty()),
        |_, kind| (Reverse(0), kind.affinities.is_empty()),
        |_, kind| (Reverse(0), !kind.spreads.is_empty()),
    ];
    let mut fewest: Option<Vec<(PodId, String)>> = None;
    for (turns, rank) in turns.iter().flat_map(|turns| ranks.map(|rank| (turns, rank))) {
        let mut waiting = turns.clone();
        waiting.sort_by_key(|(pod, kind, _)| rank(pod, &board.rules.kinds[*kind]));
        let refused = board.bind_all(running.clone(), waiting);
        if fewest.as_ref().is_none_or(|fewest| refused.len() < fewest.len()) {
            fewest = Some(refused);
        }
        if fewest.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
    }
    for (pod, problem) in fewest.unwrap_or_default() {
        findings.add(pod, problem);
    }
}

impl<'a, 'h> Board<'a, 'h> {
    fn new(snapshot: &'a Snapshot, hosts: &'h [Host<'a>]) -> Self {
        let rules = Rules::new(snapshot, hosts);
        let mut domains = BTreeMap::new();
        for rule in 0..rules.len() {
            let key = rules.key(rule);
            domains.entry(key).or_insert_with(|| Domains::new(key, hosts));
        }
        let counting = (0..rules.len()).map(|rule| rules.counting(rule, hosts)).collect::<Vec<_>>();
        let mut board = Self { hosts, rules, domains, counting, eligible: Vec::new() };
        board.eligible = (0..board.rules.len()).map(|rule| board.eligible(rule)).collect();
        board
    }

    fn eligible(&self, rule: usize) -> Vec<bool> {
        let domains = &self.domains[self.rules.key(rule)];
        let mut eligible = vec![false; domains.count];
        for (host, domain) in domains.of_host.iter().enumerate() {
            if let Some(domain) = domain.filter(|_| self.counts_there(rule, host)) {
                eligible[domain] = true;
            }
        }
        eligible
    }

    fn counts_there(&self, rule: usize, host: usize) -> bool {
        self.counting[rule].as_ref().is_none_or(|hosts| hosts[host])
    }

    fn domain(&self, rule: usize, host: usize) -> Option<usize> {
        self.domains[self.rules.key(rule)].of_host[host]
    }

    /// The pods that run, counted.
    fn running(&self) -> Vec<Tally> {
        let tally = |eligible: &Vec<bool>| Tally {
            counts: vec![0; eligible.len()],
            carriers: vec![0; eligible.len()],
            total: 0,
            without: eligible.iter().filter(|eligible| **eligible).count(),
        };
        let mut tallies = self.eligible.iter().map(tally).collect::<Vec<_>>();
        for (at, host) in self.hosts.iter().enumerate() {
            for pod in &host.running {
                if let Some(kind) = self.rules.kind(pod) {
                    self.bind(&mut tallies, kind, at, pod.deletion_at.is_none());
                }
            }
        }
        tallies
    }

    /// The planned pods, those that are alike one after another: the important first, then those that others' spreads count, then the large.
    fn largest_first(&self) -> Vec<Waiting<'a>> {
        let mut groups: BTreeMap<(&PodSpec, &[usize]), Vec<Waiting<'a>>> = BTreeMap::new();
        for (at, host) in self.hosts.iter().enumerate() {
            for pod in &host.planned {
                let kind = self.rules.kind(pod).unwrap_or_default();
                let counted = self.rules.kinds[kind].counted.as_slice();
                groups.entry((&pod.spec, counted)).or_default().push((pod, kind, at));
            }
        }
        let spreads = self.rules.kinds.iter().flat_map(|kind| &kind.spreads);
        let spreads = spreads.map(|spread| spread.rule).collect::<BTreeSet<_>>();
        let age = |(pod, _, _): &Waiting<'a>| (pod.created_at, &pod.id);
        let rank = |((spec, counted), pods): (&(&'_ PodSpec, &[usize]), &Vec<Waiting<'a>>)| {
            let own = |rule: &usize| spec_has(self, pods, *rule);
            let elsewhere = counted.iter().any(|rule| spreads.contains(rule) && !own(rule));
            let bound = spec.topology_spread.iter().any(|spread| {
                spread.when_unsatisfiable == model::pod::WhenUnsatisfiable::DoNotSchedule
            });
            let amount = |name: &str| Reverse(spec.requests.get(name));
            let size = (amount(model::resources::CPU), amount(model::resources::MEMORY));
            let first = pods.first().map(|(pod, _, _)| pod.id.clone());
            (Reverse(spec.priority), !elsewhere, bound, spec.volumes.is_empty(), size, first)
        };
        groups.values_mut().for_each(|pods| pods.sort_by(|a, b| age(a).cmp(&age(b))));
        let mut ranked = groups.iter().map(|group| (rank(group), group.1)).collect::<Vec<_>>();
        ranked.sort_by(|a, b| a.0.cmp(&b.0));
        ranked.into_iter().flat_map(|(_, pods)| pods.iter().copied()).collect()
    }

    /// The planned pods, those that are alike taking turns among zones and nodes, so that spreads fill evenly.
    fn in_turns<'s>(&'s self, like: fn(&'s Kind) -> Turn<'s>) -> Vec<Waiting<'a>> {
        let mut ranks: BTreeMap<(Turn<'_>, Option<*const PodSpec>, &str), u32> = BTreeMap::new();
        let mut pods = Vec::new();
        for (at, host) in self.hosts.iter().enumerate() {
            let zone = host.labels.get(labels::ZONE).map_or("", String::as_str);
            for pod in &host.planned {
                let kind = self.rules.kind(pod).unwrap_or_default();
                let turn = like(&self.rules.kinds[kind]);
                let spec = (turn == Turn::Spec).then_some(Arc::as_ptr(&pod.spec));
                let rank = ranks.entry((turn, spec, zone)).or_default();
                *rank += 1;
                pods.push((*rank, *pod, kind, at));
            }
        }
        pods.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
        pods.into_iter().map(|(_, pod, kind, at)| (pod, kind, at)).collect()
    }

    /// Binds pods until none of the rest can be; returns those, and why.
    fn bind_all(
        &self,
        mut tallies: Vec<Tally>,
        mut waiting: Vec<Waiting<'a>>,
    ) -> Vec<(PodId, String)> {
        loop {
            let before = waiting.len();
            waiting.retain(|(_, kind, host)| {
                let refused = self.refuses(&tallies, *kind, *host).is_some();
                if !refused {
                    self.bind(&mut tallies, *kind, *host, true);
                }
                refused
            });
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        let problem = |(pod, kind, host): Waiting<'a>| {
            let rule = self.refuses(&tallies, kind, host).unwrap_or_default();
            (pod.id.clone(), format!("cannot be bound to {}: {rule}", self.hosts[host].name))
        };
        waiting.into_iter().map(problem).collect()
    }

    fn bind(&self, tallies: &mut [Tally], kind: usize, host: usize, counted: bool) {
        let kind = &self.rules.kinds[kind];
        for rule in kind.counted.iter().filter(|_| counted) {
            let Some(domain) = self.domain(*rule, host) else { continue };
            if self.counts_there(*rule, host) {
                let tally = &mut tallies[*rule];
                tally.total += 1;
                tally.counts[domain] += 1;
                tally.without -= usize::from(tally.counts[domain] == 1);
            }
        }
        for rule in &kind.antis {
            if let Some(domain) = self.domain(*rule, host) {
                tallies[*rule].carriers[domain] += 1;
            }
        }
    }

    /// The rule that keeps a pod of the kind from the host now.
    fn refuses(&self, tallies: &[Tally], kind: usize, host: usize) -> Option<String> {
        let of = &self.rules.kinds[kind];
        let spread = of.spreads.iter().find(|spread| !self.spreads(tallies, spread, host));
        if let Some(spread) = spread {
            let key = self.rules.key(spread.rule);
            return Some(match self.domain(spread.rule, host) {
                None => format!("the node has no label {key}"),
                Some(_) => format!("spread over {key} would exceed {}", spread.skew),
            });
        }
        let alone = |rule: &&usize| {
            let tally = &tallies[**rule];
            let first = tally.total == 0 && of.counted.contains(*rule);
            let domain = self.domain(**rule, host);
            !domain.is_some_and(|domain| first || tally.counts[domain] > 0)
        };
        if let Some(rule) = of.affinities.iter().find(alone) {
            return Some(format!("no pod that affinity over {} asks for", self.rules.key(*rule)));
        }
        let meets = |rule: &&usize, list: fn(&Tally) -> &Vec<u32>| {
            self.domain(**rule, host).is_some_and(|domain| list(&tallies[**rule])[domain] > 0)
        };
        let own = of.antis.iter().find(|rule| meets(rule, |tally| &tally.counts));
        let others = || of.counted.iter().find(|rule| meets(rule, |tally| &tally.carriers));
        own.or_else(others).map(|rule| format!("anti-affinity over {}", self.rules.key(*rule)))
    }

    fn spreads(&self, tallies: &[Tally], spread: &Spread, host: usize) -> bool {
        let Some(domain) = self.domain(spread.rule, host) else { return false };
        let (tally, eligible) = (&tallies[spread.rule], &self.eligible[spread.rule]);
        let after = tally.counts[domain] + u32::from(spread.own);
        let enough = || {
            let domains = eligible.iter().filter(|eligible| **eligible).count();
            domains >= spread.min_domains as usize
        };
        let least = || {
            let counts = tally.counts.iter().zip(eligible).filter(|(_, eligible)| **eligible);
            counts.map(|(count, _)| *count).min().unwrap_or(0)
        };
        // The emptiest domain only matters once there are more than the skew itself allows.
        after <= spread.skew || (tally.without == 0 && enough() && after <= spread.skew + least())
    }
}

/// Whether the pods have the rule as a spread of their own.
fn spec_has(board: &Board<'_, '_>, pods: &[Waiting<'_>], rule: usize) -> bool {
    let kinds = pods.first().map(|(_, kind, _)| &board.rules.kinds[*kind]);
    kinds.is_some_and(|kind| kind.spreads.iter().any(|spread| spread.rule == rule))
}

impl Domains {
    fn new(key: &str, hosts: &[Host<'_>]) -> Self {
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        let mut of_host = Vec::with_capacity(hosts.len());
        for host in hosts {
            let next = known.len();
            of_host.push(host.label(key).map(|value| *known.entry(value).or_insert(next)));
        }
        Self { of_host, count: known.len() }
    }
}
