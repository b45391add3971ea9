//! Which templates a request needs, and what they hold.

use super::testing::{class, cluster, map, offering, request, resolved};
use super::*;
use model::node_class::{BlockDevice, CapacityReservation, NetworkInterface};
use model::pool::{ApiVersion, ImageFamily};
use std::sync::Arc;

fn made(request: &FleetRequest, class: &ResolvedNodeClass) -> Templates {
    templates(request, class, &cluster(), Some("nodes")).unwrap()
}

fn check(request: &FleetRequest, class: &ResolvedNodeClass, expected: &[&str]) {
    let text = |template: &Template| {
        let image = template.data.as_ref().map_or("own", |data| &data.image_id);
        let types = template.offerings.iter().map(|offering| offering.instance_type.as_str());
        format!("{image}: {}", types.collect::<Vec<_>>().join(" "))
    };
    let found = made(request, class);
    assert_eq!(found.templates.iter().map(text).collect::<Vec<_>>(), expected);
}

fn data(class: &ResolvedNodeClass) -> TemplateData {
    made(&request(), class).templates.remove(0).data.unwrap()
}

#[test]
fn offerings_share_a_template_by_image_pods_and_interfaces() {
    let al2023 = resolved(class(ImageFamily::Al2023, ""));
    check(&request(), &al2023, &["ami-amd: m7i.large c7i.large", "ami-arm: m7g.large"]);
    let mut dense = request();
    dense.max_pods.insert("c7i.large".to_owned(), 110);
    check(&dense, &al2023, &["ami-amd: m7i.large", "ami-amd: c7i.large", "ami-arm: m7g.large"]);
    let mut efa = request();
    efa.types.get_mut("m7i.large").unwrap().efa = 2;
    check(&efa, &al2023, &["ami-amd: m7i.large", "ami-amd: c7i.large", "ami-arm: m7g.large"]);
    let mut own = class(ImageFamily::Al2, "");
    own.launch_template = Some("mine".to_owned());
    check(&request(), &resolved(own), &["own: m7i.large c7i.large m7g.large"]);
}

#[test]
fn types_without_an_image_are_refused_and_the_rest_goes_on() {
    let mut al2023 = resolved(class(ImageFamily::Al2023, ""));
    al2023.images.pop();
    let found = made(&request(), &al2023);
    assert_eq!(found.templates.len(), 1);
    assert_eq!((found.refused[0].code.as_str(), found.refused[0].no_capacity), ("NoImage", false));
    assert_eq!(found.refused[0].instance_type, "m7g.large");
}

#[test]
fn reserved_offerings_are_bought_from_the_reservation_with_the_most_room() {
    let reservation = |id: &str, available: i64, kind: &str| CapacityReservation {
        id: id.to_owned(),
        instance_type: "m7i.large".to_owned(),
        zone: "us-east-1a".to_owned(),
        available,
        kind: kind.to_owned(),
        owner: String::new(),
        match_criteria: "targeted".to_owned(),
        ends_at: None,
    };
    let mut class = resolved(class(ImageFamily::Al2023, ""));
    class.capacity_reservations = vec![
        reservation("cr-1", 1, "default"),
        reservation("cr-2", 5, "capacity-block"),
        reservation("cr-3", 0, "default"),
    ];
    let mut request = request();
    request.capacity_type = CapacityType::Reserved;
    for offering in &mut request.offerings {
        offering.capacity_type = CapacityType::Reserved;
    }
    let found = made(&request, &class);
    let bought_from = found.templates[0].data.as_ref().unwrap().reservation.clone().unwrap();
    assert_eq!((bought_from.id.as_str(), bought_from.kind.as_str()), ("cr-2", "capacity-block"));
    let refused = found.refused.iter().map(|refusal| refusal.instance_type.as_str());
    assert_eq!(refused.collect::<Vec<_>>(), ["c7i.large", "m7g.large"]);
    assert!(found.refused.iter().all(|refusal| refusal.no_capacity));
}

#[test]
fn names_follow_from_all_that_is_in_them_and_from_nothing_else() {
    let plain = resolved(class(ImageFamily::Al2023, ""));
    let name = |request: &FleetRequest, class: &ResolvedNodeClass| {
        made(request, class).templates.remove(0).name
    };
    let first = name(&request(), &plain);
    assert!(first.starts_with("joiner/demo/") && first.len() == "joiner/demo/".len() + 20);
    let mut same = request();
    same.batch = "b-2".to_owned();
    same.size = 7;
    same.offerings.truncate(1);
    assert_eq!(name(&same, &plain), first);
    let mut labelled = request();
    labelled.labels = map("team=b");
    let changed = |change: fn(&mut model::NodeClassSpec)| {
        let mut spec = class(ImageFamily::Al2023, "");
        change(&mut spec);
        name(&request(), &resolved(spec))
    };
    let others = [
        name(&labelled, &plain),
        changed(|spec| spec.tags = map("a=b")),
        changed(|spec| spec.user_data = Some("#!/bin/sh".to_owned())),
        changed(|spec| spec.enclave = Some(true)),
        changed(|spec| spec.ip_prefix_count = Some(1)),
    ];
    assert!(!others.contains(&first));
}

