//! What daemonsets leave of a node.

use super::dimensions::{Dimensions, take};
use model::pod::HostPort;
use model::resources::{CPU, MEMORY};
use model::{InstanceType, Resources, Snapshot};
use std::rc::Rc;

/// What daemons leave and what they take.
#[derive(Clone, Default)]
pub(crate) struct Left {
    /// What other pods may use, by dimension.
    pub(crate) room: Rc<Vec<i64>>,
    /// Host ports that the daemons take.
    pub(crate) ports: Rc<Vec<HostPort>>,
    /// Their share of the node in millionths: the mean of those of its CPU and of its memory.
    pub(crate) share: u64,
}

impl Left {
    /// What these daemonsets leave of a node of the type.
    pub(crate) fn new(
        snapshot: &Snapshot,
        instance_type: &InstanceType,
        daemons: &[usize],
        dimensions: &Dimensions,
    ) -> Self {
        let specs = daemons.iter().map(|daemon| &snapshot.daemon_sets[*daemon].spec);
        let (mut room, mut taken) =
            (dimensions.vector(&instance_type.allocatable), Resources::new());
        for spec in specs.clone() {
            take(&mut room, &dimensions.vector(&spec.requests), 1);
            taken.add(&spec.requests);
        }
        let share = |name: &str| {
            let all = i128::from(instance_type.allocatable.get(name)).max(1);
            (i128::from(taken.get(name)) * 1_000_000 / all).clamp(0, 1_000_000) as u64
        };
        let ports = specs.flat_map(|spec| spec.host_ports.iter().cloned());
        let share = (share(CPU) + share(MEMORY)) / 2;
        Self { room: Rc::new(room), ports: Rc::new(ports.collect()), share }
    }
}
