use crate::{DumpOptions, read_dump};
use catalog::Catalog;
use model::{CapacityType, MicroUsdPerHour, Snapshot};
use std::path::PathBuf;

const POOL: &str = "
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: default}
spec:
  template:
    metadata: {labels: {team: web}}
    spec:
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}
      requirements: []
---
apiVersion: karpenter.k8s.aws/v1
kind: EC2NodeClass
metadata: {name: default}
spec:
  role: nodes
  amiSelectorTerms: [{alias: al2023@latest}]
  subnetSelectorTerms: [{tags: {a: b}}]
  securityGroupSelectorTerms: [{tags: {a: b}}]
---
apiVersion: v1
kind: Node
metadata:
  name: one
  labels: {node.kubernetes.io/instance-type: m5.large, topology.kubernetes.io/zone: us-east-1a, karpenter.sh/capacity-type: on-demand, karpenter.sh/nodepool: default, team: web}
spec: {providerID: aws:///us-east-1a/i-1}
status: {allocatable: {cpu: '2'}, capacity: {cpu: '2'}}
";

fn overlay(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: karpenter.sh/v1alpha1\nkind: NodeOverlay\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

/// The snapshot under these overlays, and the rules of their findings with the overlay.
fn read(test: &str, overlays: &[String]) -> (Snapshot, Vec<String>) {
    let file: PathBuf =
        std::env::temp_dir().join(format!("joiner-overlay-{test}-{}", std::process::id()));
    std::fs::write(&file, format!("{POOL}{}", overlays.concat())).unwrap();
    let options = DumpOptions { region: Some("us-east-1".to_owned()), ..DumpOptions::default() };
    let dump = read_dump(std::slice::from_ref(&file), &Catalog::embedded().unwrap(), &options);
    std::fs::remove_file(&file).unwrap();
    let dump = dump.unwrap();
    let of_overlays = dump.findings.iter().filter(|of| of.object.starts_with("NodeOverlay"));
    let told = of_overlays.map(|of| format!("{} {}", of.object, of.rule)).collect();
    (dump.snapshot, told)
}

/// The on-demand price of the type, without volumes.
fn price(snapshot: &Snapshot, name: &str) -> MicroUsdPerHour {
    let types = &snapshot.instance_types[&snapshot.node_pools[0].instance_types];
    let of = types.iter().find(|of| of.name == name).unwrap();
    let on_demand = |of: &&model::Offering| of.capacity_type == CapacityType::OnDemand;
    let offering = of.offerings.iter().find(on_demand).unwrap();
    offering.price - offering.parts.volumes
}

/// m5.large on demand is $0.096 an hour without overlays.
fn check(test: &str, overlays: &[(&str, &str)], expected: u64, findings: &[&str]) {
    let overlays = overlays.iter().map(|(name, spec)| overlay(name, spec)).collect::<Vec<_>>();
    let (snapshot, told) = read(test, &overlays);
    assert_eq!(
        (price(&snapshot, "m5.large").0, told),
        (expected, findings.iter().map(|of| (*of).to_owned()).collect()),
        "{test}"
    );
    assert_eq!(price(&snapshot, "c5.large").0, 85_000, "{test}: others keep theirs");
    // 20 GiB of gp3.
    let node = MicroUsdPerHour(expected + 2_192);
    assert_eq!(snapshot.nodes[0].price, Some(node), "{test}: what runs too");
}

const M5: &str =
    "requirements: [{key: node.kubernetes.io/instance-type, operator: In, values: [m5.large]}]";

#[test]
fn prices_are_adjusted() {
    let spec = |rest: &str| format!("{{{M5}, {rest}}}");
    check("none", &[], 96_000, &[]);
    check("set", &[("a", &spec("price: '0.05'"))], 50_000, &[]);
    check("share", &[("a", &spec("priceAdjustment: '-50%'"))], 48_000, &[]);
    check("part", &[("a", &spec("priceAdjustment: '+12.5%'"))], 108_000, &[]);
    check("more", &[("a", &spec("priceAdjustment: '+0.004'"))], 100_000, &[]);
    let both = spec("price: '0.05', priceAdjustment: '-50%'");
    check("both", &[("a", &both)], 96_000, &["NodeOverlay a overlay-price"]);
    check("odd", &[("a", &spec("price: cheap"))], 96_000, &["NodeOverlay a pattern"]);
}

#[test]
fn weight_decides_and_equal_weight_is_a_contradiction() {
    let spec = |price: &str, weight: u32| format!("{{{M5}, price: '{price}', weight: {weight}}}");
    let (one, two) = (spec("0.01", 1), spec("0.02", 2));
    check("heavier", &[("a", &one), ("b", &two)], 20_000, &[]);
    check("heavier-first", &[("a", &two), ("b", &one)], 20_000, &[]);
    let other = spec("0.03", 1);
    // The later name is taken first, as upstream has it.
    let finding = ["NodeOverlay a overlay-conflict"];
    check("contradiction", &[("a", &one), ("b", &other)], 30_000, &finding);
    check("agreement", &[("a", &one), ("b", &one)], 10_000, &[]);
}

#[test]
fn overlays_select_pools_zones_and_ways_to_pay() {
    let spec = |key: &str, value: &str| {
        format!(
            "{{requirements: [{{key: node.kubernetes.io/instance-type, operator: In, values: [m5.large]}}, {{key: {key}, operator: In, values: [{value}]}}], price: '0.01'}}"
        )
    };
    check("pool", &[("a", &spec("karpenter.sh/nodepool", "default"))], 10_000, &[]);
    check("other-pool", &[("a", &spec("karpenter.sh/nodepool", "other"))], 96_000, &[]);
    check("label", &[("a", &spec("team", "web"))], 10_000, &[]);
    check("spot", &[("a", &spec("karpenter.sh/capacity-type", "spot"))], 96_000, &[]);
}

#[test]
fn extended_resources_are_added_and_others_refused() {
    let own = overlay("a", &format!("{{{M5}, capacity: {{example.com/slice: 4}}}}"));
    let (snapshot, told) = read("capacity", &[own]);
    let types = &snapshot.instance_types[&snapshot.node_pools[0].instance_types];
    let amount = |name: &str| {
        let of = types.iter().find(|of| of.name == name).unwrap();
        (of.capacity.get("example.com/slice"), of.allocatable.get("example.com/slice"))
    };
    assert_eq!((amount("m5.large"), amount("c5.large"), told.len()), ((4, 4), (0, 0), 0));
    let cpu = overlay("a", &format!("{{{M5}, capacity: {{cpu: 4}}}}"));
    assert_eq!(read("cpu", &[cpu]).1, ["NodeOverlay a overlay-capacity"]);
}
