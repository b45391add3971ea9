mod disruption;

use super::*;
use catalog::Catalog;
use model::labels::{ARCH, ZONE};
use model::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use model::{MicroUsdPerHour, NodePool, Pod, Snapshot, Timestamp};
use std::path::PathBuf;

fn dump_with(name: &str, options: &DumpOptions) -> Dump {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let catalog = Catalog::embedded().unwrap();
    read_dump(&[path], &catalog, options).unwrap()
}

fn dump(name: &str) -> Dump {
    dump_with(name, &DumpOptions::default())
}

/// Findings in short: `line rule object path`.
fn short(dump: &Dump) -> Vec<String> {
    let line = |finding: &DumpFinding| finding.place.as_ref().and_then(|place| place.line);
    let short = |finding: &DumpFinding| {
        let line = line(finding).map(|line| line.to_string()).unwrap_or_default();
        format!("{line} {} {} {}", finding.rule, finding.object, finding.path)
    };
    dump.findings.iter().map(|finding| short(finding).trim().to_owned()).collect()
}

fn pod<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Pod {
    snapshot.pods.iter().find(|pod| &*pod.id.name == name).unwrap()
}

fn pool<'a>(snapshot: &'a Snapshot, name: &str) -> &'a NodePool {
    snapshot.node_pools.iter().find(|pool| pool.name == name).unwrap()
}

#[test]
fn a_gen3_cluster_is_read() {
    let dump = dump("gen3.yaml");
    assert_eq!(
        short(&dump),
        [
            "67 key-repeated Provisioner gpu spec.ttlSecondsAfterEmpty",
            "52 node-class-missing NodePool gpu spec.providerRef.name",
            "daemonset-missing",
            "zone-guessed",
        ]
    );
    let snapshot = &dump.snapshot;
    assert_eq!((snapshot.region.as_str(), snapshot.now), ("us-east-1", Timestamp(1_780_392_600)));
    let names = snapshot.node_pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["default", "gpu", "jupyter"]);
    assert!(pool(snapshot, "gpu").problem.is_some());
    assert!(pool(snapshot, "gpu").instance_types.is_empty());
    assert_eq!(snapshot.instance_types.len(), 1, "both templates make the same types");
    let types = &snapshot.instance_types[&pool(snapshot, "default").instance_types];
    let large = types.iter().find(|found| found.name == "m5.large").unwrap();
    assert_eq!(large.capacity.get(EPHEMERAL_STORAGE), 50 << 30);
    let zones = large.offerings.iter().map(|o| format!("{}={}", o.zone, o.zone_id));
    let mut zones = zones.collect::<Vec<_>>();
    zones.dedup();
    assert_eq!(zones, ["us-east-1a=use1-az1", "us-east-1c=use1-az6"]);
}

#[test]
fn nodes_of_a_gen3_cluster_are_read() {
    let snapshot = dump("gen3.yaml").snapshot;
    let [first, second] = &snapshot.nodes[..] else { panic!("two nodes expected") };
    assert_eq!((first.label(ZONE), first.label(ARCH)), (Some("us-east-1a"), Some("amd64")));
    assert_eq!((first.price, first.price_estimated), (Some(MicroUsdPerHour(83_200)), false));
    assert!(first.ready && !first.unschedulable && first.initialized() && first.pool().is_none());
    assert_eq!((first.allocatable.get(CPU), first.allocatable.get(PODS)), (1930, 35));
    // With 50 GiB of gp2 and 3% for interruptions.
    let dear = MicroUsdPerHour(32_640 + 6_849 + 979);
    assert_eq!((second.price, second.price_estimated), (Some(dear), true));
    assert_eq!(second.pool(), Some("default"));
    assert!(second.unschedulable && second.do_not_disrupt && second.initialized());
    assert_eq!(second.taints[0].to_string(), "node.kubernetes.io/unschedulable:NoSchedule");
    assert_eq!(snapshot.empty_since[&*second.name], Timestamp(1_780_390_800));
}

