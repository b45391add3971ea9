use super::*;
use observe::DumpOptions;
use std::path::PathBuf;

/// Two half-used nodes of a managed node group, a pod on each.
const CLUSTER: &str = include_str!("cluster.yaml");

fn dump() -> Dump {
    let file = std::env::temp_dir().join(format!("joiner-consolidate-{}.yaml", std::process::id()));
    std::fs::write(&file, CLUSTER).unwrap();
    let catalog = catalog::Catalog::embedded().unwrap();
    observe::read_dump(&[PathBuf::from(&file)], &catalog, &DumpOptions::default()).unwrap()
}

fn arguments(saving_per_move: Option<f64>) -> ConsolidationArguments {
    ConsolidationArguments { consolidate: true, node_groups: false, saving_per_move }
}

fn text(output: Output, saving_per_move: Option<f64>) -> String {
    let options = Options { steps: 300_000 };
    render(&dump(), &arguments(saving_per_move), (output, false), &options).unwrap()
}

#[test]
fn nodes_money_and_moves_are_told() {
    let table = text(Output::Table, None);
    assert!(table.starts_with("us-east-1: "), "{table}");
    for words in ["can go", "STEP", "consolidated", "saves $", "for each dollar"] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[test]
fn the_document_has_the_schema_that_is_promised() {
    let document: serde_json::Value = serde_json::from_str(&text(Output::Json, None)).unwrap();
    assert_eq!(document["version"], "joiner.dev/consolidation/v1");
    let (now, after) = (&document["currentMicroUsdPerHour"], &document["afterMicroUsdPerHour"]);
    let step = &document["steps"][0];
    let saved = now.as_i64().unwrap() - after.as_i64().unwrap();
    assert_eq!(step["savesMicroUsdPerHour"].as_i64().unwrap(), saved);
    assert_eq!(document["movedPods"], step["movedPods"]);
    assert!(text(Output::Yaml, None).contains("version: joiner.dev/consolidation/v1"));
}

#[test]
fn nothing_is_moved_for_less_than_is_asked() {
    let table = text(Output::Table, Some(100_000.0));
    assert!(table.contains("none of "), "{table}");
    assert!(arguments(Some(-1.0)).scope(&dump().snapshot).is_err());
}
