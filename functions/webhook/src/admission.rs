//! Admission reviews (admission.k8s.io/v1): pools, classes and claims are read as the functions will read them, and what they
//! would refuse is refused at once. Anything else is allowed: a webhook that cannot judge does not stand in the way.

use crate::defaults;
use crate::http::{Request, Response};
use crate::metrics::{Metrics, Verdict};
use api::{Finding, Severity};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Where reviews for validation arrive.
pub(crate) const VALIDATE: &str = "/validate";
/// Where reviews for defaulting arrive.
pub(crate) const MUTATE: &str = "/mutate";
/// The most bytes of an admission warning that API servers pass on untruncated.
const WARNING_BYTES: usize = 256;

/// Answers an HTTP request.
pub(crate) fn answer(request: &Request, metrics: &Metrics) -> Response {
    let review = match (request.path.as_str(), request.method.as_str()) {
        (VALIDATE, "POST") => validate,
        (MUTATE, "POST") => mutate,
        (VALIDATE | MUTATE, _) => return Response::text(405, "send a POST"),
        _ => return Response::text(404, format!("not found; there are {VALIDATE} and {MUTATE}")),
    };
    let body: Value = match serde_json::from_slice(&request.body) {
        Ok(body) => body,
        Err(error) => return Response::text(400, format!("not an AdmissionReview: {error}")),
    };
    let Some(uid) = body["request"]["uid"].as_str() else {
        return Response::text(400, "not an AdmissionReview: request.uid is missing");
    };
    let (verdict, mut response) = review(&body["request"]);
    metrics.answered(verdict);
    response["uid"] = json!(uid);
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    });
    Response {
        status: 200,
        content_type: "application/json",
        body: answer.to_string().into_bytes(),
    }
}

/// Whether the functions could use the object.
fn validate(request: &Value) -> (Verdict, Value) {
    let object = &request["object"];
    if is_deleting(object) {
        return allowed(Vec::new());
    }
    let Some(reading) = api::read(object) else { return allowed(Vec::new()) };
    let (errors, warnings): (Vec<_>, Vec<_>) =
        reading.findings.iter().partition(|finding| finding.severity == Severity::Error);
    let warnings = warnings.into_iter().map(warning);
    // Who only changes labels, finalizers or annotations of an object that was bad before must not be held up.
    if is_same_spec(request) {
        return allowed(warnings.chain(errors.into_iter().map(warning)).collect());
    }
    if errors.is_empty() {
        return allowed(warnings.collect());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let kind = object["kind"].as_str().unwrap_or_default();
    let response = json!({
        "allowed": false,
        "warnings": warnings.collect::<Vec<_>>(),
        "status": { "code": 422, "reason": "Invalid", "message": refusal(kind, name, &errors) },
    });
    (Verdict::Denied, response)
}

fn allowed(warnings: Vec<String>) -> (Verdict, Value) {
    (Verdict::Allowed, json!({ "allowed": true, "warnings": warnings }))
}

/// All errors, one a line, as kubectl shows them.
fn refusal(kind: &str, name: &str, errors: &[&Finding]) -> String {
    let count = match errors.len() {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    let lines = errors.iter().map(|finding| format!("\n- {}", shown(finding)));
    format!("{kind} {name:?} has {count}:{}", lines.collect::<String>())
}

fn shown(finding: &Finding) -> String {
    format!("{}: {} [{}]", finding.path, finding.message, finding.rule)
}

fn warning(finding: &Finding) -> String {
    let text = shown(finding);
    let end = text.char_indices().map(|(at, character)| at + character.len_utf8());
    let end = end.take_while(|end| *end <= WARNING_BYTES).last().unwrap_or(0);
    text[..end].to_owned()
}

fn is_deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn is_same_spec(request: &Value) -> bool {
    let old = &request["oldObject"];
    !old.is_null() && old["spec"] == request["object"]["spec"]
}

/// The defaults of legacy objects, as a JSON patch.
fn mutate(request: &Value) -> (Verdict, Value) {
    let object = &request["object"];
    let is_new = request["operation"] == "CREATE";
    let patch = match is_deleting(object) {
        true => Vec::new(),
        false => defaults::patch(object, is_new),
    };
    if patch.is_empty() {
        return allowed(Vec::new());
    }
    let patch = STANDARD.encode(Value::Array(patch).to_string());
    let response = json!({ "allowed": true, "patchType": "JSONPatch", "patch": patch });
    (Verdict::Defaulted, response)
}

#[cfg(test)]
#[path = "admission/tests.rs"]
mod tests;
