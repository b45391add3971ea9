//! Which value a resource should have, and what is done about the one it has.

use crate::change::Change;
use crate::network::{Group, Net};
use model::labels::DISCOVERY;

/// Pools whose nodes have security groups of their own in gen3's VPCs.
const POOLS: [&str; 3] = ["jupyter", "workflow", "gpu"];
/// What gen3's script wrote for `workflow` in early 2023.
const WRONG_BY_HAND: &str = "-worfklow";
/// The memory of a value that was overwritten begins so.
pub(super) const BEFORE: &str = "was=";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Subnet,
    Group,
}

/// A resource, its discovery tag, and what that should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tagging {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    /// As people call it.
    pub(crate) object: String,
    /// The value that is there.
    pub(crate) found: Option<String>,
    /// The value that should be; none on a public subnet.
    pub(crate) wanted: Option<String>,
    /// What the installer remembers of writing it.
    pub(crate) remembered: Option<String>,
}

impl Tagging {
    /// What is done about it; what only `force` goes over is a conflict without it.
    pub(crate) fn change(&self, force: bool) -> Change {
        let object = self.object.clone();
        let Some(wanted) = &self.wanted else {
            let told = format!(
                "it is public and has {DISCOVERY}={}, so nodes would be launched into it",
                self.found.as_deref().unwrap_or_default()
            );
            return match force {
                true => Change::remove(object, told),
                false => {
                    Change::conflict(object, format!("{told}; take the tag away, or say --force"))
                }
            };
        };
        match self.found.as_deref() {
            None => Change::create(object, format!("{DISCOVERY}={wanted}")),
            Some(found) if found == wanted => Change::keep(object, format!("{DISCOVERY}={wanted}")),
            Some(found) if force => {
                Change::update(object, format!("{DISCOVERY}={wanted}, was {found}"))
            }
            Some(found) => Change::conflict(
                object,
                format!(
                    "{DISCOVERY}={found} should be {wanted}{}; correct it, or say --force",
                    why(found)
                ),
            ),
        }
    }

    /// What is written beside the tag: the value that was there.
    pub(crate) fn memory(&self) -> String {
        match (&self.remembered, &self.found) {
            (Some(memory), _) => memory.clone(),
            (None, Some(found)) => format!("{BEFORE}{found}"),
            (None, None) => "discovery".to_owned(),
        }
    }
}

fn why(found: &str) -> &'static str {
    match found {
        "true" => ": that value mixes the VPCs of an account",
        _ if found.ends_with(WRONG_BY_HAND) => ": an error of gen3's script of early 2023",
        _ => ": another VPC's or cluster's nodes may need it",
    }
}

/// What a security group should have, by gen3's names: `<vpc>-nodes-sg`, `ssh_eks_<vpc>`, and those of pools.
pub(super) fn wanted(group: &Group, vpc: &str) -> Option<String> {
    let name = group.tags.get("Name")?;
    if *name == format!("{vpc}-nodes-sg") || *name == format!("ssh_eks_{vpc}") {
        return Some(vpc.to_owned());
    }
    let of = |pool: &&&str| {
        *name == format!("{vpc}-nodes-sg-{pool}")
            || *name == format!("ssh_eks_{vpc}-nodepool-{pool}")
    };
    POOLS.iter().find(of).map(|pool| format!("{vpc}-{pool}"))
}

/// A subnet, if nodes belong into it, or if it is public and has a value of ours.
pub(super) fn of_subnet(net: &Net, vpc: &str, memory: &str) -> Option<Tagging> {
    let found = net.tags.get(DISCOVERY).cloned();
    let marked = found.as_deref().is_some_and(|found| found == vpc || found == "true");
    let wanted = net.is_for_nodes().then(|| vpc.to_owned());
    if wanted.is_none() && !(marked && net.is_public()) {
        return None;
    }
    let object = format!("subnet {} ({})", name(&net.id, &net.tags), net.zone);
    let remembered = net.tags.get(memory).cloned();
    Some(Tagging { kind: Kind::Subnet, id: net.id.clone(), object, found, wanted, remembered })
}

