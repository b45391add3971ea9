//! The command `joiner` as its users run it: exit codes, output byte for byte, and every kind of bad input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const CLASS: &str = "
apiVersion: karpenter.k8s.aws/v1alpha1
kind: AWSNodeTemplate
metadata: {name: default}
spec:
  subnetSelector: {karpenter.sh/discovery: commons}
  securityGroupSelector: {karpenter.sh/discovery: commons}
";
const POOL: &str = "
apiVersion: karpenter.sh/v1alpha5
kind: Provisioner
metadata: {name: default}
spec:
  providerRef: {name: default}
";
const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: good}
spec:
  containers: [{name: main, resources: {requests: {cpu: 1, memory: 1Gi}}}]
";

fn joiner(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_joiner"));
    // Tests of real parts run beside these, and have it in their environment.
    command.env_remove("CLUSTER_NAME");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that refuses its arguments ends before it reads.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("panicked"), "{arguments:?}: {errors}");
    output
}

/// The exit code and all that was printed.
fn run(arguments: &[&str], input: &str) -> (i32, String) {
    let output = joiner(arguments, input);
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code().unwrap(), printed.concat())
}

fn check(arguments: &[&str], input: &str, code: i32, printed: &str) {
    let (found, text) = run(arguments, input);
    assert_eq!(found, code, "{arguments:?}: {text}");
    assert!(text.contains(printed), "{arguments:?}: {printed:?} is not in:\n{text}");
}

fn documents(parts: &[&str]) -> String {
    parts.join("\n---\n")
}

