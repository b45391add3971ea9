use super::*;
use clap::Parser;
use observe::DumpOptions;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    arguments: Arguments,
}

/// A dump kept beside the crate that reads it.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/observe/fixtures").join(name)
}

fn read(files: &[PathBuf], repack: bool) -> Answer {
    let catalog = catalog::Catalog::embedded().unwrap();
    let dump = observe::read_dump(files, &catalog, &DumpOptions::default()).unwrap();
    answer(dump, repack, &planner::Options::default())
}

fn document(answer: &Answer) -> Value {
    serde_json::to_value(Document::of(answer)).unwrap()
}

fn exit_code(arguments: &[&str]) -> Result<String, String> {
    let command = Command::try_parse_from(arguments).map_err(|error| error.to_string())?;
    let code = run_into(&command.arguments, &mut std::io::sink());
    code.map(|code| format!("{code:?}")).map_err(|error| format!("{error:#}"))
}

#[test]
fn the_document_has_the_schema_that_is_promised() {
    let answer = read(&[fixture("gen3.yaml")], false);
    refuse_violations(&answer).unwrap();
    let document = document(&answer);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(document["version"], "joiner.dev/plan/v1");
    assert_eq!(
        keys(&document),
        [
            "cost",
            "findings",
            "nodes",
            "placed",
            "region",
            "removals",
            "unreadablePods",
            "unschedulable",
            "version",
        ]
    );
    assert_eq!(
        keys(&document["nodes"][0]),
        [
            "alternatives",
            "capacityType",
            "instanceType",
            "labels",
            "name",
            "nodePool",
            "pods",
            "priceEstimated",
            "priceMicroUsdPerHour",
            "volumesMicroUsdPerHour",
            "zone",
        ]
    );
    assert_eq!(
        keys(&document["nodes"][0]["alternatives"][0]),
        ["capacityType", "instanceType", "priceEstimated", "priceMicroUsdPerHour", "zone"]
    );
    assert_eq!(document["nodes"][0]["pods"], json!(["jupyter-pods/hatchery-notebook"]));
    assert_eq!(
        document["placed"],
        json!([{"node": "ip-10-0-1-10.ec2.internal", "pod": "default/fence-6d4cf5"}])
    );
    assert_eq!(
        keys(&document["cost"]),
        [
            "daemonsMicroUsdPerHour",
            "estimated",
            "gapBasisPoints",
            "lowerBoundMicroUsdPerHour",
            "microUsdPerHour",
            "spotPremiumMicroUsdPerHour",
            "volumesMicroUsdPerHour",
        ]
    );
}

#[test]
fn reasons_are_typed_and_told() {
    let document = document(&read(&[fixture("broken.yaml")], false));
    let left = &document["unschedulable"][0];
    assert_eq!(
        (&left["pod"], &left["reasons"][0]["kind"]),
        (&json!("shop/fine"), &json!("poolNotReady"))
    );
    assert!(left["reasons"][0]["message"].as_str().unwrap().contains("nowhere"));
    assert_eq!(document["unreadablePods"].as_array().map(Vec::len), Some(4));
    assert_eq!(document["findings"][0]["place"]["line"], 2);
}

#[test]
fn repacking_tells_what_runs_now_and_what_it_could_cost() {
    let answer = read(&[fixture("gen3.yaml")], true);
    refuse_violations(&answer).unwrap();
    let repack = &document(&answer)["repack"];
    assert_eq!(repack["currentMicroUsdPerHour"], 83_200 + 40_468);
    assert_eq!(repack["currentEstimated"], true);
    let text = table::render(&answer, false, &Style::PLAIN);
    assert!(text.contains("now, 2 nodes"), "{text}");
    assert!(text.contains("~ estimated"), "{text}");
}

#[test]
fn savings_are_not_told_while_pods_are_left_out() {
    let answer = read(&[fixture("v1.yaml"), fixture("broken.yaml")], true);
    assert!(answer.left_out() > 0);
    assert_eq!(document(&answer)["repack"]["savesMicroUsdPerHour"], Value::Null);
    let text = table::render(&answer, false, &Style::PLAIN);
    assert!(text.contains("not comparable") && !text.contains("saves"), "{text}");
}

