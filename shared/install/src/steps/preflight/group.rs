//! The auto scaling group of the two nodes: two, no more and no fewer, and nothing else that scales it (upstream's page recommends
//! 2/2/2; gen3's terraform makes 2/10/2 with Cluster Autoscaler's tags).

use crate::calls::{
    AUTOSCALING_DELETE_TAGS, AUTOSCALING_DESCRIBE_AUTO_SCALING_GROUPS,
    AUTOSCALING_DESCRIBE_AUTO_SCALING_INSTANCES, AUTOSCALING_UPDATE_AUTO_SCALING_GROUP,
};
use crate::change::Change;
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::Site;
use crate::standing::Standing;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance, Tag};

/// What Cluster Autoscaler finds its groups by.
const AUTOSCALER: &str = "k8s.io/cluster-autoscaler/";
/// What EKS writes on groups that it manages.
const MANAGED: &str = "eks:nodegroup-name";
const TWO: i32 = 2;

/// A group that nodes outside Joiner's management are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) sizes: [i32; 3],
    pub(crate) zones: usize,
    pub(crate) instances: Vec<Member>,
    /// The launch template and its version, or the launch configuration, that new instances are made of.
    pub(crate) template: Option<(String, String)>,
    pub(crate) configuration: Option<String>,
    tags: Vec<String>,
}

/// An instance of a group, and the version of the template, or the configuration, that it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) made_of: String,
}

/// The groups of these nodes.
pub(crate) async fn find(site: &Site, standing: &[Standing]) -> Result<Vec<Group>, Problem> {
    let object = "auto scaling groups of the nodes";
    let ids = standing.iter().filter_map(|node| node.instance.clone()).collect::<Vec<_>>();
    let mut names = Vec::new();
    // Fifty at a time is what the call takes.
    for ids in ids.chunks(50) {
        let asked = site.aws.autoscaling.describe_auto_scaling_instances();
        let answer = asked.set_instance_ids(Some(ids.to_vec())).send().await;
        let answer = answer
            .map_err(|error| of_aws(AUTOSCALING_DESCRIBE_AUTO_SCALING_INSTANCES, object, &error))?;
        let found = answer.auto_scaling_instances().iter();
        names.extend(found.filter_map(|each| each.auto_scaling_group_name()).map(str::to_owned));
    }
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let asked = site.aws.autoscaling.describe_auto_scaling_groups();
    let answer = asked.set_auto_scaling_group_names(Some(names)).send().await;
    let answer =
        answer.map_err(|error| of_aws(AUTOSCALING_DESCRIBE_AUTO_SCALING_GROUPS, object, &error))?;
    Ok(answer.auto_scaling_groups().iter().map(group).collect())
}

fn group(found: &AutoScalingGroup) -> Group {
    let size = |size: Option<i32>| size.unwrap_or_default();
    let tags = found.tags().iter().filter_map(|tag| tag.key()).map(str::to_owned);
    Group {
        name: found.auto_scaling_group_name().unwrap_or_default().to_owned(),
        sizes: [size(found.min_size()), size(found.max_size()), size(found.desired_capacity())],
        zones: found.availability_zones().len(),
        instances: found.instances().iter().map(member).collect(),
        template: found.launch_template().map(|template| {
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            let version = template.version().unwrap_or("$Default");
            (text(template.launch_template_id()), version.to_owned())
        }),
        configuration: found.launch_configuration_name().map(str::to_owned),
        tags: tags.collect(),
    }
}

fn member(found: &Instance) -> Member {
    let template = found.launch_template().and_then(|template| template.version());
    Member {
        id: found.instance_id().unwrap_or_default().to_owned(),
        made_of: template.or(found.launch_configuration_name()).unwrap_or_default().to_owned(),
    }
}

impl Group {
    /// Whether EKS manages it.
    pub(crate) fn is_managed(&self) -> bool {
        self.tags.iter().any(|tag| tag == MANAGED)
    }

    fn autoscalers(&self) -> Vec<&String> {
        self.tags.iter().filter(|tag| tag.starts_with(AUTOSCALER)).collect()
    }