fn plan_json(arguments: &[&str], input: &str) -> Value {
    let output = joiner(&[&["plan", "--output", "json"], arguments].concat(), input);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn scenarios() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
    let mut files = files.filter(yaml).collect::<Vec<_>>();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn exit_codes_of_usage() {
    check(&[], "", 2, "Usage");
    check(&["--help"], "", 0, "plan");
    check(&["--version"], "", 0, "joiner");
    check(&["fly"], "", 2, "fly");
    check(&["plan", "--kubeconfig", "no-such-file"], "", 2, "or files with -f");
    check(&["plan", "-f", "-", "--output", "poem"], "", 2, "poem");
    check(&["validate", "--kubeconfig", "no-such-file"], "", 2, "or files with -f");
}

/// Bad input of the installer: told with its place and what to do, exit code 2, nothing is asked of AWS or a cluster.
#[cfg(feature = "live")]
#[test]
fn what_an_installation_cannot_mean_is_refused() {
    check(&["instal"], "", 2, "unrecognized subcommand 'instal'");
    check(&["install", "--clustr", "qa"], "", 2, "unexpected argument '--clustr'");
    check(&["manifest"], "", 2, "<FILE>");
    let folder = std::env::temp_dir().join(format!("joiner-manifests-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let refused = |text: &str, printed: &str| {
        let file = folder.join("manifest.json");
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        check(&["manifest", file], "", 2, printed);
        check(&["install", "--yes", "--manifest", file], "", 2, printed);
    };
    refused(
        "global:\n  karpenter: true\n",
        "manifest.json: is not JSON: expected value at line 1 column 1",
    );
    let odd = "{\"global\": {\"environment\": \"qa\",\n\"karpenter\": \"ARM\"}}";
    refused(
        odd,
        "manifest.json:2: global.karpenter: is \"ARM\"; it may be true, false, \"arm\" or null",
    );
    refused(
        "{\"global\": {\"karpenter\": true}}",
        "manifest.json: global.environment: must be the name of the VPC",
    );
    check(&["manifest", "/nowhere/manifest.json"], "", 2, "/nowhere/manifest.json: cannot be read");
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let arm = write("arm.json", "{\"global\": {\"environment\": \"qa\", \"karpenter\": \"arm\"}}");
    let off =
        write("off.json", "{\"global\": {\"environment\": \"qa\", \"karpenter\": \"false\"}}");
    let other =
        write("other.json", "{\"global\": {\"environment\": \"prod\", \"karpenter\": true}}");
    check(&["manifest", &arm, &off], "", 0, "qa: on, with a pool of Arm");
    check(&["manifest", &off], "", 0, "qa: off");
    check(&["manifest", &arm, &other], "", 2, "one installation serves one VPC");
    // Off is no failure, and nothing is done.
    check(&["install", "--yes", "--manifest", &off], "", 0, "nothing is to be installed");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn exit_codes_of_plan() {
    let sound = documents(&[CLASS, POOL, POD]);
    let huge = POD.replace("name: good", "name: huge").replace("cpu: 1,", "cpu: 1000,");
    let left = documents(&[CLASS, POOL, POD, &huge]);
    check(&["plan", "-f", "-"], &sound, 0, "default-1");
    check(&["plan", "-f", "-", "--strict"], &sound, 0, "default-1");
    check(&["plan", "-f", "-"], &left, 0, "huge");
    check(&["plan", "-f", "-", "--strict"], &left, 1, "huge");
    check(&["plan", "-f", "no-such-file.yaml"], "", 2, "no-such-file.yaml");
    check(&["plan", "-f", "."], "", 2, ".");
    check(&["plan", "-f", "-", "--catalog", "no-such-catalog"], &sound, 2, "no-such-catalog");
    check(&["plan", "-f", "-"], "", 2, "no Kubernetes object");
}

#[test]
fn exit_codes_of_validate() {
    check(&["validate", "-f", "-"], &documents(&[CLASS, POOL]), 0, "0 errors");
    check(&["validate", "-f", "-"], POOL, 1, "node-class-missing");
    check(&["validate", "-f", "-"], "kind: [half", 2, "");
    check(&["validate", "-f", "no-such-file.yaml"], "", 2, "no-such-file.yaml");
}

#[test]
fn the_dump_script_is_one_that_a_shell_reads() {
    let script = joiner(&["dump", "--script"], "");
    assert_eq!(script.status.code(), Some(0));
    let mut shell = Command::new("sh").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(&script.stdout).unwrap();
    assert!(shell.wait().unwrap().success());
    assert!(String::from_utf8(script.stdout).unwrap().contains("kubectl"));
}

#[test]
fn the_same_input_gives_the_same_bytes_in_any_order() {
    for file in scenarios() {
        let name = file.to_string_lossy();
        let first = joiner(&["plan", "--output", "json", "-f", &name], "").stdout;
        let again = joiner(&["plan", "--output", "json", "-f", &name], "").stdout;
        assert!(first == again && !first.is_empty(), "{name}: two runs differ");
        let text = std::fs::read_to_string(&file).unwrap();
        let mut parts = text.split("\n---\n").collect::<Vec<_>>();
        parts.reverse();
        let mut turned = plan_json(&["-f", "-"], &documents(&parts));
        let mut straight: Value = serde_json::from_slice(&first).unwrap();
        // Where something was found does depend on the order; what was found does not.
        for plan in [&mut turned, &mut straight] {
            let findings = plan["findings"].take();
            let mut rules = findings.as_array().unwrap().iter().map(|f| f["rule"].to_string());
            let mut rules = rules.by_ref().collect::<Vec<_>>();
            rules.sort();
            plan["findings"] = json!(rules);
        }
        assert_eq!(turned, straight, "{name}: the order of documents matters");
    }
}

/// The names of an object's fields, sorted.
fn fields(value: &Value) -> Vec<&str> {
    let mut names = value.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
    names.sort_unstable();
    names
}

#[test]
fn the_json_has_the_promised_fields() {
    let huge = POD.replace("name: good", "name: huge").replace("cpu: 1,", "cpu: 1000,");
    let node = "
apiVersion: v1
kind: Node
metadata: {name: one, labels: {topology.kubernetes.io/zone: us-east-1a, kubernetes.io/arch: amd64}}
status:
  allocatable: {cpu: 500m, memory: 4Gi, pods: 10}
  conditions: [{type: Ready, status: 'True'}]
";
    let small = POD.replace("name: good", "name: small").replace("cpu: 1,", "cpu: 400m,");
    let plan = plan_json(&["-f", "-"], &documents(&[CLASS, POOL, POD, &huge, node, &small]));
    for field in ["version", "nodes", "placed", "unschedulable", "cost"] {
        assert!(plan.get(field).is_some(), "{field}");
    }
    let node = &plan["nodes"][0];
    let expected = [
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
    ];
    assert_eq!(fields(node), expected);
    assert_eq!(node["pods"], json!(["default/good"]));
    let alternative = &node["alternatives"][0];
    let expected =
        ["capacityType", "instanceType", "priceEstimated", "priceMicroUsdPerHour", "zone"];
    assert_eq!(fields(alternative), expected);
    assert_eq!(plan["placed"], json!([{ "pod": "default/small", "node": "one" }]));
    assert_eq!(plan["unschedulable"][0]["pod"], "default/huge");
    assert_eq!(fields(&plan["unschedulable"][0]), ["pod", "reasons"]);
    let cost = &plan["cost"];
    assert_eq!(cost["microUsdPerHour"], node["priceMicroUsdPerHour"]);
    assert!(cost["lowerBoundMicroUsdPerHour"].as_u64() <= cost["microUsdPerHour"].as_u64());
}

/// Beside this bad part the good pod is still planned, and the output names what is wrong.
fn check_rest_goes_on(bad: &str, named: &str) {
    let input = documents(&[CLASS, POOL, POD, bad]);
    let plan = plan_json(&["-f", "-"], &input);
    let nodes = plan["nodes"].as_array().unwrap();
    let planned = nodes.iter().any(|node| node["pods"] == json!(["default/good"]));
    assert!(planned, "the good pod beside {bad}: {plan:#}");
    assert!(plan.to_string().contains(named), "{named:?} for {bad}: {plan:#}");
    check(&["plan", "-f", "-"], &input, 0, "");
    let (code, _) = run(&["validate", "-f", "-"], &input);
    assert!((0..=2).contains(&code));
}

#[test]
fn bad_objects_are_named_and_the_rest_is_planned() {
    let pod = |requests: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: bad}}\nspec:\n  containers: [{{name: main, resources: {{requests: {{{requests}}}}}}}]"
        )
    };
    check_rest_goes_on(&pod("cpu: -1"), "default/bad");
    check_rest_goes_on(&pod("cpu: lots"), "default/bad");
    check_rest_goes_on(&pod("memory: 999999999999999999999Gi"), "default/bad");
    check_rest_goes_on(&pod("cpu: 9e99"), "default/bad");
    check_rest_goes_on(&pod("cpu: [1]"), "default/bad");
    check_rest_goes_on(&pod("memory: 8Ei"), "default/bad");
    check_rest_goes_on("kind: Pod\napiVersion: v1\nmetadata: {name: bad}", "default/bad");
    check_rest_goes_on("kind: Pod\napiVersion: v1\nspec: text", "Pod");
    check_rest_goes_on("apiVersion: v1\nmetadata: {name: nothing}", "kind-missing");
    check_rest_goes_on("kind: [half", "syntax");
    check_rest_goes_on("a: b\n c: d\n- e", "syntax");
    check_rest_goes_on("just words", "syntax");
    check_rest_goes_on(&"[".repeat(5_000), "syntax");
    check_rest_goes_on(&POOL.replace("default", "lost"), "node-class-missing");
    check_rest_goes_on(&POD.replace("Pod", "Poem"), "");
    let zone =
        POD.replace("spec:", "spec:\n  nodeSelector: {topology.kubernetes.io/zone: mars-1a}");
    check_rest_goes_on(&zone.replace("good", "bad"), "mars-1a");
}

