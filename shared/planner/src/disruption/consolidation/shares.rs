//! What consolidation leaves of the part of a pool that is not spot (`joiner.dev/on-demand-share`).

use super::Group;
use crate::disruption::Turn;
use crate::scheduling::Share;
use model::resources::CPU;
use model::{CapacityType, Launch, NodePool, Snapshot};
use std::collections::BTreeMap;

/// The pools that ask for a share, with what they have of it.
pub(super) struct Shares<'v, 'a> {
    turn: &'v Turn<'v, 'a>,
    pools: BTreeMap<&'a str, (&'a NodePool, Share)>,
}

impl<'v, 'a> Shares<'v, 'a> {
    /// Counts the nodes that stay and those that are to be bought.
    pub(super) fn new(turn: &'v Turn<'v, 'a>) -> Self {
        let asked = turn.view.pools.values().filter(|pool| pool.on_demand_percent > 0);
        let pools = asked.map(|pool| (pool.name.as_str(), (*pool, Share::default()))).collect();
        let mut own = Self { turn, pools };
        for node in &turn.view.snapshot.nodes {
            let known = node.pool().and_then(|pool| own.pools.get_mut(pool));
            if let Some((_, share)) = known.filter(|_| !turn.leaving.contains(&node.name)) {
                share.add(node.capacity.get(CPU), node.capacity_type());
            }
        }
        for launch in &turn.base.plan.launches {
            if let Some((pool, share)) = own.pools.get_mut(launch.node_pool.as_str()) {
                share.add(cpu(turn.view.snapshot, pool, launch), launch.offering.capacity_type);
            }
        }
        own
    }

    /// Whether the group leaves each pool its share, or takes nothing of it; if so it counts from now on.
    pub(super) fn allow(&mut self, group: &Group) -> bool {
        if self.pools.is_empty() {
            return true;
        }
        let mut then = self.pools.clone();
        let mut less: BTreeMap<&str, i64> = BTreeMap::new();
        for node in group.nodes.iter().filter_map(|name| self.turn.view.node(name)) {
            let Some(name) = node.pool() else { continue };
            let Some((_, share)) = then.get_mut(name) else { continue };
            let (cpu, way) = (node.capacity.get(CPU), node.capacity_type());
            share.add(-cpu, way);
            if way != CapacityType::Spot {
                *less.entry(name).or_default() += cpu;
            }
        }
        for launch in &group.launches {
            let name = launch.node_pool.as_str();
            let Some((pool, share)) = then.get_mut(name) else { continue };
            let (cpu, way) =
                (cpu(self.turn.view.snapshot, pool, launch), launch.offering.capacity_type);
            share.add(cpu, way);
            // More spot beside what is not takes from the share as well.
            *less.entry(name).or_default() += if way == CapacityType::Spot { cpu } else { -cpu };
        }
        let taken = |name: &str| less.get(name).is_some_and(|less| *less > 0);
        let right = then.iter().all(|(name, (pool, share))| share.holds(pool) || !taken(name));
        if right {
            self.pools = then;
        }
        right
    }
}

fn cpu(snapshot: &Snapshot, pool: &NodePool, launch: &Launch) -> i64 {
    let types = snapshot.instance_types.get(&pool.instance_types);
    let mut types = types.into_iter().flat_map(|types| types.iter());
    let known = types.find(|known| known.name == launch.offering.instance_type);
    known.map_or(0, |known| known.capacity.get(CPU))
}
