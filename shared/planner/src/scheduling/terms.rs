//! The topology rules of pods as terms: what a rule counts, where, and by which label.

use super::cells::Cells;
use model::pod::{
    InclusionPolicy, NodeSelectorTerm, PodAffinityTerm, TopologySpread, WhenUnsatisfiable,
};
use model::{LabelSelector, Labels, Pod, PodSpec, Snapshot, Toleration, labels};
use std::collections::{BTreeMap, BTreeSet};

/// The kinds of domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Each node is a domain.
    Host,
    /// Each value of this key of the cells is a domain.
    Key(usize),
}

/// A hard spread of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spread {
    /// The term.
    pub(crate) term: usize,
    /// How far the fullest domain may be ahead of the emptiest.
    pub(crate) skew: u32,
    /// With fewer domains than this the emptiest counts as zero.
    pub(crate) min_domains: u32,
    /// Whether the class's own pods are counted.
    pub(crate) own: bool,
}

/// What a class has to do with each term, as indices into `Topology`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Hard spreads.
    pub(crate) spreads: Vec<Spread>,
    /// Required affinities.
    pub(crate) affinities: Vec<usize>,
    /// Required anti-affinities.
    pub(crate) antis: Vec<usize>,
    /// The terms, whoever has them, that select this class's pods; ascending.
    pub(crate) matches: Vec<usize>,
}

impl Terms {
    /// Whether the term selects the class's pods.
    pub(crate) fn matches(&self, term: usize) -> bool {
        self.matches.binary_search(&term).is_ok()
    }
}

/// The namespaces that a term speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Namespaces<'a> {
    /// All of them.
    Any,
    /// These, ascending.
    Of(Vec<&'a str>),
}

impl Namespaces<'_> {
    fn contain(&self, namespace: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Of(names) => names.binary_search(&namespace).is_ok(),
        }
    }
}

/// The nodes that count for a spread: by default those that the pod's own selector and affinity allow, whatever their taints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Filter<'a> {
    /// `nodeAffinityPolicy: Honor`, if the pod asks for anything.
    pub(super) affinity: Option<(&'a Labels, &'a [NodeSelectorTerm])>,
    /// `nodeTaintsPolicy: Honor`.
    pub(super) tolerations: Option<&'a [Toleration]>,
    /// The pod's spreads, if several: the kube-scheduler leaves nodes out that lack the label of any hard one.
    pub(super) spreads: &'a [TopologySpread],
}

impl<'a> Filter<'a> {
    fn of(spec: &'a PodSpec, spread: &TopologySpread) -> Self {
        let asks = !(spec.node_selector.is_empty() && spec.node_affinity.is_empty());
        let honors = spread.node_affinity_policy == InclusionPolicy::Honor && asks;
        let taints = spread.node_taints_policy == InclusionPolicy::Honor;
        let spreads = spec.topology_spread.as_slice();
        Self {
            spreads: if spreads.len() > 1 { spreads } else { &[] },
            affinity: honors.then_some((&spec.node_selector, spec.node_affinity.as_slice())),
            tolerations: taints.then_some(spec.tolerations.as_slice()),
        }
    }
}

/// Those that keep a pod waiting.
pub(super) fn hard(spreads: &[TopologySpread]) -> impl Iterator<Item = &TopologySpread> {
    spreads.iter().filter(|spread| spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule)
}

/// What a term counts, and by which label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TermKey<'a> {
    pub(super) level: Level,
    namespaces: Namespaces<'a>,
    selector: &'a LabelSelector,
    /// Affinity counts only pods that all terms of the pod select, as the kube-scheduler does.
    also: Vec<(Namespaces<'a>, &'a LabelSelector)>,
    /// The nodes that count, for a spread.
    pub(super) filter: Option<Filter<'a>>,
}

impl TermKey<'_> {
    /// Whether it counts pods with these labels in that namespace.
    pub(super) fn selects(&self, namespace: &str, own: &Labels) -> bool {
        let also = |(namespaces, selector): &(Namespaces<'_>, &LabelSelector)| {
            namespaces.contain(namespace) && selector.matches(own)
        };
        self.namespaces.contain(namespace)
            && self.selector.matches(own)
            && self.also.iter().all(also)
    }

    /// A label and the values of which a counted pod has one, if the selector asks for any.
    pub(super) fn wants(&self) -> Option<(&str, &[String])> {
        self.selector.one_of()
    }
}

/// The terms seen so far, with their numbers, and what is needed to read them.
pub(super) struct Index<'a, 'c> {
    cells: &'c Cells,
    namespaces: &'a BTreeMap<String, Labels>,
    /// Namespaces of pods of which no labels are known.
    strange: BTreeSet<&'a str>,
    known: BTreeMap<TermKey<'a>, usize>,
}

