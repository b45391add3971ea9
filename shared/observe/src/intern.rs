//! One copy of what many pods have in common.

use model::{Labels, PodSpec};
use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The copies made so far.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    specs: BTreeSet<Arc<PodSpec>>,
    labels: BTreeSet<Arc<Labels>>,
    names: BTreeSet<Arc<str>>,
}

impl Interner {
    pub(crate) fn spec(&mut self, spec: PodSpec) -> Arc<PodSpec> {
        keep(&mut self.specs, spec)
    }

    pub(crate) fn labels(&mut self, labels: Labels) -> Arc<Labels> {
        keep(&mut self.labels, labels)
    }

    pub(crate) fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name = Arc::<str>::from(name);
        self.names.insert(Arc::clone(&name));
        name
    }

    /// Frees what nobody else holds any more.
    #[cfg(feature = "live")]
    pub(crate) fn prune(&mut self) {
        self.specs.retain(|spec| Arc::strong_count(spec) > 1);
        self.labels.retain(|labels| Arc::strong_count(labels) > 1);
        self.names.retain(|name| Arc::strong_count(name) > 1);
    }
}

fn keep<T: Ord>(known: &mut BTreeSet<Arc<T>>, value: T) -> Arc<T>
where
    Arc<T>: Borrow<T>,
{
    if let Some(known) = known.get(&value) {
        return Arc::clone(known);
    }
    let value = Arc::new(value);
    known.insert(Arc::clone(&value));
    value
}
