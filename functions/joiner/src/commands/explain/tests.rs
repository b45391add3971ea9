use super::*;
use observe::DumpOptions;
use std::path::PathBuf;

fn dump(name: &str) -> Dump {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    let catalog = catalog::Catalog::embedded().unwrap();
    let options = DumpOptions { region: Some("us-east-1".to_owned()), ..DumpOptions::default() };
    observe::read_dump(&[file], &catalog, &options).unwrap()
}

fn told(name: &str, pod: &str, instance_type: Option<&str>) -> Result<PodExplanation, String> {
    let options = planner::Options { steps: 300_000 };
    explain(&dump(name), pod, instance_type, &options).map_err(|error| error.to_string())
}

fn check(name: &str, pod: &str, instance_type: Option<&str>, wanted: &[&str]) {
    let told = told(name, pod, instance_type).unwrap();
    let text = pod::render(&told, instance_type, false, &Style::PLAIN);
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    wanted.iter().for_each(|part| assert!(plain.contains(part), "no {part:?} in {text}"));
    let wide = |line: &str| line.chars().count() > Style::PLAIN.width;
    assert!(instance_type.is_some() || !text.lines().any(wide), "{text}");
}

const GEN3: &str = "../../shared/observe/fixtures/gen3.yaml";
const TOO_LARGE: &str = "../../tests/scenarios/too-large.yaml";

#[test]
fn a_pod_is_explained_pool_by_pool() {
    let wanted = [
        "jupyter-pods/hatchery-notebook goes to a new node: t3a.xlarge on-demand in us-east-1a",
        "asks for cpu 2, memory 4Gi",
        "jupyter: 639 of 1330 types fit, the cheapest t3a.xlarge on-demand",
        "320: the pool allows arch In [amd64]",
        "default: none of 1330 types fits",
        "735: the pod asks for role In [jupyter]",
    ];
    check(GEN3, "jupyter-pods/hatchery-notebook", None, &wanted);
    let wanted = [
        "default/fat waits: no node can hold it",
        "smallest change: let pool default allow instance-type u-6tb1.56xlarge or: lower the pod's request of memory from 4Ti to",
        "3: too small: memory 4Ti is asked for, at most 28.6Gi is left",
    ];
    check(TOO_LARGE, "fat", None, &wanted);
}

#[test]
fn a_type_is_explained_offering_by_offering() {
    let wanted = [
        "m5.large of no pool can hold it",
        "smallest change: lower the pod's request of memory from 4Ti to 6903Mi",
        "m5.large us-east-1b on-demand 0.0982 too small: memory 4Ti is asked for, 6.7Gi is left",
    ];
    check(TOO_LARGE, "default/fat", Some("m5.large"), &wanted);
}

#[test]
fn names_that_nothing_has_are_refused_with_a_hint() {
    let error = |pod: &str, of: Option<&str>| told(GEN3, pod, of).unwrap_err();
    assert_eq!(
        error("hatchery-notebook", None),
        "default/hatchery-notebook: there is no such pod among 3; did you mean jupyter-pods/hatchery-notebook?"
    );
    assert_eq!(
        error("jupyter-pods/hatchery-notebook", Some("t3a.huge")),
        "t3a.huge: no node pool knows this instance type: of t3a there is t3a.2xlarge, t3a.large, t3a.medium, t3a.micro"
    );
}

#[test]
fn the_document_has_the_schema_that_is_promised() {
    let told = told(TOO_LARGE, "fat", None).unwrap();
    let value = serde_json::to_value(Document::of(&told, None)).unwrap();
    let keys = |value: &serde_json::Value| {
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(value["version"], "joiner.dev/explanation/v1");
    assert_eq!(keys(&value), "fixes instanceType nodes pod pools requests state version");
    assert_eq!(value["state"]["kind"], "unschedulable");
    assert_eq!(value["state"]["reasons"][0]["reason"]["kind"], "tooLarge");
    let pool = &value["pools"][0];
    assert_eq!(keys(pool), "fittingTypes groups knownTypes name obstacles types weight");
    assert_eq!(keys(&pool["groups"][0]), "fewestObstacles kind message types");
    let of = &pool["types"][0];
    assert_eq!(keys(of), "name obstacles offerings");
    assert_eq!(
        keys(&of["offerings"][0]),
        "capacityType obstacles priceEstimated priceMicroUsdPerHour zone"
    );
    assert!(value["fixes"][0][0].as_str().unwrap().starts_with("let pool default allow"));
}

#[test]
fn a_plan_is_explained_by_its_shapes_columns_and_rules() {
    let dump = dump("../../tests/scenarios/hostname-anti-affinity.yaml");
    let told = planner::explain_plan(&dump.snapshot, &planner::Options { steps: 300_000 });
    let text = plan::render(&told, "us-east-1", false, &Style::PLAIN);
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "us-east-1: 2 pods of 2 shapes",
        "A 1 1 0 35.84 cpu 250m, memory 256Mi pod anti-affinity over hostname default/db",
        "1 m5.large on-demand default 71.68 1 A, 1 B",
        "m5.large: 2 pods without a place",
        "pod anti-affinity over hostname (1 pod): nothing",
    ] {
        assert!(plain.contains(part), "no {part:?} in {text}");
    }
    let document = plan::document(&told, "us-east-1");
    let keys = document.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys,
        "columns gapBasisPoints lowerBoundMicroUsdPerHour microUsdPerHour region shapes unschedulablePods untried version withoutRule withoutType"
    );
    assert_eq!(document["columns"][0]["holds"][1], serde_json::json!({"shape": "B", "pods": 1}));
    assert_eq!(document["withoutType"][0]["placesPods"], -2);
}

#[test]
fn the_document_of_a_node_says_what_its_table_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/commands/consolidation/cluster.yaml");
    let catalog = catalog::Catalog::embedded().unwrap();
    let options = observe::DumpOptions::default();
    let dump = observe::read_dump(&[file.into()], &catalog, &options).unwrap();
    let options = planner::Options { steps: 300_000 };
    let told = planner::explain_node(&dump.snapshot, "ip-10-0-1-1", &options).unwrap();
    let text = told_of_node(&dump.snapshot, &told, Output::Json).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["version"], "joiner.dev/node/v1");
    let kept =
        serde_json::json!({ "kind": "noClaim", "message": "no node claim names its instance" });
    assert_eq!(value["keptBy"], kept);
    let alone = &value["alone"];
    assert_eq!((&alone["movedPods"], &alone["pays"]), (&1.into(), &true.into()));
    assert_eq!(alone["savesMicroUsdPerHour"], 384_000);
    let placed = serde_json::json!([{ "pod": "shop/web-1", "node": "ip-10-0-1-2" }]);
    assert_eq!(alone["placed"], placed);
    let text = told_of_node(&dump.snapshot, &told, Output::Yaml).unwrap();
    assert!(text.contains("\nkeptBy:\n  kind: noClaim\n"), "{text}");
}