impl<'a, 'c> Index<'a, 'c> {
    /// No terms yet.
    pub(super) fn new(snapshot: &'a Snapshot, cells: &'c Cells) -> Self {
        let namespaces = &snapshot.namespaces;
        let of_pods = snapshot.pods.iter().map(|pod| &*pod.id.namespace).collect::<BTreeSet<_>>();
        let strange = of_pods.into_iter().filter(|name| !namespaces.contains_key(*name)).collect();
        Self { cells, namespaces, strange, known: BTreeMap::new() }
    }

    /// The terms, by number.
    pub(super) fn into_terms(self) -> Vec<TermKey<'a>> {
        let mut terms = self.known.into_iter().map(|(key, at)| (at, key)).collect::<Vec<_>>();
        terms.sort_unstable_by_key(|(at, _)| *at);
        terms.into_iter().map(|(_, key)| key).collect()
    }

    fn intern(&mut self, key: TermKey<'a>) -> usize {
        let next = self.known.len();
        *self.known.entry(key).or_insert(next)
    }

    fn level(&self, topology_key: &str) -> Option<Level> {
        if labels::normalize(topology_key) == labels::HOSTNAME {
            return Some(Level::Host);
        }
        self.cells.position(topology_key).map(Level::Key)
    }

    /// The terms that a pod has itself.
    pub(super) fn own(&mut self, pod: &'a Pod) -> Terms {
        let mut terms = Terms::default();
        let spec: &'a PodSpec = &pod.spec;
        for spread in hard(&spec.topology_spread) {
            let Some(level) = self.level(&spread.topology_key) else { continue };
            let namespaces = Namespaces::Of(vec![&pod.id.namespace]);
            let filter = Some(Filter::of(spec, spread));
            let selector = &spread.selector;
            let key = TermKey { level, namespaces, selector, also: Vec::new(), filter };
            terms.spreads.push(Spread {
                term: self.intern(key),
                skew: spread.max_skew.max(1) as u32,
                min_domains: spread.min_domains.unwrap_or(1).max(1) as u32,
                own: spread.selector.matches(&pod.labels),
            });
        }
        terms.affinities = self.affinities(pod);
        terms.antis = self.antis(pod);
        terms
    }

    fn affinities(&mut self, pod: &'a Pod) -> Vec<usize> {
        let meant = |term: &'a PodAffinityTerm| (self.namespaces(term, pod, false), &term.selector);
        let all = pod.spec.pod_affinity.iter().map(meant).collect::<Vec<_>>();
        let also = if all.len() > 1 { all.clone() } else { Vec::new() };
        let mut own = Vec::with_capacity(all.len());
        for (term, (namespaces, selector)) in pod.spec.pod_affinity.iter().zip(all) {
            let Some(level) = self.level(&term.topology_key) else { continue };
            let also = also.clone();
            own.push(self.intern(TermKey { level, namespaces, selector, also, filter: None }));
        }
        own
    }

    /// The anti-affinities of a pod, whether it runs or waits.
    pub(super) fn antis(&mut self, pod: &'a Pod) -> Vec<usize> {
        let mut own = Vec::with_capacity(pod.spec.pod_anti_affinity.len());
        for term in &pod.spec.pod_anti_affinity {
            let Some(level) = self.level(&term.topology_key) else { continue };
            let namespaces = self.namespaces(term, pod, true);
            let (selector, also) = (&term.selector, Vec::new());
            own.push(self.intern(TermKey { level, namespaces, selector, also, filter: None }));
        }
        own
    }

    /// The namespaces of a term: those named and those selected, else the pod's own. Of a namespace whose labels are not known
    /// only the name is; to keep away from its pods is safe, to follow them is not.
    fn namespaces(
        &self,
        term: &'a PodAffinityTerm,
        pod: &'a Pod,
        keeps_away: bool,
    ) -> Namespaces<'a> {
        let Some(selector) = &term.namespace_selector else {
            let named = term.namespaces.iter().map(String::as_str);
            let own = term.namespaces.is_empty().then_some(&*pod.id.namespace);
            return Namespaces::Of(sorted(named.chain(own)));
        };
        if *selector == LabelSelector::new(Vec::new()) {
            return Namespaces::Any;
        }
        let known = self.namespaces.iter();
        let selected = known.filter(|(name, own)| selects(selector, name, own));
        let strange = self
            .strange
            .iter()
            .filter(|name| keeps_away || selects(selector, name, &Labels::new()));
        let named = term.namespaces.iter().map(String::as_str);
        Namespaces::Of(sorted(
            selected.map(|(name, _)| name.as_str()).chain(strange.copied()).chain(named),
        ))
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether the selector means the namespace; each has the label of its name, whether it is shown or not.
fn selects(selector: &LabelSelector, name: &str, own: &Labels) -> bool {
    if own.contains_key(labels::NAMESPACE_NAME) {
        return selector.matches(own);
    }
    let mut own = own.clone();
    own.insert(labels::NAMESPACE_NAME.to_owned(), name.to_owned());
    selector.matches(&own)
}
