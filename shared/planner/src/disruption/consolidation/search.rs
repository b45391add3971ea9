//! Which nodes go: first those whose pods find room on others, then those whose pods are cheaper on new nodes.
//!
//! Work is bounded by counts: so many trials, so many steps of each packing, so many looks at nodes.

use super::fleet::Fleet;
use super::price;
use crate::packing::bitset::Bitset;
use crate::scheduling::{Bought, Limits, Market, Share, Worth, hold};
use model::CapacityType;
use model::resources::CPU;
use std::collections::BTreeMap;

/// Nodes that go together, and what is bought for them.
pub(super) struct Set<'a> {
    /// The nodes, by position.
    pub(super) hosts: Vec<usize>,
    /// What is bought.
    pub(super) nodes: Vec<Bought<'a>>,
}

/// A search and what it has found.
pub(super) struct Search<'a, 's> {
    pub(super) fleet: Fleet<'a, 's>,
    pub(super) market: Shop<'a, 's>,
    pub(super) limits: Limits,
    pub(super) worth: Worth,
    /// By node, its pool.
    pub(super) pools: Vec<usize>,
    /// By pool, how many more nodes may go.
    pub(super) quotas: Vec<usize>,
    /// By node, whether it may be replaced and not only removed.
    pub(super) replaceable: Vec<bool>,
    /// By node, whether it is spot capacity.
    pub(super) spot: Vec<bool>,
    /// By pool of the market, what is not spot; empty if no pool asks for a part of it.
    pub(super) shares: Vec<Share>,
    /// By node, its instance type.
    pub(super) types: Vec<&'a str>,
    pub(super) found: Vec<Set<'a>>,
}

/// What came of a trial.
struct Trial<'a> {
    /// What it saves above the toll.
    gain: i64,
    nodes: Vec<Bought<'a>>,
    limits: Limits,
    shares: Vec<Share>,
}

/// What a market needs but for the counts of the moment.
pub(super) struct Shop<'a, 's> {
    pub(super) candidates: &'s crate::scheduling::Candidates<'a>,
    /// By class, the candidates that can hold one of its pods.
    pub(super) fitting: &'s [Bitset],
    /// Of these the ones that no other undercuts.
    pub(super) trimmed: &'s [Bitset],
    pub(super) bundles: &'s BTreeMap<usize, Bitset>,
    pub(super) steps: u64,
}

/// Sets of replaced nodes that are accepted, at most.
const ROUNDS: usize = 24;
/// Nodes that are tried to be replaced each alone.
const SINGLES: usize = 24;
/// Samples of other nodes that are tried with a set.
const SAMPLES: usize = 3;
/// A node whose pods are worth this share of its price could be replaced by something cheaper.
const HOPEFUL: f64 = 0.999;
/// Steps of one packing on trial, as a share of those of the final one.
const TRIAL: u64 = 8;
/// And at most so many for each pod.
const STEPS_OF_A_POD: u64 = 20_000;