#[test]
fn pods_of_a_gen3_cluster_are_read() {
    let snapshot = dump("gen3.yaml").snapshot;
    let fence = pod(&snapshot, "fence-6d4cf5");
    assert!(fence.is_provisionable() && fence.do_not_disrupt);
    assert_eq!((fence.spec.requests.get(CPU), fence.spec.requests.get(MEMORY)), (400, 2 << 30));
    assert_eq!(fence.spec.volumes, [model::pod::PodVolume::Claim("fence-data".into())]);
    assert_eq!(fence.spec.preferred_pod_anti_affinity[0].weight, 25);
    assert!(fence.spec.host_ports.is_empty(), "a container's port is not the node's");
    let notebook = pod(&snapshot, "hatchery-notebook");
    assert!(notebook.is_provisionable(), "a manifest without status waits for a node");
    assert_eq!(notebook.spec.node_selector[ARCH], "amd64");
    assert_eq!(notebook.spec.host_ports[0].port, 8888);
    let fluentd = pod(&snapshot, "fluentd-x7x2p");
    assert!(fluentd.is_daemon() && !fluentd.is_provisionable());
    assert_eq!(fluentd.spec.node_affinity[0].fields.len(), 1);
    let [daemons] = &snapshot.daemon_sets[..] else { panic!("one daemonset expected") };
    assert_eq!((daemons.name.as_str(), daemons.spec.node_affinity.len()), ("fluentd", 0));
}

#[test]
fn volumes_of_a_gen3_cluster_are_read() {
    let snapshot = dump("gen3.yaml").snapshot;
    let volume = &snapshot.volumes[0];
    assert_eq!((volume.driver.as_deref(), volume.local), (Some("ebs.csi.aws.com"), false));
    let terms = volume.node_affinity.iter().flat_map(|term| &term.requirements);
    let terms = terms.map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        terms,
        [
            "topology.kubernetes.io/region In [us-east-1]",
            "topology.kubernetes.io/zone In [us-east-1a, us-east-1c]",
        ]
    );
    let class = &snapshot.storage_classes[0];
    assert_eq!(class.provisioner, "ebs.csi.aws.com");
    assert!(class.waits_for_consumer && class.is_default);
    assert_eq!(snapshot.volume_claims[0].volume.as_deref(), Some("pvc-1"));
    assert_eq!(snapshot.pod_disruption_budgets[0].disruptions_allowed, 0);
}

#[test]
fn a_cluster_with_karpenter_1_is_read() {
    let dump = dump("v1.yaml");
    assert_eq!(short(&dump), Vec::<String>::new());
    let snapshot = &dump.snapshot;
    assert_eq!(snapshot.region, "eu-west-1");
    let types = &snapshot.instance_types[&pool(snapshot, "general").instance_types];
    assert!(types.iter().all(|found| found.capacity.get(PODS) == 50), "maxPods of the class");
    assert!(types.iter().flat_map(|found| &found.offerings).all(|offering| offering.estimated));
    let (web, other) = (pod(snapshot, "web-7c5-abcde"), pod(snapshot, "web-7c5-fghij"));
    assert!(std::sync::Arc::ptr_eq(&web.spec, &other.spec), "equal specs are one");
    assert!(std::sync::Arc::ptr_eq(&web.labels, &other.labels), "equal labels are one");
    assert!(web.do_not_disrupt, "four hours after its creation are not over");
    assert_eq!(web.spec.topology_spread[0].match_label_keys, ["pod-template-hash"]);
    assert!(web.spec.scheduler_name.is_empty());
    let gated = pod(snapshot, "gated");
    assert!(gated.gated && !gated.is_provisionable());
    let fargate = snapshot.nodes.iter().find(|node| node.name.starts_with("fargate")).unwrap();
    assert_eq!((fargate.price, fargate.allocatable.get(PODS)), (None, 1));
    assert_eq!(snapshot.csi_nodes[0].limits, [("ebs.csi.aws.com".to_owned(), 27)]);
    assert_eq!(snapshot.namespaces["shop"]["team"], "shop");
    assert_eq!(snapshot.daemon_sets[0].spec.host_ports[0].port, 61678);
}

#[test]
fn a_bounded_protection_ends() {
    let options = DumpOptions { now: Some(Timestamp(1_790_827_501)), ..DumpOptions::default() };
    let dump = dump_with("v1.yaml", &options);
    assert!(!pod(&dump.snapshot, "web-7c5-abcde").do_not_disrupt);
}

