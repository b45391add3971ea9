//! The subnets and security groups of the cluster's VPC, and of nothing else.

use crate::calls::{EC2_DESCRIBE_ROUTE_TABLES, EC2_DESCRIBE_SECURITY_GROUPS, EC2_DESCRIBE_SUBNETS};
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::Site;
use aws_sdk_ec2::types::{Filter, RouteTable, SecurityGroup, Subnet, Tag};
use std::collections::BTreeMap;

/// gen3's names of subnets (its terraform's module `eks`), by what they begin with.
const PRIVATE: [&str; 2] = ["eks_private_", "eks_secondary_cidr_subnet_"];
const PUBLIC: &str = "eks_public";
/// Kubernetes' tags of subnets for load balancers.
const INTERNAL_ROLE: &str = "kubernetes.io/role/internal-elb";
const PUBLIC_ROLE: &str = "kubernetes.io/role/elb";

/// A subnet of the VPC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Net {
    /// Its id.
    pub(crate) id: String,
    /// Its zone.
    pub(crate) zone: String,
    /// Its tags.
    pub(crate) tags: BTreeMap<String, String>,
    /// Whether it reaches the internet by itself, or gives its instances public addresses.
    pub(crate) public: bool,
    /// Whether the cluster was made with it.
    pub(crate) of_cluster: bool,
}

impl Net {
    /// Whether nodes belong into it: private by route, and named, tagged or used as a subnet for nodes.
    pub(crate) fn is_for_nodes(&self) -> bool {
        let named =
            self.name().is_some_and(|name| PRIVATE.iter().any(|head| name.starts_with(head)));
        !self.is_public() && (named || self.of_cluster || self.tags.contains_key(INTERNAL_ROLE))
    }

    /// Whether it is public: by route or address, by its tag for load balancers, or by gen3's name.
    pub(crate) fn is_public(&self) -> bool {
        let named = self.name().is_some_and(|name| name.starts_with(PUBLIC));
        self.public || named || self.tags.contains_key(PUBLIC_ROLE)
    }

    fn name(&self) -> Option<&str> {
        self.tags.get("Name").map(String::as_str)
    }
}

/// A security group of the VPC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its id.
    pub(crate) id: String,
    /// Its tags.
    pub(crate) tags: BTreeMap<String, String>,
}

/// All subnets of the VPC, by id.
pub(crate) async fn subnets(site: &Site) -> Result<Vec<Net>, Problem> {
    let object = format!("subnets of VPC {}", site.vpc.name);
    let mut pages = site.aws.ec2.describe_subnets().filters(in_vpc(site)).into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| of_aws(EC2_DESCRIBE_SUBNETS, &object, &error))?;
        all.extend(page.subnets.unwrap_or_default());
    }
    let routes = routes(site).await?;
    let mut nets = all.iter().map(|subnet| net(subnet, &routes, site)).collect::<Vec<_>>();
    nets.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(nets)
}

/// All security groups of the VPC, by id.
pub(crate) async fn groups(site: &Site) -> Result<Vec<Group>, Problem> {
    let object = format!("security groups of VPC {}", site.vpc.name);
    let asked = site.aws.ec2.describe_security_groups().filters(in_vpc(site));
    let mut pages = asked.into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| of_aws(EC2_DESCRIBE_SECURITY_GROUPS, &object, &error))?;
        all.extend(page.security_groups.unwrap_or_default());
    }
    let mut groups = all.iter().map(group).collect::<Vec<_>>();
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(groups)
}

/// The route tables of the VPC.
pub(crate) async fn routes(site: &Site) -> Result<Vec<RouteTable>, Problem> {
    let object = format!("route tables of VPC {}", site.vpc.name);
    let asked = site.aws.ec2.describe_route_tables().filters(in_vpc(site));
    let mut pages = asked.into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| of_aws(EC2_DESCRIBE_ROUTE_TABLES, &object, &error))?;
        all.extend(page.route_tables.unwrap_or_default());
    }
    Ok(all)
}

fn in_vpc(site: &Site) -> Filter {
    Filter::builder().name("vpc-id").values(&site.vpc.id).build()
}

fn net(subnet: &Subnet, routes: &[RouteTable], site: &Site) -> Net {
    let id = subnet.subnet_id().unwrap_or_default().to_owned();
    let public = subnet.map_public_ip_on_launch() == Some(true) || is_routed_out(&id, routes);
    Net {
        zone: subnet.availability_zone().unwrap_or_default().to_owned(),
        tags: tags(subnet.tags()),
        public,
        of_cluster: site.cluster_subnets.contains(&id),
        id,
    }
}

fn group(group: &SecurityGroup) -> Group {
    Group { id: group.group_id().unwrap_or_default().to_owned(), tags: tags(group.tags()) }
}

fn tags(tags: &[Tag]) -> BTreeMap<String, String> {
    let pair =
        |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().filter_map(pair).collect()
}

/// The subnet's route table, else the VPC's main one.
pub(crate) fn table_of<'a>(subnet: &str, routes: &'a [RouteTable]) -> Option<&'a RouteTable> {
    let own = |table: &&RouteTable| {
        table.associations().iter().any(|each| each.subnet_id() == Some(subnet))
    };
    let main =
        |table: &&RouteTable| table.associations().iter().any(|each| each.main() == Some(true));
    routes.iter().find(own).or_else(|| routes.iter().find(main))
}

/// Whether the subnet's route table, else the VPC's main one, has a route to an internet gateway.
fn is_routed_out(subnet: &str, routes: &[RouteTable]) -> bool {
    table_of(subnet, routes).is_some_and(|table| {
        let mut gateways = table.routes().iter().filter_map(|route| route.gateway_id());
        gateways.any(|gateway| gateway.starts_with("igw-"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{Route, RouteTableAssociation};

    fn net(tags: &[(&str, &str)], public: bool, of_cluster: bool) -> Net {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Net { tags: tags.collect(), public, of_cluster, ..Net::default() }
    }

    #[test]
    fn nodes_belong_into_private_subnets() {
        let check = |tags: &[(&str, &str)], public, of_cluster, expected| {
            assert_eq!(net(tags, public, of_cluster).is_for_nodes(), expected, "{tags:?}");
        };
        check(&[("Name", "eks_private_0")], false, false, true);
        check(&[("Name", "eks_secondary_cidr_subnet_3")], false, false, true);
        check(&[("Name", "eks_public_0")], false, true, false);
        check(&[("Name", "eks_private_0")], true, false, false);
        check(&[("Name", "eks_private_0"), (PUBLIC_ROLE, "1")], false, false, false);
        check(&[("Name", "database")], false, false, false);
        check(&[("Name", "private"), (INTERNAL_ROLE, "1")], false, false, true);
        check(&[], false, true, true);
        check(&[], true, true, false);
    }

    #[test]
    fn a_route_to_an_internet_gateway_makes_public() {
        let table = |association: RouteTableAssociation, gateway: &str| {
            let route = Route::builder().gateway_id(gateway).build();
            RouteTable::builder().associations(association).routes(route).build()
        };
        let of = |subnet: &str| RouteTableAssociation::builder().subnet_id(subnet).build();
        let main = RouteTableAssociation::builder().main(true).build();
        let tables = [table(of("a"), "igw-1"), table(of("b"), "local"), table(main, "igw-1")];
        assert!(is_routed_out("a", &tables));
        assert!(!is_routed_out("b", &tables));
        assert!(is_routed_out("c", &tables));
        assert!(!is_routed_out("c", &tables[..2]));
    }
}
