use super::*;
use model::pool::{ImageFamily, Kubelet};
use model::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, NVIDIA_GPU, PODS};
use model::{NodeClass, Resources};

const MIB: i64 = 1 << 20;

fn zone(name: &str, id: &str) -> Zone {
    Zone { name: name.to_owned(), id: id.to_owned() }
}

fn resolve(region: &str, class: &NodeClass, kubelet: &Kubelet) -> Vec<InstanceType> {
    let catalog = Catalog::embedded().unwrap();
    let zones = catalog.default_zones(region);
    let settings = Settings::default();
    catalog.instance_types(&Request { region, zones: &zones, class, kubelet, settings: &settings })
}

fn one(name: &str, class: &NodeClass, kubelet: &Kubelet) -> InstanceType {
    let types = resolve("us-east-1", class, kubelet);
    types.into_iter().find(|instance_type| instance_type.name == name).unwrap()
}

#[test]
fn every_line_of_the_embedded_copy_can_be_read() {
    let catalog = Catalog::from_bytes(EMBEDDED).unwrap();
    assert_eq!((catalog.types.len(), catalog.regions().len()), (1376, 36));
    assert!(!resolve("us-west-2", &NodeClass::default(), &Kubelet::default()).is_empty());
}

/// Figures of Karpenter's arithmetic for Amazon Linux 2023, computed apart from this code.
#[test]
fn allocatable_follows_karpenters_arithmetic() {
    let class = NodeClass::default();
    let types = resolve("us-east-1", &class, &Kubelet::default());
    let check = |name: &str, cpu_milli, memory_mib, pods| {
        let found = types.iter().find(|instance_type| instance_type.name == name).unwrap();
        let allocatable = &found.allocatable;
        let figures = (allocatable.get(CPU), allocatable.get(MEMORY) / MIB, allocatable.get(PODS));
        assert_eq!(figures, (cpu_milli, memory_mib, pods), "{name}");
    };
    check("a1.medium", 940, 1392, 8);
    check("a1.2xlarge", 7910, 14103, 58);
    check("g5.12xlarge", 47810, 173_400, 737);
    check("inf2.xlarge", 3920, 14162, 58);
    check("g6f.large", 1930, 7002, 20);
    check("p5.48xlarge", 191_450, 1_938_410, 100);
    check("t3.micro", 1930, 548, 4);
    check("i3.large", 1930, 13770, 29);
    check("trn1.32xlarge", 127_610, 481_894, 247);
}

fn check_devices(name: &str, expected: &[(&str, i64)]) {
    let capacity = one(name, &NodeClass::default(), &Kubelet::default()).capacity;
    let plain = [CPU, MEMORY, PODS, EPHEMERAL_STORAGE, "vpc.amazonaws.com/pod-eni"];
    let found = capacity.iter().filter(|(name, _)| !plain.contains(&name.as_str()));
    let found = found.map(|(name, amount)| (name.as_str(), amount)).collect::<Vec<_>>();
    assert_eq!(found, expected, "{name}");
}

#[test]
fn devices_are_capacity_and_a_fraction_of_a_gpu_is_not() {
    check_devices("m5.large", &[]);
    check_devices("g6f.large", &[]);
    check_devices("g5.12xlarge", &[(NVIDIA_GPU, 4), ("vpc.amazonaws.com/efa", 1)]);
    check_devices(
        "trn1.32xlarge",
        &[
            ("aws.amazon.com/neuron", 16),
            ("aws.amazon.com/neuroncore", 32),
            ("vpc.amazonaws.com/efa", 8),
        ],
    );
}