#[test]
fn what_is_broken_is_found_and_the_rest_is_read() {
    let dump = dump("broken.yaml");
    assert_eq!(
        short(&dump),
        [
            "2 unreadable Pod shop/negative spec.containers[0].resources.requests.cpu",
            "11 unreadable Pod shop/absurd spec.containers[0].resources.requests.memory",
            "19 unreadable Pod shop/wrong-type spec.containers",
            "25 unreadable Pod shop/no-spec spec",
            "34 unreadable Node odd status.allocatable.cpu",
            "50 syntax document 8",
            "52 kind-missing (no kind) nothing kind",
            "73 syntax document 12",
            "object-repeated",
            "39 node-class-missing NodePool dangling spec.template.spec.nodeClassRef.name",
            "node-closed",
            "zone-guessed",
        ]
    );
    assert_eq!(
        dump.unreadable_pods,
        ["shop/absurd", "shop/negative", "shop/no-spec", "shop/wrong-type"]
    );
    let snapshot = &dump.snapshot;
    assert_eq!(snapshot.region, "us-west-2");
    assert_eq!(snapshot.pods.len(), 1);
    assert_eq!(pod(snapshot, "fine").spec.requests.get(CPU), 200, "the last one counts");
    assert!(snapshot.nodes.iter().all(|node| node.unschedulable));
    assert!(pool(snapshot, "dangling").problem.is_some());
}

#[test]
fn a_cluster_without_pools_gets_the_built_in_one() {
    let catalog = Catalog::embedded().unwrap();
    let dump = read_dump(&[], &catalog, &DumpOptions::default()).unwrap();
    assert_eq!(short(&dump), ["region-assumed", "zones-assumed", "pool-built-in"]);
    let found = pool(&dump.snapshot, DEFAULT_POOL);
    let types = &dump.snapshot.instance_types[&found.instance_types];
    let fits = |t: &&model::InstanceType| {
        let mut labels = t.labels.clone();
        labels.insert(model::labels::CAPACITY_TYPE.to_owned(), "on-demand".to_owned());
        found.requirements.match_labels(&labels)
    };
    let names = types.iter().filter(fits).map(|t| t.name.as_str()).collect::<Vec<_>>();
    assert!(names.contains(&"m7i.large") && !names.contains(&"m5.metal"));
    assert!(!names.contains(&"m6g.large") && !names.contains(&"t3.large"));
}

#[test]
fn node_groups_become_built_in_pools() {
    let dump = dump("node-groups.yaml");
    assert_eq!(short(&dump), ["pool-built-in"]);
    let snapshot = &dump.snapshot;
    let names = snapshot.node_pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, [DEFAULT_POOL, "joiner-default-gpu", "joiner-default-workers"]);
    let gpu = pool(snapshot, "joiner-default-gpu");
    assert_eq!(gpu.taints[0].to_string(), "dedicated=gpu:NoSchedule");
    assert_eq!(gpu.labels["dedicated"], "gpu");
    assert!(pool(snapshot, "joiner-default-workers").taints.is_empty(), "a cordon passes");
    assert_eq!(snapshot.instance_types.len(), 1, "all share their types");
    let message = &dump.findings[0].message;
    for told in [
        "joiner-default-gpu (labels dedicated=gpu",
        "taint dedicated=gpu:NoSchedule",
        "role=general",
    ] {
        assert!(message.contains(told), "{message}");
    }
}

#[test]
fn the_region_may_be_told() {
    let options = DumpOptions { region: Some("mars-north-1".to_owned()), ..DumpOptions::default() };
    let dump = dump_with("gen3.yaml", &options);
    assert_eq!(dump.snapshot.region, "mars-north-1");
    assert!(short(&dump).contains(&"region-unknown".to_owned()));
}

/// A small generator of numbers, the same on every machine.
fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    }
}

/// The fixtures with bytes overwritten, cut out and doubled: whatever comes, it is read or found, never a panic.
#[test]
fn no_damage_to_a_file_is_a_panic() {
    const BYTES: &[u8] = b"{}[]:-\"'&*|>#%@\n \t09ey\xff";
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let names = ["gen3.yaml", "v1.yaml", "broken.yaml", "node-groups.yaml"];
    let whole = names.map(|name| std::fs::read(directory.join(name)).unwrap());
    let catalog = Catalog::embedded().unwrap();
    let mut next = numbers(7);
    for round in 0..60 {
        let mut bytes = whole[round % whole.len()].clone();
        for _ in 0..=next(8) {
            let at = next(bytes.len());
            if bytes.is_empty() {
                break;
            }
            match next(3) {
                0 => bytes[at] = BYTES[next(BYTES.len())],
                1 => drop(bytes.drain(at..(at + next(40)).min(bytes.len()))),
                _ => bytes.truncate(at + 1),
            }
        }
        let mut collection = collection::Collection::default();
        let mut reader = &bytes[..];
        documents::read_stream("damaged", &mut reader, &mut |found| collection.take(found))
            .unwrap();
        let dump = assembly::assemble(collection, &catalog, &DumpOptions::default());
        assert!(!dump.snapshot.node_pools.is_empty());
    }
}