/// The table of a fixture, for a terminal of this width.
fn table(names: &[&str], repack: bool, width: usize) -> String {
    let files = names.iter().map(|name| fixture(name)).collect::<Vec<_>>();
    let mut style = Style::PLAIN;
    style.width = width;
    table::render(&read(&files, repack), false, &style)
}

fn check_says(text: &str, wanted: &[&str], unwanted: &[&str]) {
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    wanted.iter().for_each(|part| assert!(plain.contains(part), "no {part:?} in {text}"));
    unwanted.iter().for_each(|part| assert!(!plain.contains(part), "{part:?} in {text}"));
}

#[test]
fn a_comparison_is_told_for_the_same_pods_only() {
    let wanted = [
        "6 nodes with 13 pods packed anew from 3 built-in node pools",
        "1 pod waits already and is left out; `joiner plan` without --repack decides about it.",
        "saves ~$",
        "a month (",
        "without discounts and traffic",
    ];
    check_says(&table(&["node-groups.yaml"], true, 100), &wanted, &["not comparable", "report"]);
    let wanted = ["saves ~$0.17", "1 node of unknown price stays", "fargate-"];
    check_says(&table(&["v1.yaml"], true, 100), &wanted, &["not comparable"]);
    let wanted = ["not comparable: 4 pods left out"];
    check_says(&table(&["v1.yaml", "broken.yaml"], true, 100), &wanted, &["saves"]);
    let wanted = ["no pod runs there", "no pod to compare by", "2 pods wait already and are"];
    check_says(&table(&["gen3.yaml"], true, 100), &wanted, &["saves"]);
    let wanted = ["no node has a known price", "2 nodes of unknown price stay and are in neither"];
    check_says(&table(&["broken.yaml"], true, 100), &wanted, &["COST", "saves"]);
    let document = document(&read(&[fixture("gen3.yaml")], true));
    assert_eq!(document["repack"]["savesMicroUsdPerHour"], Value::Null);
    assert_eq!(document["repack"]["waitingPods"], 2);
}

#[test]
fn pods_are_named_below_their_node_where_there_is_no_room_beside_it() {
    let (wide, narrow) = (table(&["gen3.yaml"], false, 100), table(&["gen3.yaml"], false, 80));
    check_says(&wide, &["1 jupyter-pods/hatchery-notebook"], &[]);
    assert!(narrow.contains("\n      jupyter-pods/hatchery-notebook\n"), "{narrow}");
}

#[test]
fn the_order_of_the_input_does_not_matter() {
    let files = [fixture("gen3.yaml"), fixture("v1.yaml")];
    let [first, second] = files.clone();
    let plan = |files: &[PathBuf]| {
        let mut document = document(&read(files, false));
        document["findings"].take();
        document
    };
    assert_eq!(plan(&files), plan(&[second, first]));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let all = || {
        let answer = read(&[fixture("gen3.yaml"), fixture("broken.yaml")], true);
        let json = serde_json::to_string(&Document::of(&answer)).unwrap();
        let yaml = yaml::render(&document(&answer));
        (json, yaml, table::render(&answer, true, &Style::PLAIN))
    };
    assert_eq!(all(), all());
}

#[test]
fn yaml_says_the_same_as_json() {
    let expected = document(&read(&[fixture("broken.yaml")], false));
    let text = yaml::render(&expected);
    let mut found = Vec::new();
    let mut bytes = text.as_bytes();
    observe::documents::read_stream("plan", &mut bytes, &mut |document| found.push(document))
        .unwrap();
    assert_eq!(found.remove(0).map(|document| document.value), Ok(expected));
}