#[test]
fn kubelet_settings_change_what_pods_may_use() {
    let class = NodeClass::default();
    let allocatable = |kubelet: Kubelet| one("m5.large", &class, &kubelet).allocatable;
    let check = |kubelet: Kubelet, name: &str, expected: i64| {
        assert_eq!(allocatable(kubelet.clone()).get(name), expected, "{name} {kubelet:?}");
    };
    let hard = |signal: &str, text: &str| Kubelet {
        eviction_hard: [(signal.to_owned(), text.to_owned())].into(),
        ..Kubelet::default()
    };
    let capacity = 7577 * MIB;
    let kube = (255 + 11 * 29) * MIB;
    check(Kubelet::default(), MEMORY, capacity - kube - 100 * MIB);
    check(Kubelet { max_pods: Some(110), ..Kubelet::default() }, PODS, 110);
    check(
        Kubelet { max_pods: Some(110), ..Kubelet::default() },
        MEMORY,
        capacity - kube - 100 * MIB,
    );
    check(Kubelet { pods_per_core: Some(5), ..Kubelet::default() }, PODS, 10);
    check(hard("memory.available", "500Mi"), MEMORY, capacity - kube - 500 * MIB);
    check(hard("memory.available", "100%"), MEMORY, capacity - kube);
    check(hard("memory.available", "5%"), MEMORY, capacity - kube - (capacity + 19) / 20);
    let reserved = Resources::new().with(CPU, 200);
    check(Kubelet { kube_reserved: reserved.clone(), ..Kubelet::default() }, CPU, 1800);
    check(Kubelet { system_reserved: reserved, ..Kubelet::default() }, CPU, 1730);
    let all = Resources::new().with(CPU, 1 << 40);
    check(Kubelet { system_reserved: all, ..Kubelet::default() }, CPU, 0);
}

#[test]
fn image_families_change_what_pods_may_use() {
    let check = |image_family, kubelet: &Kubelet, name: &str, expected: i64| {
        let class = NodeClass { image_family, ..NodeClass::default() };
        let found = one("m5.large", &class, kubelet).allocatable.get(name);
        assert_eq!(found, expected, "{image_family:?} {name}");
    };
    let plain = Kubelet::default();
    let ten = Kubelet { max_pods: Some(10), ..Kubelet::default() };
    let per_core = Kubelet { pods_per_core: Some(5), ..Kubelet::default() };
    let by_ten = (7577 - 255 - 110 - 100) * MIB;
    check(ImageFamily::Bottlerocket, &ten, MEMORY, by_ten);
    check(ImageFamily::Windows2022, &ten, MEMORY, by_ten);
    check(ImageFamily::Al2, &ten, MEMORY, (7577 - 255 - 319 - 100) * MIB);
    check(ImageFamily::Windows2022, &plain, PODS, 110);
    check(ImageFamily::Bottlerocket, &per_core, PODS, 29);
}

#[test]
fn ephemeral_storage_is_the_volume_or_the_joined_disks() {
    let check = |name: &str, class: NodeClass, expected: i64| {
        let found = one(name, &class, &Kubelet::default());
        assert_eq!(found.capacity.get(EPHEMERAL_STORAGE), expected, "{name}");
        let usable = expected - (expected + 9) / 10 - (1 << 30);
        assert_eq!(found.allocatable.get(EPHEMERAL_STORAGE), usable, "{name}");
    };
    let gib = 1 << 30;
    check("m5.large", NodeClass::default(), 20 * gib);
    let class = NodeClass { ephemeral_storage_bytes: 50 * gib, ..NodeClass::default() };
    check("m5.large", class.clone(), 50 * gib);
    let raid0 = NodeClass { instance_store_raid0: true, ..class };
    check("m5.large", raid0.clone(), 50 * gib);
    check("i3.large", raid0, 475_000_000_000);
}

fn check_label(name: &str, key: &str, expected: Option<&str>) {
    let found = one(name, &NodeClass::default(), &Kubelet::default());
    let key = if key.contains('/') { key.to_owned() } else { format!("karpenter.k8s.aws/{key}") };
    assert_eq!(found.labels.get(&key).map(String::as_str), expected, "{name} {key}");
}