impl<'a> Search<'a, '_> {
    /// Empties what goes without a new node. Which nodes are best to keep cannot be told beforehand: two orders are tried.
    pub(super) fn remove(&mut self) {
        let start = self.fleet.mark();
        let orders = [self.by_use(), self.by_kind()];
        let (quotas, shares) = (self.quotas.clone(), self.shares.clone());
        let mut best: Option<(i64, usize)> = None;
        for (at, order) in orders.iter().enumerate() {
            let (gain, _) = self.remove_in(order);
            self.fleet.undo(start);
            self.quotas.clone_from(&quotas);
            self.shares.clone_from(&shares);
            best = best.max(Some((gain, orders.len() - at)));
        }
        let Some((_, rank)) = best.filter(|(gain, _)| *gain > 0) else { return };
        let (_, hosts) = self.remove_in(&orders[orders.len() - rank]);
        self.found
            .extend(hosts.into_iter().map(|host| Set { hosts: vec![host], nodes: Vec::new() }));
    }

    fn remove_in(&mut self, order: &[usize]) -> (i64, Vec<usize>) {
        self.aim(order);
        let (mut gain, mut removed) = (0, Vec::new());
        for host in order.iter().copied() {
            let own = self.gain(&[host]);
            if own <= 0 || self.quotas[self.pools[host]] == 0 || self.fleet.looks == 0 {
                continue;
            }
            let mark = self.fleet.mark();
            let left = self.shares_without(&[host]);
            if self.is_fair(&left) && self.fleet.empty(&[host], false) {
                self.shares = left;
                self.quotas[self.pools[host]] -= 1;
                gain += own;
                removed.push(host);
            } else {
                self.fleet.undo(mark);
            }
        }
        (gain, removed)
    }

    /// Nodes that stay take pods: those first that go last.
    fn aim(&mut self, order: &[usize]) {
        let mut rank = vec![usize::MAX; self.fleet.hosts.len()];
        order.iter().enumerate().for_each(|(at, host)| rank[*host] = at);
        let mut targets = (0..self.fleet.hosts.len())
            .filter(|host| self.fleet.slots[*host].usable)
            .map(|host| host as u32)
            .collect::<Vec<_>>();
        targets.sort_by_key(|host| (std::cmp::Reverse(rank[*host as usize]), *host));
        self.fleet.aim(targets);
    }

    /// What the nodes cost less what moving their pods must save.
    fn gain(&self, hosts: &[usize]) -> i64 {
        let own = |host: &usize| {
            let host = &self.fleet.hosts[*host];
            host.price as i64 - host.toll as i64
        };
        hosts.iter().map(own).sum()
    }

    /// What the pods on a node are worth.
    fn held(&self, host: usize) -> f64 {
        let load = self.fleet.hosts[host].load.iter();
        load.map(|(class, pods)| self.worth.classes[*class] * pods.len() as f64).sum()
    }

    /// What the node could hold at most, by its resources.
    fn capacity(&self, host: usize) -> f64 {
        let free = self.fleet.slots[host].room.iter().zip(&self.worth.dimensions);
        let free = free.map(|(room, price)| (*room).max(0) as f64 * price).sum::<f64>();
        let taken = self.fleet.hosts[host].load.iter().map(|(class, pods)| {
            let size = self.fleet.classes[*class].size.iter().zip(&self.worth.dimensions);
            size.map(|(size, price)| *size as f64 * price).sum::<f64>() * pods.len() as f64
        });
        free + taken.sum::<f64>()
    }

    /// Nodes that hold least for their price first.
    fn by_use(&self) -> Vec<usize> {
        self.candidates_by(|host| self.held(host) / self.price(host))
    }

    /// Nodes of kinds that could never hold their price first, and among equals those that hold least.
    fn by_kind(&self) -> Vec<usize> {
        self.candidates_by(|host| {
            let potential = (self.capacity(host) / self.price(host)).min(1.0);
            let held = self.held(host) / self.price(host);
            potential + 0.25 * held
        })
    }

    fn price(&self, host: usize) -> f64 {
        self.fleet.hosts[host].price.max(1) as f64
    }

    fn candidates_by(&self, key: impl Fn(usize) -> f64) -> Vec<usize> {
        let may_go =
            |host: &usize| self.fleet.hosts[*host].candidate && !self.fleet.hosts[*host].gone;
        let mut keyed = (0..self.fleet.hosts.len())
            .filter(may_go)
            .map(|host| (key(host), host))
            .collect::<Vec<_>>();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        keyed.into_iter().map(|(_, host)| host).collect()
    }

    /// Replaces nodes by cheaper ones, the set that saves most first, until none saves anything.
    pub(super) fn replace(&mut self, largest: usize) {
        for _ in 0..ROUNDS {
            let mut best: Option<(i64, Vec<usize>)> = None;
            for (hoped, hosts) in self.hopes(self.sets(largest)) {
                let known = best.as_ref().map_or(0, |best| best.0);
                if hoped <= known {
                    break;
                }
                let mark = self.fleet.mark();
                let gain =
                    self.trial(&hosts, self.trial_steps(&hosts)).map_or(0, |trial| trial.gain);
                self.fleet.undo(mark);
                if gain > known {
                    best = Some((gain, hosts));
                }
            }
            let Some((_, hosts)) = best else { return };
            if !self.take(&hosts) {
                return;
            }
        }
    }

    /// The sets with what each could gain at most, the most hopeful first: pods on new nodes cost at least what they are worth.
    fn hopes(&self, sets: Vec<Vec<usize>>) -> Vec<(i64, Vec<usize>)> {
        let hoped = |hosts: &[usize]| {
            let held = hosts.iter().map(|host| self.held(*host)).sum::<f64>();
            self.gain(hosts) - held as i64
        };
        let mut hopes = sets.into_iter().map(|set| (hoped(&set), set)).collect::<Vec<_>>();
        hopes.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        hopes.dedup();
        hopes
    }

    /// Few pods need little work.
    fn trial_steps(&self, hosts: &[usize]) -> u64 {
        let load = hosts.iter().flat_map(|host| &self.fleet.hosts[*host].load);
        let pods = load.map(|(_, pods)| pods.len() as u64).sum::<u64>();
        (self.market.steps / TRIAL).min(STEPS_OF_A_POD.saturating_mul(pods))
    }

    /// The nodes that may be replaced, as far as quotas go, by what their pods are worth for their price, the least first;
    /// and how many of them are worth less than they cost.
    fn replaceable(&self) -> (Vec<usize>, usize) {
        let worth =
            |host: usize| (self.held(host) + self.fleet.hosts[host].toll as f64) / self.price(host);
        let mut order = self.candidates_by(worth);
        let within = |host: &usize| self.replaceable[*host] && self.quotas[self.pools[*host]] > 0;
        order.retain(within);
        let hopeful = order.partition_point(|host| worth(*host) < HOPEFUL);
        (order, hopeful)
    }

    /// The set without the nodes that are over a quota.
    fn within_quotas(&self, hosts: impl Iterator<Item = usize>, most: usize) -> Vec<usize> {
        let mut quotas = BTreeMap::new();
        let fits = |host: &usize| {
            let pool = self.pools[*host];
            let left = quotas.entry(pool).or_insert(self.quotas[pool]);
            let fits = *left > 0;
            *left -= usize::from(fits);
            fits
        };
        hosts.filter(fits).take(most).collect()
    }

    /// The sets to try, in growing sizes: the first nodes of the order; half of them with a sample of all others, whose pods may
    /// be what the first ones lack to fill new nodes; and some nodes alone.
    fn sets(&self, largest: usize) -> Vec<Vec<usize>> {
        let (order, hopeful) = self.replaceable();
        if hopeful == 0 {
            return Vec::new();
        }
        let mut sets =
            order[..hopeful.min(SINGLES)].iter().map(|host| vec![*host]).collect::<Vec<_>>();
        let mut size = 2;
        while size < order.len().min(largest) * 2 {
            let most = size.min(largest);
            let first = order[..hopeful].iter().copied();
            sets.push(self.within_quotas(first, most));
            let half = (most / 2).max(1).min(hopeful);
            let (some, rest) = order.split_at(half);
            for offset in 0..SAMPLES {
                let step = (rest.len() / (most - half).max(1)).max(1);
                let sample = rest.iter().copied().skip(offset * step / SAMPLES).step_by(step);
                sets.push(self.within_quotas(some.iter().copied().chain(sample), most));
            }
            size += (size / 2).max(1);
        }
        sets
    }

    /// Empties the nodes for good, if that saves something with all the work that a packing may take.
    pub(super) fn take(&mut self, hosts: &[usize]) -> bool {
        let mark = self.fleet.mark();
        let Some(Trial { gain, nodes, limits, shares }) = self.trial(hosts, self.market.steps)
        else {
            self.fleet.undo(mark);
            return false;
        };
        if gain <= 0 {
            self.fleet.undo(mark);
            return false;
        }
        (self.limits, self.shares) = (limits, shares);
        hosts.iter().for_each(|host| {
            let quota = &mut self.quotas[self.pools[*host]];
            *quota = quota.saturating_sub(1);
        });
        self.found.push(Set { hosts: hosts.to_vec(), nodes });
        true
    }

    /// Empties the nodes and buys for what finds no room: what that saves above the toll, and what is bought.
    fn trial(&mut self, hosts: &[usize], steps: u64) -> Option<Trial<'a>> {
        let before = self.gain(hosts);
        if !self.fleet.empty(hosts, true) {
            return None;
        }
        let demands = std::mem::take(&mut self.fleet.demands);
        let mut limits = self.limits.clone();
        let market = self.market.narrow(&self.fleet, &limits, steps);
        let mut purchase = market.buy(demands, &mut limits);
        if !purchase.left.is_empty() {
            return None;
        }
        let market = self.market.open(&self.fleet, steps);
        let mut shares = self.shares_without(hosts);
        hold(&market, &mut shares, &mut purchase.nodes, &limits);
        let price =
            |node: &Bought<'_>| market.candidates.list[node.candidate].offering.price.0 as i64;
        let bought = purchase.nodes.iter().map(price).sum::<i64>();
        let gain = before - bought;
        let all_spot = hosts.iter().all(|host| self.spot[*host]);
        let replaced = price::Replaced {
            nodes: hosts.len(),
            all_spot,
            gain,
            types: hosts.iter().map(|host| self.types[*host]).collect(),
        };
        let right = gain > price::overlap(bought)
            && self.is_fair(&shares)
            && price::is_right(&market, &purchase.nodes, &limits, &replaced);
        right.then_some(Trial { gain, nodes: purchase.nodes, limits, shares })
    }

    /// What is not spot when these nodes have gone.
    fn shares_without(&self, hosts: &[usize]) -> Vec<Share> {
        let mut shares = self.shares.clone();
        let pools = &self.market.candidates.pools;
        for host in hosts {
            let slot = &self.fleet.slots[*host];
            let pool = pools.iter().position(|pool| slot.pool == Some(pool.name.as_str()));
            let way = if self.spot[*host] { CapacityType::Spot } else { CapacityType::OnDemand };
            let share = pool.and_then(|pool| shares.get_mut(pool)).into_iter();
            share.for_each(|own| own.add(-slot.capacity.get(CPU), way));
        }
        shares
    }

    /// Whether each pool has the part that it asks for, or no less than before.
    fn is_fair(&self, then: &[Share]) -> bool {
        let each = self.market.candidates.pools.iter().zip(&self.shares).zip(then);
        each.into_iter().all(|((pool, now), then)| then.holds(pool) || !then.is_below(now))
    }
}

