use super::*;
use crate::testing::{client, refusal};
use serde_json::{Value, json};

fn lease(holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": NAME, "resourceVersion": "7" },
        "spec": { "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 3,
                  "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000000Z" },
    })
}

fn candidate(client: Client) -> Candidate {
    Candidate::new(client, "joiner", "me", Clock::start())
}

fn leads(candidate: &Candidate) -> bool {
    candidate.election.leads_until(candidate.clock.now()).is_some()
}

#[tokio::test]
async fn a_lease_that_is_not_there_is_made() {
    let (client, calls) = client(|call, body| match call.starts_with("GET") {
        true => refusal(404),
        false => (201, body.clone()),
    });
    let mut candidate = candidate(client);
    candidate.look().await.unwrap();
    assert!(leads(&candidate));
    let calls = calls.lock().unwrap();
    assert_eq!(calls[1].1["spec"]["holderIdentity"], "me");
    assert_eq!(calls[1].1["spec"]["leaseDurationSeconds"], 15);
}

#[tokio::test]
async fn a_released_lease_is_taken_with_the_version_that_was_read() {
    let (client, calls) = client(|call, body| match call.starts_with("GET") {
        true => (200, lease("")),
        false => (200, body.clone()),
    });
    let mut candidate = candidate(client);
    candidate.look().await.unwrap();
    assert!(leads(&candidate));
    let calls = calls.lock().unwrap();
    assert!(calls[1].0.starts_with("PUT"));
    assert_eq!(calls[1].1["metadata"]["resourceVersion"], "7");
    assert_eq!(calls[1].1["spec"]["leaseTransitions"], 4);
}

#[tokio::test]
async fn who_writes_second_does_not_lead() {
    let (client, _) = client(|call, _| match call.starts_with("GET") {
        true => (200, lease("")),
        false => refusal(409),
    });
    let mut candidate = candidate(client);
    candidate.look().await.unwrap();
    assert!(!leads(&candidate));
}

#[tokio::test]
async fn a_lease_that_is_held_is_left_alone() {
    let (client, calls) = client(|_, _| (200, lease("other")));
    let mut candidate = candidate(client);
    candidate.look().await.unwrap();
    assert!(!leads(&candidate));
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_api_server_that_fails_is_an_error_and_no_lead() {
    let (client, _) = client(|_, _| refusal(500));
    let mut candidate = candidate(client);
    assert!(candidate.look().await.is_err());
    assert!(!leads(&candidate));
}

#[tokio::test]
async fn the_lease_is_released_when_the_process_ends() {
    let (client, calls) = client(|call, body| match call.starts_with("GET") {
        true => (200, lease("me")),
        false => (200, body.clone()),
    });
    let (leading, mut led) = watch::channel(None);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(candidate(client).run(leading, stopped));
    let wait = Duration::from_secs(60);
    tokio::time::timeout(wait, led.wait_for(Option::is_some)).await.unwrap().unwrap();
    stop.send(true).unwrap();
    tokio::time::timeout(wait, running).await.unwrap().unwrap();
    let calls = calls.lock().unwrap();
    let (call, body) = calls.last().unwrap();
    assert!(call.starts_with("PUT"));
    assert_eq!(body["spec"]["holderIdentity"], "");
    assert_eq!(body["spec"]["leaseTransitions"], 3);
}