#[test]
fn labels_follow_from_the_type() {
    check_label("m5.metal", "instance-hypervisor", Some(""));
    check_label("m5.large", "instance-hypervisor", Some("nitro"));
    check_label("m5.large", "instance-memory", Some("8192"));
    check_label("m5.large", "instance-cpu", Some("2"));
    check_label("m5.large", "instance-cpu-manufacturer", Some("intel"));
    check_label("m5.large", "instance-cpu-sustained-clock-speed-mhz", Some("3100"));
    check_label("m5.large", "instance-ebs-bandwidth", Some("4750"));
    check_label("m5.large", "instance-network-bandwidth", Some("750"));
    check_label("m5.large", "instance-local-nvme", None);
    check_label("m5.large", "instance-capability-flex", Some("false"));
    check_label("m7i-flex.large", "instance-capability-flex", Some("true"));
    check_label("i3.large", "instance-local-nvme", Some("475"));
    check_label("c3.large", "instance-local-nvme", None);
    check_label("c3.2xlarge", "instance-ebs-bandwidth", None);
    check_label("g5.12xlarge", "instance-gpu-name", Some("a10g"));
    check_label("g5.12xlarge", "instance-gpu-manufacturer", Some("nvidia"));
    check_label("g5.12xlarge", "instance-gpu-count", Some("4"));
    check_label("g5.12xlarge", "instance-gpu-memory", Some("22888"));
    check_label("inf2.xlarge", "instance-accelerator-name", Some("inferentia2"));
    check_label("inf2.xlarge", "instance-accelerator-manufacturer", Some("aws"));
    check_label("a1.large", "kubernetes.io/arch", Some("arm64"));
    check_label("a1.large", "kubernetes.io/os", Some("linux"));
    check_label("a1.large", "topology.kubernetes.io/region", Some("us-east-1"));
}

#[test]
fn windows_runs_on_amd64_only() {
    let class = NodeClass { image_family: ImageFamily::Windows2022, ..NodeClass::default() };
    let types = resolve("us-east-1", &class, &Kubelet::default());
    let all = |key: &str, value: &str| {
        types.iter().all(|t| t.labels.get(key).is_some_and(|v| v == value))
    };
    assert!(all("kubernetes.io/arch", "amd64") && all("kubernetes.io/os", "windows"));
    assert!(all("node.kubernetes.io/windows-build", "10.0.20348"));
}

#[test]
fn prices_are_marked_where_they_are_estimated() {
    let catalog = Catalog::embedded().unwrap();
    let check = |region: &str, name: &str, capacity_type, expected: Option<(u64, bool)>| {
        let found = catalog.price(region, name, capacity_type);
        assert_eq!(
            found.map(|(price, estimated)| (price.0, estimated)),
            expected,
            "{region} {name}"
        );
    };
    check("us-east-1", "m5.large", CapacityType::OnDemand, Some((96_000, false)));
    check("us-east-1", "m5.large", CapacityType::Spot, Some((32_640, true)));
    check("us-gov-west-1", "m5.large", CapacityType::OnDemand, Some((121_000, false)));
    check("eu-west-1", "m5.large", CapacityType::OnDemand, Some((96_000, true)));
    check("cn-north-1", "m5.large", CapacityType::OnDemand, Some((96_000, true)));
    check("us-east-1", "p3.2xlarge", CapacityType::OnDemand, Some((3_060_000, false)));
    check("us-east-1", "m8i.large", CapacityType::Spot, None);
    check("mars-north-1", "m5.large", CapacityType::Spot, None);
    check("us-east-1", "m5.giant", CapacityType::OnDemand, None);
    check("us-east-1", "m5.large", CapacityType::Reserved, Some((0, false)));
}

