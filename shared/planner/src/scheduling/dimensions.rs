//! Resources as short vectors: one dimension for each resource that some pod of the turn asks for.

use model::{ResourceName, Resources};
use std::collections::BTreeSet;

/// The resources that matter in one turn, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dimensions {
    names: Vec<ResourceName>,
}

impl Dimensions {
    /// The resources of which some request has more than nothing.
    pub(crate) fn of<'a>(requests: impl Iterator<Item = &'a Resources>) -> Self {
        let named = requests.flat_map(|request| {
            request.iter().filter(|(_, amount)| *amount > 0).map(|(name, _)| name.clone())
        });
        Self { names: named.collect::<BTreeSet<_>>().into_iter().collect() }
    }

    /// The amounts by dimension.
    pub(crate) fn vector(&self, resources: &Resources) -> Vec<i64> {
        self.names.iter().map(|name| resources.get(name.as_str())).collect()
    }

    /// How many dimensions there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The name of a dimension.
    pub(crate) fn name(&self, dimension: usize) -> &str {
        self.names.get(dimension).map_or("", ResourceName::as_str)
    }
}

/// Whether `size` fits into `room`; a dimension of which nothing is asked always does.
pub(crate) fn fits(size: &[i64], room: &[i64]) -> bool {
    size.iter().zip(room).all(|(size, room)| *size <= 0 || size <= room)
}

/// Takes `size` away from `room`, `count` times.
pub(crate) fn take(room: &mut [i64], size: &[i64], count: i64) {
    room.iter_mut()
        .zip(size)
        .for_each(|(room, size)| *room = room.saturating_sub(size.saturating_mul(count)));
}