#[test]
fn tables_keep_to_their_width() {
    for name in ["gen3.yaml", "broken.yaml", "v1.yaml", "node-groups.yaml"] {
        for (width, repack) in [(80, false), (80, true), (100, false), (120, true)] {
            let text = table(&[name], repack, width);
            // Words that cannot be broken, such as paths, may stand out.
            let wide =
                |line: &&str| line.chars().count() > width && line.trim_start().contains(' ');
            let wide = text.lines().filter(wide).filter(|line| !line.contains("/fixtures/"));
            assert_eq!(wide.collect::<Vec<_>>(), Vec::<&str>::new());
        }
    }
}

#[test]
fn plans_under_other_rules_stand_side_by_side() {
    let mut answer = read(&[fixture("node-groups.yaml")], true);
    let options = planner::Options { steps: 300_000 };
    for words in ["arm64", "without-spread,generation>5", "capacity=on-demand"] {
        answer.what_if.push(Scenario::new(words, &answer.planned, &options).unwrap());
    }
    let text = table::render(&answer, false, &Style::PLAIN);
    check_says(&text, &["WHAT IF NODES LEFT", "as it is 5 0", "2 pods more left"], &[]);
    let document = document(&answer);
    let [arm, fast, same] = [0, 1, 2].map(|index| document["whatIf"][index].clone());
    assert_eq!((&arm["words"], &arm["unschedulablePods"]), (&json!("arm64"), &json!(2)));
    assert_eq!(arm["differenceMicroUsdPerHour"], Value::Null);
    let types =
        fast["nodes"].as_array().unwrap().iter().map(|node| node["instanceType"].to_string());
    let old = |name: &String| name.contains('5') || name.contains('4') || name.contains('3');
    assert_eq!(types.filter(old).count(), 0, "{fast}");
    assert!(same["differenceMicroUsdPerHour"].is_i64(), "{same}");
}

#[test]
fn exit_codes_tell_how_it_went() {
    let file = |name: &str| fixture(name).display().to_string();
    let check = |arguments: &[&str], expected: &str| {
        let all = [&["plan"], arguments].concat();
        let found = exit_code(&all).unwrap_or_else(|error| error);
        assert!(found.contains(expected), "{arguments:?}: {found}");
    };
    let (gen3, broken) = (file("gen3.yaml"), file("broken.yaml"));
    check(&["-f", &gen3, "--strict"], &format!("{:?}", ExitCode::SUCCESS));
    check(&["-f", &broken], &format!("{:?}", ExitCode::SUCCESS));
    check(&["-f", &broken, "--strict", "--output", "json"], &format!("{:?}", ExitCode::from(1)));
    check(&["-f", "/no/such/file"], "/no/such/file cannot be opened");
    check(&["-f", &gen3, "--catalog", &gen3], "is not a catalog: catalog line 1");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/main.rs");
    check(&["-f", source], "no Kubernetes object that can be read");
    check(&["-f", &gen3, "--effort", "fast"], &format!("{:?}", ExitCode::SUCCESS));
    check(&["-f", &gen3, "--what-if", "arm64,spt"], "column 7: there is no word \"spt\"");
    #[cfg(feature = "live")]
    check(&["--kubeconfig", "/no/such/config"], "no cluster can be read");
    check(&["-f", &gen3, "--context", "prod"], "cannot be used with");
    check(&["--snapshot", source], "neither a snapshot nor a kept turn");
}

#[test]
fn a_snapshot_is_planned_exactly_as_it_is() {
    let catalog = catalog::Catalog::embedded().unwrap();
    let dump =
        observe::read_dump(&[fixture("gen3.yaml")], &catalog, &DumpOptions::default()).unwrap();
    let text = serde_json::to_vec(&dump.snapshot).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&text).unwrap();
    let packed = packed.finish().unwrap();
    for (name, bytes) in [("plain", &text), ("gzip", &packed)] {
        let file =
            std::env::temp_dir().join(format!("joiner-snapshot-{name}-{}", std::process::id()));
        std::fs::write(&file, bytes).unwrap();
        let read = crate::commands::replay::of_file(&file);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(read.unwrap().0.snapshot, dump.snapshot, "{name}");
    }
}