#[test]
fn offerings_are_where_the_zone_has_the_type() {
    let catalog = Catalog::embedded().unwrap();
    let zones = [zone("us-east-1a", "use1-az3"), zone("us-east-1b", "use1-az4")];
    let class = NodeClass::default();
    let settings = Settings::default();
    let kubelet = Kubelet::default();
    let request = Request {
        region: "us-east-1",
        zones: &zones,
        class: &class,
        kubelet: &kubelet,
        settings: &settings,
    };
    let types = catalog.instance_types(&request);
    let offerings = |name: &str| {
        let found = types.iter().find(|instance_type| instance_type.name == name).unwrap();
        found
            .offerings
            .iter()
            .map(|o| format!("{} {}", o.zone, o.capacity_type))
            .collect::<Vec<_>>()
    };
    assert_eq!(offerings("m7i.large"), ["us-east-1b on-demand", "us-east-1b spot"]);
    assert_eq!(offerings("m8i.large"), ["us-east-1b on-demand"]);
    let class = NodeClass { zones: vec!["us-east-1a".to_owned()], ..NodeClass::default() };
    let narrowed = catalog.instance_types(&Request { class: &class, ..request });
    assert!(narrowed.iter().all(|t| t.offerings.iter().all(|o| o.zone_id == "use1-az3")));
    assert!(!narrowed.is_empty() && narrowed.len() < types.len());
}

#[test]
fn a_region_without_offerings_is_assumed_to_have_what_it_prices() {
    let types = resolve("us-gov-west-1", &NodeClass::default(), &Kubelet::default());
    let large = types.iter().find(|instance_type| instance_type.name == "m5.large").unwrap();
    assert_eq!(large.offerings.len(), 3);
    assert!(large.offerings.iter().all(|o| o.zone_id.is_empty() && !o.estimated));
    assert!(resolve("mars-north-1", &NodeClass::default(), &Kubelet::default()).is_empty());
}