/// A security group with what it should have.
pub(super) fn of_group(group: &Group, wanted: Option<String>, memory: &str) -> Option<Tagging> {
    let found = group.tags.get(DISCOVERY).cloned();
    let object = format!("security group {}", name(&group.id, &group.tags));
    let remembered = group.tags.get(memory).cloned();
    let wanted = Some(wanted?);
    Some(Tagging { kind: Kind::Group, id: group.id.clone(), object, found, wanted, remembered })
}

fn name(id: &str, tags: &std::collections::BTreeMap<String, String>) -> String {
    tags.get("Name").map_or_else(|| id.to_owned(), |name| format!("{name} {id}"))
}

/// Pools that find no group, told once.
pub(super) fn without_groups(taggings: &[Tagging], vpc: &str) -> Option<Change> {
    let lacks = |pool: &&&str| {
        let value = format!("{vpc}-{pool}");
        !taggings.iter().any(|tagging| tagging.wanted.as_deref() == Some(value.as_str()))
    };
    let pools = POOLS.iter().filter(lacks).copied().collect::<Vec<_>>().join(", ");
    let told =
        "none is there, so their classes find none until there is one with gen3's name or tag";
    (!pools.is_empty()).then(|| Change::keep(format!("security groups of {pools}"), told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Verb;

    fn tagging(found: Option<&str>, wanted: Option<&str>) -> Tagging {
        Tagging {
            kind: Kind::Subnet,
            id: "s".to_owned(),
            object: "subnet s".to_owned(),
            found: found.map(str::to_owned),
            wanted: wanted.map(str::to_owned),
            remembered: None,
        }
    }

    #[test]
    fn what_others_wrote_is_gone_over_with_force_only() {
        let check = |found: Option<&str>, wanted: Option<&str>, without, with| {
            let tagging = tagging(found, wanted);
            let verbs = (tagging.change(false).verb, tagging.change(true).verb);
            assert_eq!(verbs, (without, with), "{found:?}");
        };
        check(None, Some("qa"), Verb::Create, Verb::Create);
        check(Some("qa"), Some("qa"), Verb::Keep, Verb::Keep);
        check(Some("true"), Some("qa"), Verb::Conflict, Verb::Update);
        check(Some("qa-worfklow"), Some("qa-workflow"), Verb::Conflict, Verb::Update);
        check(Some("prod"), Some("qa"), Verb::Conflict, Verb::Update);
        check(Some("qa"), None, Verb::Conflict, Verb::Remove);
        let told = tagging(Some("true"), Some("qa")).change(false).detail;
        assert!(told.contains("mixes the VPCs") && told.contains("--force"), "{told}");
    }

    #[test]
    fn what_was_there_is_remembered_once() {
        assert_eq!(tagging(None, Some("qa")).memory(), "discovery");
        let mut again = tagging(Some("true"), Some("qa"));
        assert_eq!(again.memory(), "was=true");
        again.remembered = Some("discovery".to_owned());
        assert_eq!(again.memory(), "discovery");
    }

    #[test]
    fn groups_are_known_by_gen3s_names() {
        let check = |name: &str, expected: Option<&str>| {
            let tags = [("Name".to_owned(), name.to_owned())];
            let group = Group { id: "sg".to_owned(), tags: tags.into_iter().collect() };
            assert_eq!(wanted(&group, "qa").as_deref(), expected, "{name}");
        };
        check("qa-nodes-sg", Some("qa"));
        check("ssh_eks_qa", Some("qa"));
        check("qa-nodes-sg-jupyter", Some("qa-jupyter"));
        check("ssh_eks_qa-nodepool-workflow", Some("qa-workflow"));
        check("qa-nodes-sg-gpu", Some("qa-gpu"));
        check("qa2-nodes-sg", None);
        check("qa-control-plane-sg", None);
        check("qa-nodes-sg-other", None);
    }

    #[test]
    fn a_public_subnet_is_let_alone_unless_it_has_our_tag() {
        let net = |tag: Option<&str>| {
            let tags = tag.map(|tag| (DISCOVERY.to_owned(), tag.to_owned()));
            Net { public: true, tags: tags.into_iter().collect(), ..Net::default() }
        };
        assert_eq!(of_subnet(&net(None), "qa", "m"), None);
        assert_eq!(of_subnet(&net(Some("prod")), "qa", "m"), None);
        let marked = of_subnet(&net(Some("qa")), "qa", "m");
        assert_eq!(marked.map(|tagging| tagging.wanted), Some(None));
    }
}