#[test]
fn volumes_are_the_classs_own_or_the_familys() {
    let check = |family: ImageFamily, expected: &[(&str, i64)]| {
        let data = data(&resolved(class(family, "")));
        let text = |device: &BlockDevice| (device.device_name.clone(), device.size_gib.unwrap());
        let expected = expected.iter().map(|(name, size)| ((*name).to_owned(), *size));
        assert_eq!(
            data.block_devices.iter().map(text).collect::<Vec<_>>(),
            expected.collect::<Vec<_>>()
        );
    };
    check(ImageFamily::Al2, &[("/dev/xvda", 20)]);
    check(ImageFamily::Al2023, &[("/dev/xvda", 20)]);
    check(ImageFamily::Bottlerocket, &[("/dev/xvda", 4), ("/dev/xvdb", 20)]);
    check(ImageFamily::Ubuntu, &[("/dev/sda1", 20)]);
    check(ImageFamily::Windows2022, &[("/dev/sda1", 50)]);
    check(ImageFamily::Custom, &[]);
    let mut own = class(ImageFamily::Al2, "");
    own.block_devices =
        vec![BlockDevice { device_name: "/dev/sdx".to_owned(), ..BlockDevice::default() }];
    assert_eq!(data(&resolved(own)).block_devices[0].device_name, "/dev/sdx");
}

#[test]
fn interfaces_carry_the_security_groups_and_only_a_single_one_a_public_address() {
    let check = |change: fn(&mut model::NodeClassSpec), efa: u32, expected: &[&str]| {
        let mut spec = class(ImageFamily::Al2023, "");
        spec.associate_public_ip_address = Some(true);
        spec.ip_prefix_count = Some(2);
        change(&mut spec);
        let mut request = request();
        request.types.get_mut("m7i.large").unwrap().efa = efa;
        let data = made(&request, &resolved(spec)).templates.remove(0).data.unwrap();
        let text = |one: &Interface| {
            assert_eq!(one.groups, ["sg-1"]);
            let (card, device) = (one.network_card_index, one.device_index);
            let (public, prefixes) = (one.associate_public_ip_address, one.ipv4_prefix_count);
            format!("{card}.{device} {} {public:?} {prefixes:?}", one.interface_type)
        };
        assert_eq!(data.interfaces.iter().map(text).collect::<Vec<_>>(), expected);
    };
    check(|_| {}, 0, &["0.0 interface Some(true) Some(2)"]);
    check(|_| {}, 1, &["0.0 efa Some(true) Some(2)"]);
    check(|_| {}, 3, &["0.0 efa None Some(2)", "1.1 efa None None", "2.1 efa None None"]);
    let own = |spec: &mut model::NodeClassSpec| {
        let one = |network_card_index, interface_type: &str| NetworkInterface {
            network_card_index,
            device_index: network_card_index,
            interface_type: interface_type.to_owned(),
        };
        spec.network_interfaces = vec![one(0, "interface"), one(1, "efa-only")];
    };
    check(own, 8, &["0.0 interface None Some(2)", "1.1 efa-only None None"]);
}

#[test]
fn metadata_hops_follow_the_api() {
    let hops = |api_version| {
        let mut spec = class(ImageFamily::Al2, "");
        spec.api_version = Some(api_version);
        data(&resolved(spec)).metadata_options.http_put_response_hop_limit
    };
    assert_eq!((hops(ApiVersion::Legacy), hops(ApiVersion::V1)), (2, 1));
}

#[test]
fn tags_are_the_users_and_ours_and_a_legacy_name_can_be_the_users() {
    let tags = |api_version, own: &str| {
        let mut spec = class(ImageFamily::Al2, "");
        spec.api_version = Some(api_version);
        spec.tags = map(own);
        instance_tags(&request(), &spec, &cluster())
    };
    let common = "eks:eks-cluster-name=demo joiner.dev/batch=b-1 karpenter.k8s.aws/ec2nodeclass=default \
                  karpenter.sh/nodepool=general kubernetes.io/cluster/demo=owned";
    assert_eq!(tags(ApiVersion::V1, "cost=x"), map(&format!("{common} cost=x")));
    assert_eq!(tags(ApiVersion::V1, "karpenter.sh/nodepool=x"), map(common));
    let legacy = format!("{common} karpenter.sh/provisioner-name=general");
    let named = format!("{legacy} Name=karpenter.sh/provisioner-name/general");
    assert_eq!(tags(ApiVersion::Legacy, ""), map(&named));
    assert_eq!(tags(ApiVersion::Legacy, "Name=mine"), map(&format!("{legacy} Name=mine")));
    let data = data(&resolved(class(ImageFamily::Al2, "")));
    assert!(!data.tags.contains_key("joiner.dev/batch"));
}

#[test]
fn a_broken_class_names_itself_and_the_field() {
    let broken = resolved(class(ImageFamily::Bottlerocket, "="));
    let error = templates(&request(), &broken, &cluster(), None).unwrap_err();
    assert!(error.to_string().starts_with("node class default: userData: it is not TOML"));
}

#[test]
fn what_is_bought_at_the_list_price_leaves_chosen_reservations_alone() {
    let mut spec = class(ImageFamily::Al2023, "");
    spec.capacity_reservations = vec![model::node_class::SelectorTerm::default()];
    let mut on_demand = request();
    on_demand.capacity_type = CapacityType::OnDemand;
    on_demand.offerings = vec![offering("m7i.large", "us-east-1a")];
    let mut class = resolved(spec);
    let keeps = |class: &ResolvedNodeClass| {
        made(&on_demand, class).templates.remove(0).data.unwrap().keep_off_reservations
    };
    assert!(keeps(&class));
    Arc::make_mut(&mut class.spec).capacity_reservations.clear();
    assert!(!keeps(&class));
}
