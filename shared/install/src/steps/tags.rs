//! The tags by which pools find subnets and security groups (`karpenter.sh/discovery`), in the cluster's VPC only.

mod decide;

use super::{Changes, Done, Progress, Work};
use crate::calls::{EC2_CREATE_TAGS, EC2_DELETE_TAGS};
use crate::change::{Change, Verb};
use crate::network::{self, Group, Net};
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::Site;
use aws_sdk_ec2::types::Tag;
pub(crate) use decide::Tagging;
use decide::wanted;
use model::labels::DISCOVERY;

/// Discovery tags on private and secondary subnets and on the nodes' security groups.
pub(super) struct Tags;

impl Work for Tags {
    fn name(&self) -> &'static str {
        "tags"
    }

    async fn look(&self, site: &Site) -> Changes {
        let taggings = read(site).await?;
        let force = site.options.force;
        let changes = taggings.iter().map(|tagging| tagging.change(force));
        let mut changes = changes.collect::<Vec<_>>();
        changes.extend(decide::without_groups(&taggings, &site.vpc.name));
        Ok(changes)
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        for tagging in read(site).await? {
            match tagging.change(site.options.force).verb {
                Verb::Create | Verb::Update => write(site, &tagging).await?,
                Verb::Remove => erase(site, &tagging).await?,
                Verb::Keep | Verb::Conflict => continue,
            }
            progress(&format!("{} is tagged", tagging.object));
        }
        Ok(())
    }
}

/// What every subnet and group of the VPC has and should have; of those only that concern nodes.
pub(crate) async fn read(site: &Site) -> Result<Vec<Tagging>, Problem> {
    let (nets, groups) = (network::subnets(site).await?, network::groups(site).await?);
    let taggings = all(site, &nets, &groups);
    let (vpc, id) = (&site.vpc.name, &site.vpc.id);
    let lacks =
        |kind| !taggings.iter().any(|tagging| tagging.kind == kind && tagging.wanted.is_some());
    if lacks(decide::Kind::Subnet) {
        return Err(Problem::not_found(
            format!("a private subnet for nodes in VPC {vpc} ({id})"),
            format!(
                "it has {} subnets, of which none is both private and meant for nodes",
                nets.len()
            ),
            "name them eks_private_*, or give them the tag kubernetes.io/role/internal-elb=1, and a route that is not to an internet gateway",
        ));
    }
    if lacks(decide::Kind::Group) {
        return Err(Problem::not_found(
            format!("a security group for nodes in VPC {vpc} ({id})"),
            format!(
                "neither {vpc}-nodes-sg nor ssh_eks_{vpc} nor EKS's own is among its {}",
                groups.len()
            ),
            format!("give the nodes' security group the tag Name={vpc}-nodes-sg"),
        ));
    }
    Ok(taggings)
}

/// What every subnet and group has and should have.
pub(crate) fn all(site: &Site, nets: &[Net], groups: &[Group]) -> Vec<Tagging> {
    let vpc = &site.vpc.name;
    let of_net = |net: &Net| decide::of_subnet(net, vpc, &site.names.tag);
    let mut all = nets.iter().filter_map(of_net).collect::<Vec<_>>();
    let named = groups.iter().any(|group| wanted(group, vpc).as_deref() == Some(vpc.as_str()));
    for group in groups {
        // Where none has gen3's names, nodes have the group that EKS made.
        let own = !named && group.id == site.cluster_security_group;
        let value = if own { Some(vpc.clone()) } else { wanted(group, vpc) };
        all.extend(decide::of_group(group, value, &site.names.tag));
    }
    all
}

/// Writes the value, and beside it what was there before, so that it can be put back.
async fn write(site: &Site, tagging: &Tagging) -> Result<(), Problem> {
    let Some(value) = &tagging.wanted else { return Ok(()) };
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let asked = site.aws.ec2.create_tags().resources(&tagging.id);
    let asked = asked.tags(tag(DISCOVERY, value)).tags(tag(&site.names.tag, &tagging.memory()));
    asked.send().await.map_err(|error| of_aws(EC2_CREATE_TAGS, &tagging.object, &error))?;
    Ok(())
}

/// Takes the discovery tag and the memory of it away.
async fn erase(site: &Site, tagging: &Tagging) -> Result<(), Problem> {
    let tag = |key: &str| Tag::builder().key(key).build();
    let asked = site.aws.ec2.delete_tags().resources(&tagging.id);
    let asked = asked.tags(tag(DISCOVERY)).tags(tag(&site.names.tag));
    asked.send().await.map_err(|error| of_aws(EC2_DELETE_TAGS, &tagging.object, &error))?;
    Ok(())
}

/// Puts back what was there before the installer came; what somebody has changed since stays.
pub(crate) async fn put_back(site: &Site, tagging: &Tagging) -> Result<(), Problem> {
    let Some(memory) = &tagging.remembered else { return Ok(()) };
    if tagging.found != tagging.wanted {
        let key = Tag::builder().key(&site.names.tag).build();
        let asked = site.aws.ec2.delete_tags().resources(&tagging.id).tags(key);
        asked.send().await.map_err(|error| of_aws(EC2_DELETE_TAGS, &tagging.object, &error))?;
        return Ok(());
    }
    let Some(before) = memory.strip_prefix(decide::BEFORE) else {
        return erase(site, tagging).await;
    };
    let tag = Tag::builder().key(DISCOVERY).value(before).build();
    let asked = site.aws.ec2.create_tags().resources(&tagging.id).tags(tag);
    asked.send().await.map_err(|error| of_aws(EC2_CREATE_TAGS, &tagging.object, &error))?;
    let key = Tag::builder().key(&site.names.tag).build();
    let asked = site.aws.ec2.delete_tags().resources(&tagging.id).tags(key);
    asked.send().await.map_err(|error| of_aws(EC2_DELETE_TAGS, &tagging.object, &error))?;
    Ok(())
}