#[test]
fn zone_names_find_their_ids() {
    let catalog = Catalog::embedded().unwrap();
    let check = |known: &[(&str, Option<&str>)], expected: &[&str], guessed: &[&str]| {
        let known = known.iter().map(|(name, id)| ((*name).to_owned(), id.map(str::to_owned)));
        let found = catalog.match_zones("us-east-1", &known.collect());
        assert_eq!(found.zones.iter().map(|zone| zone.id.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(found.guessed, guessed);
    };
    check(
        &[("us-east-1a", None), ("us-east-1c", None)],
        &["use1-az1", "use1-az3"],
        &["us-east-1a", "us-east-1c"],
    );
    check(&[("us-east-1a", Some("use1-az6"))], &["use1-az6"], &[]);
    check(
        &[("us-east-1a", None), ("us-east-1b", Some("use1-az1"))],
        &["use1-az2", "use1-az1"],
        &["us-east-1a"],
    );
    check(&[("us-east-1-atl-1a", None)], &[""], &["us-east-1-atl-1a"]);
    check(&[("elsewhere", None)], &[""], &["elsewhere"]);
}

#[test]
fn usual_zones_are_those_with_most_types() {
    let catalog = Catalog::embedded().unwrap();
    let ids = |region: &str| {
        let zones = catalog.usual_zones(region, 3);
        zones.into_iter().map(|zone| zone.id).collect::<Vec<_>>()
    };
    assert_eq!(ids("us-east-1").len(), 3);
    assert!(!ids("us-east-1").contains(&"use1-az3".to_owned()));
    assert_eq!(ids("us-west-1"), ["usw1-az1", "usw1-az3"]);
    assert_eq!(ids("us-gov-west-1"), ["", "", ""]);
}

const SMALL: &str = "joiner-catalog\t1\ntypes\tname\tarch\tvcpu\tmemory_mib\tenis\tipv4_per_eni\thypervisor\tcpu_manufacturer\tclock_mhz\tusage\tebs_mbps\tnetwork_mbps\tlocal_gb\tnvme\tgpu\taccelerator\tneuron_cores\tefa\tbranch_enis\tencryption_in_transit\nx1.large\tamd64\t2\t4096\t3\t10\tnitro\tintel\t3000\ton-demand\t\t\t\t0\t\t\t\t\t\t0\nregion\teu-test-1\tUSD\t2026-01-01\tet1-az1,et1-az2\nx1.large\t01\t100000\t\n";

#[test]
fn a_file_of_the_same_format_is_read() {
    let catalog = Catalog::from_bytes(SMALL.as_bytes()).unwrap();
    assert_eq!(catalog.regions(), ["eu-test-1"]);
    assert!(catalog.knows_type("x1.large") && !catalog.knows_type("x1"));
    let price = catalog.price("eu-test-1", "x1.large", CapacityType::OnDemand);
    assert_eq!(price, Some((MicroUsdPerHour(100_000), false)));
}

fn check_refused(from: &str, to: &str, expected: &str) {
    let error = Catalog::from_bytes(SMALL.replacen(from, to, 1).as_bytes()).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_broken_file_is_refused_with_its_line() {
    check_refused("catalog\t1", "catalog\t3", "line 1");
    check_refused("100000\t\n", "100000\t\t7:1\n", "line 5: \"7:1\" are no spot prices");
    check_refused("\tarch", "\tarchitecture", "line 2");
    check_refused("\t4096", "\t-4096", "line 3: memory_mib");
    check_refused("\t4096", "\t99999999999", "line 3: memory_mib");
    check_refused("nitro\t", "", "line 3: 19 columns");
    check_refused("\tUSD", "", "line 4");
    check_refused("\t01\t", "\t02\t", "line 5: \"02\"");
    check_refused("100000", "ten", "line 5: the price");
    check_refused("100000\t", "100000\t101", "line 5: savings");
    let error = Catalog::from_bytes(&[0x1f, 0x8b, 0, 1]).unwrap_err();
    assert!(matches!(error, CatalogError::Unreadable(_)));
}

fn current() -> Current {
    let zones = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    let price = |micro: u64| MicroUsdPerHour(micro);
    let new = TypeFacts {
        name: "y2.large".to_owned(),
        arch: "arm64".to_owned(),
        vcpu: 2,
        memory_mib: 8192,
        enis: 3,
        ipv4_per_eni: 10,
        spot: true,
        on_demand: true,
        gpu: Some(Device {
            count: 1,
            manufacturer: "nvidia".to_owned(),
            name: "x".to_owned(),
            memory_mib: 1024,
        }),
        ..TypeFacts::default()
    };
    Current {
        region: "eu-test-1".to_owned(),
        as_of: "2026-11-22".to_owned(),
        types: vec![new],
        offerings: Some(
            [("y2.large".to_owned(), zones(&["et1-az2", "et1-az3"]))].into_iter().collect(),
        ),
        on_demand: Some([("y2.large".to_owned(), price(200_000))].into_iter().collect()),
        spot: Some(
            [(
                "y2.large".to_owned(),
                [("et1-az3".to_owned(), price(70_000))].into_iter().collect(),
            )]
            .into_iter()
            .collect(),
        ),
    }
}

/// `zone capacity-type price`, with a `~` before prices that are estimated.
fn offered(catalog: &Catalog, name: &str) -> Vec<String> {
    let zones = [zone("a", "et1-az1"), zone("b", "et1-az2"), zone("c", "et1-az3")];
    let request = Request {
        region: "eu-test-1",
        zones: &zones,
        class: &NodeClass::default(),
        kubelet: &Kubelet::default(),
        settings: &Settings::default(),
    };
    let types = catalog.instance_types(&request);
    let found = types.iter().find(|instance_type| instance_type.name == name);
    let text = |offering: &model::Offering| {
        let estimated = if offering.estimated { "~" } else { "" };
        format!("{} {} {estimated}{}", offering.zone, offering.capacity_type, offering.price.0)
    };
    found.map(|found| found.offerings.iter().map(text).collect()).unwrap_or_default()
}

#[test]
fn what_is_current_is_laid_over_the_catalog() {
    let small = || Catalog::from_bytes(SMALL.as_bytes()).unwrap();
    let check = |current: Current, old: &[&str], new: &[&str]| {
        let catalog = small().with_current(&current);
        assert_eq!(offered(&catalog, "x1.large"), old);
        assert_eq!(offered(&catalog, "y2.large"), new);
        let again = Catalog::from_bytes(catalog.to_text().as_bytes()).unwrap();
        assert_eq!(again.to_text(), catalog.to_text());
        assert_eq!(offered(&again, "y2.large"), new);
    };
    let before = ["a on-demand 100000", "b on-demand 100000"];
    check(Current { region: "eu-test-1".to_owned(), ..Current::default() }, &before, &[]);
    let all = ["b on-demand 200000", "c on-demand 200000", "c spot 70000"];
    check(current(), &[], &all);
    check(Current { types: Vec::new(), ..current() }, &[], &[]);
    check(Current { offerings: None, ..current() }, &before, &[]);
    check(Current { on_demand: None, ..current() }, &[], &["c spot 70000"]);
    check(Current { spot: None, ..current() }, &[], &all[..2]);
}

#[test]
fn a_fresh_spot_price_takes_the_place_of_the_estimate() {
    let catalog = Catalog::embedded().unwrap();
    let prices = [("use1-az1".to_owned(), MicroUsdPerHour(30_000))].into_iter().collect();
    let current = Current {
        region: "us-east-1".to_owned(),
        as_of: "2026-11-22".to_owned(),
        spot: Some([("m5.large".to_owned(), prices)].into_iter().collect()),
        ..Current::default()
    };
    let catalog = catalog.with_current(&current);
    let check = |name: &str, zone_id: &str, expected: Option<(u64, bool)>| {
        let found = catalog.price_in("us-east-1", zone_id, name, CapacityType::Spot);
        assert_eq!(found.map(|(price, estimated)| (price.0, estimated)), expected, "{name}");
    };
    check("m5.large", "use1-az1", Some((30_000, false)));
    check("m5.large", "", Some((30_000, true)));
    check("m5.large", "use1-az2", None);
    check("c5.large", "use1-az1", None);
    let on_demand = catalog.price("us-east-1", "m5.large", CapacityType::OnDemand);
    assert_eq!(on_demand, Some((MicroUsdPerHour(96_000), false)));
}

#[test]
fn differences_are_told_by_type() {
    let before = Catalog::from_bytes(SMALL.as_bytes()).unwrap();
    let after = Catalog::from_bytes(SMALL.as_bytes()).unwrap().with_current(&current());
    let found = after.difference(&before, "eu-test-1");
    assert_eq!(
        (found.added, found.removed),
        (vec!["y2.large".to_owned()], vec!["x1.large".to_owned()])
    );
    let dearer = SMALL.replace("100000", "110000");
    let found = Catalog::from_bytes(dearer.as_bytes()).unwrap().difference(&before, "eu-test-1");
    let prices = (MicroUsdPerHour(100_000), MicroUsdPerHour(110_000));
    assert_eq!(found.dearer, [("x1.large".to_owned(), prices.0, prices.1)]);
    assert!(found.cheaper.is_empty() && found.added.is_empty() && found.removed.is_empty());
    assert_eq!(before.difference(&before, "nowhere"), Difference::default());
}

#[test]
fn the_embedded_copy_written_again_says_the_same() {
    let text = Catalog::embedded().unwrap().to_text();
    let again = Catalog::from_bytes(text.as_bytes()).unwrap();
    assert_eq!(again.to_text(), text);
    let gzip = Catalog::from_bytes(&again.to_gzip().unwrap()).unwrap();
    assert_eq!(gzip.to_text(), text);
    let price = again.price("us-east-1", "m5.large", CapacityType::Spot);
    assert_eq!(price, Some((MicroUsdPerHour(32_640), true)));
}
