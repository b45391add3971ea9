use super::*;

fn pool(requirements: Value) -> Value {
    json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": "p" },
        "spec": { "template": { "spec": {
            "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "c" },
            "requirements": requirements,
        } } },
    })
}

fn bad_pool() -> Value {
    pool(
        json!([{ "key": "a", "operator": "In", "values": [] }, { "key": "b", "operator": "Near" }]),
    )
}

fn review(path: &str, request: Value) -> Value {
    let mut request = request;
    request["uid"] = json!("u-1");
    let body = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request });
    let request =
        Request { method: "POST".into(), path: path.into(), body: body.to_string().into_bytes() };
    let response = answer(&request, &Metrics::default());
    assert_eq!(response.status, 200);
    let review: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(review["response"]["uid"], "u-1");
    assert_eq!(review["kind"], "AdmissionReview");
    review["response"].clone()
}

fn validated(request: Value) -> Value {
    review(VALIDATE, request)
}

#[test]
fn good_objects_and_foreign_ones_are_allowed() {
    let check = |object: Value| {
        assert_eq!(validated(json!({ "operation": "CREATE", "object": object }))["allowed"], true);
    };
    check(pool(json!([])));
    check(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" } }));
    check(json!({}));
    check(Value::Null);
}

#[test]
fn a_refusal_names_every_error() {
    let response = validated(json!({ "operation": "CREATE", "object": bad_pool() }));
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 422);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("NodePool \"p\" has 2 errors:\n- spec.template.spec.requirements"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 3, "{message}");
}

#[test]
fn warnings_are_passed_on() {
    let mut object = pool(json!([]));
    object["spec"]["surprise"] = json!(1);
    let response = validated(json!({ "operation": "CREATE", "object": object }));
    assert_eq!(response["allowed"], true);
    assert!(response["warnings"][0].as_str().unwrap().contains("spec.surprise"), "{response}");
    object["spec"]["x".repeat(1000)] = json!(1);
    let response = validated(json!({ "operation": "CREATE", "object": object }));
    let lengths =
        response["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().len());
    assert!(lengths.max().unwrap() <= WARNING_BYTES);
}

#[test]
fn objects_that_go_or_whose_spec_stays_are_not_held_up() {
    let mut going = bad_pool();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(validated(json!({ "operation": "UPDATE", "object": going }))["allowed"], true);
    let mut labelled = bad_pool();
    labelled["metadata"]["labels"] = json!({ "a": "b" });
    let update = json!({ "operation": "UPDATE", "object": labelled, "oldObject": bad_pool() });
    let response = validated(update);
    assert_eq!(response["allowed"], true);
    assert_eq!(response["warnings"].as_array().unwrap().len(), 2);
    let changed =
        json!({ "operation": "UPDATE", "object": bad_pool(), "oldObject": pool(json!([])) });
    assert_eq!(validated(changed)["allowed"], false);
}

#[test]
fn defaults_are_a_patch_of_legacy_objects_only() {
    let mutated =
        |object: Value| review(MUTATE, json!({ "operation": "CREATE", "object": object }));
    let provisioner = json!({
        "apiVersion": "karpenter.sh/v1alpha5", "kind": "Provisioner", "metadata": { "name": "p" }, "spec": {},
    });
    let response = mutated(provisioner.clone());
    assert_eq!(response["patchType"], "JSONPatch");
    let patch = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    let patch: Value = serde_json::from_slice(&patch).unwrap();
    assert_eq!(patch[0], json!({ "op": "add", "path": "/spec/requirements", "value": [] }));
    assert!(mutated(pool(json!([]))).get("patch").is_none());
    let mut going = provisioner;
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert!(mutated(going).get("patch").is_none());
}

#[test]
fn what_is_no_review_is_refused_by_http() {
    let check = |method: &str, path: &str, body: &str, expected: u16| {
        let request = Request { method: method.into(), path: path.into(), body: body.into() };
        assert_eq!(
            answer(&request, &Metrics::default()).status,
            expected,
            "{method} {path} {body}"
        );
    };
    check("GET", VALIDATE, "", 405);
    check("POST", "/", "", 404);
    check("POST", VALIDATE, "{", 400);
    check("POST", VALIDATE, "{}", 400);
    check("POST", MUTATE, "[]", 400);
    check("POST", MUTATE, "{\"request\":{\"uid\":\"u\"}}", 200);
}