    /// How it is, and whether `--fix-asg` mends it.
    pub(crate) fn change(&self, site: &Site) -> Change {
        self.judged(site.options.fix_asg)
    }

    fn judged(&self, fix: bool) -> Change {
        let object = format!("auto scaling group {}", self.name);
        let [min, max, desired] = self.sizes;
        let mut wrong = Vec::new();
        if self.sizes != [TWO; 3] {
            wrong
                .push(format!("it is {min}/{max}/{desired} (min/max/desired) and should be 2/2/2"));
        }
        if !self.autoscalers().is_empty() {
            wrong.push("it has Cluster Autoscaler's tags".to_owned());
        }
        if self.zones < 2 {
            wrong.push("it is in one zone".to_owned());
        }
        let told = wrong.join(", ");
        let mends = self.sizes != [TWO; 3] || !self.autoscalers().is_empty();
        match (wrong.is_empty(), self.is_managed(), desired > TWO) {
            (true, _, _) => Change::keep(object, "2/2/2 (min/max/desired)"),
            (_, true, _) => Change::keep(
                object,
                format!(
                    "{told}; EKS manages it: aws eks update-nodegroup-config --scaling-config minSize=2,maxSize=2,desiredSize=2"
                ),
            ),
            (_, _, true) => Change::keep(
                object,
                format!(
                    "{told}; {} of its nodes must be drained before --fix-asg can mend it",
                    desired - TWO
                ),
            ),
            _ if fix && mends => Change::update(object, told),
            _ => Change::keep(object, format!("{told}; --fix-asg mends its sizes and tags")),
        }
    }

    /// Two, and without the tags.
    pub(crate) async fn mend(&self, site: &Site) -> Result<(), Problem> {
        let object = || format!("auto scaling group {}", self.name);
        let asked = site.aws.autoscaling.update_auto_scaling_group();
        let asked = asked.auto_scaling_group_name(&self.name);
        let asked = asked.min_size(TWO).max_size(TWO).desired_capacity(TWO);
        asked
            .send()
            .await
            .map_err(|error| of_aws(AUTOSCALING_UPDATE_AUTO_SCALING_GROUP, object(), &error))?;
        let tag = |key: &&String| {
            let tag = Tag::builder().key(*key).resource_id(&self.name);
            tag.resource_type("auto-scaling-group").build()
        };
        let tags = self.autoscalers().iter().map(tag).collect::<Vec<_>>();
        if tags.is_empty() {
            return Ok(());
        }
        let gone = site.aws.autoscaling.delete_tags().set_tags(Some(tags)).send().await;
        gone.map(drop).map_err(|error| of_aws(AUTOSCALING_DELETE_TAGS, object(), &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Verb;

    fn check(sizes: [i32; 3], zones: usize, tags: &[&str], fix: bool, verb: Verb, part: &str) {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let group = Group {
            name: "g".to_owned(),
            sizes,
            zones,
            instances: Vec::new(),
            template: None,
            configuration: None,
            tags,
        };
        let change = group.judged(fix);
        assert_eq!(change.verb, verb, "{change}");
        assert!(change.detail.contains(part), "{change}");
    }

    #[test]
    fn two_of_two_of_two_is_what_should_be() {
        let autoscaler = "k8s.io/cluster-autoscaler/enabled";
        check([2, 2, 2], 2, &[], true, Verb::Keep, "2/2/2 (min/max/desired)");
        check([2, 10, 2], 2, &[], false, Verb::Keep, "--fix-asg mends");
        check([2, 10, 2], 2, &[], true, Verb::Update, "it is 2/10/2");
        check([2, 2, 2], 2, &[autoscaler], true, Verb::Update, "Cluster Autoscaler's tags");
        check([2, 10, 5], 2, &[], true, Verb::Keep, "3 of its nodes must be drained");
        check([2, 10, 2], 2, &[MANAGED], true, Verb::Keep, "update-nodegroup-config");
        check([2, 2, 2], 1, &[], true, Verb::Keep, "one zone");
    }
}