impl<'a, 's> Shop<'a, 's> {
    /// The market at this moment, with every candidate.
    pub(super) fn open<'m>(&'m self, fleet: &'m Fleet<'a, 's>, steps: u64) -> Market<'a, 'm> {
        Market {
            candidates: self.candidates,
            classes: fleet.classes,
            fitting: self.fitting,
            topology: &fleet.topology,
            bundles: self.bundles,
            steps,
        }
    }

    /// The same with the candidates that a packing could need; limits may make it need any.
    fn narrow<'m>(
        &'m self,
        fleet: &'m Fleet<'a, 's>,
        limits: &Limits,
        steps: u64,
    ) -> Market<'a, 'm> {
        let fitting = if limits.any() { self.fitting } else { self.trimmed };
        Market { fitting, ..self.open(fleet, steps) }
    }
}

impl Search<'_, '_> {
    /// Takes the sets that were proposed, as far as all their nodes may still go.
    pub(super) fn confirm(&mut self, proposed: &[Vec<&str>]) {
        if proposed.is_empty() {
            return;
        }
        let order = self.by_use();
        self.aim(&order);
        let index = self.fleet.slots.iter().enumerate().map(|(at, slot)| (slot.name.clone(), at));
        let index = index.collect::<BTreeMap<std::sync::Arc<str>, usize>>();
        for names in proposed {
            let hosts = names.iter().filter_map(|name| index.get(*name).copied());
            let hosts = hosts.filter(|host| self.fleet.hosts[*host].candidate).collect::<Vec<_>>();
            if hosts.len() == names.len() && !hosts.is_empty() {
                self.take(&hosts);
            }
        }
    }
}