#[test]
fn a_cluster_without_pools_gets_the_built_in_one_by_name() {
    check(&["plan", "-f", "-"], POD, 0, "joiner-default");
}

#[test]
fn half_a_file_is_said_to_be_half() {
    let whole = json!({ "kind": "List", "apiVersion": "v1", "items": [
        { "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "one" }, "spec": { "containers": [] } },
        { "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "two" }, "spec": { "containers": [] } },
    ]})
    .to_string();
    for length in (0..whole.len()).step_by(7) {
        let (code, text) = run(&["plan", "-f", "-"], &whole[..length]);
        assert!(code == 0 || code == 2, "{length}: {code} {text}");
    }
    check(&["plan", "-f", "-", "--output", "json"], &whole, 0, "default/two");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("noise.yaml");
    let noise = (0..4096_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8);
    std::fs::write(&file, noise.collect::<Vec<_>>()).unwrap();
    check(&["plan", "-f", &file.to_string_lossy()], "", 2, "noise.yaml");
    std::fs::write(&file, [0x1f, 0x8b, 8, 0, 1, 2, 3]).unwrap();
    check(&["plan", "-f", &file.to_string_lossy()], "", 2, "noise.yaml");
}

#[test]
fn a_hundred_thousand_pods_are_planned() {
    let pod = |number: usize| POD.trim().replace("name: good", &format!("name: web-{number}"));
    let pods = (0..100_000).map(pod).collect::<Vec<_>>();
    let plan = plan_json(&["-f", "-"], &documents(&[CLASS, POOL, &pods.join("\n---\n")]));
    let nodes = plan["nodes"].as_array().unwrap();
    let planned = nodes.iter().map(|node| node["pods"].as_array().unwrap().len()).sum::<usize>();
    assert_eq!(planned, 100_000);
}
