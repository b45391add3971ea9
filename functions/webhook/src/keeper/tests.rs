use super::*;
use crate::testing::{client, refusal};

fn keeper(client: Client) -> Keeper {
    let (served, metrics) = Default::default();
    Keeper::new(client, "joiner", vec!["127.0.0.1".into()], served, metrics, Clock::start())
}

#[test]
fn a_certificate_is_stored_and_read_back() {
    let certificate = Stored::renew(&["127.0.0.1".to_owned()], None, Timestamp::now()).unwrap();
    assert_eq!(stored(&written(None, &certificate)), certificate);
    assert_eq!(stored(&Secret::default()), Stored::default());
}

#[test]
fn only_webhooks_that_lack_the_bundle_are_patched() {
    let configuration = |bundles: &[Option<&str>]| {
        let webhooks = bundles.iter().enumerate().map(|(index, bundle)| {
            json!({ "name": format!("w{index}"), "clientConfig": { "caBundle": bundle } })
        });
        json!({ "webhooks": webhooks.collect::<Vec<_>>() })
    };
    let patched = |bundles: &[Option<&str>]| {
        let patch = bundle_patch(&configuration(bundles), "new");
        patch.map(|patch| patch["webhooks"].as_array().unwrap().len())
    };
    assert_eq!(patched(&[None, Some("old"), Some("new")]), Some(2));
    assert_eq!(patched(&[Some("new")]), None);
    assert_eq!(bundle_patch(&json!({}), "new"), None);
}

#[tokio::test]
async fn api_servers_trust_a_new_authority_before_it_is_served() {
    let (client, calls) = client(|call, body| match call.split(' ').next() {
        Some("GET") if call.contains("/secrets/") => refusal(404),
        Some("GET") => (
            200,
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "X",
                "metadata": { "name": CONFIGURATION },
                "webhooks": [{ "name": "w" }],
            }),
        ),
        _ => (
            200,
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": body["metadata"]["name"] } }),
        ),
    });
    keeper(client).keep().await.unwrap();
    let calls = calls.lock().unwrap();
    let writes = calls.iter().filter(|(call, _)| !call.starts_with("GET")).collect::<Vec<_>>();
    let methods =
        writes.iter().map(|(call, _)| call.split(' ').next().unwrap()).collect::<Vec<_>>();
    assert_eq!(methods, ["PATCH", "PATCH", "POST"]);
    let bundle = writes[0].1["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap();
    assert_eq!(writes[2].1["data"]["ca.crt"], bundle);
}

#[tokio::test]
async fn a_certificate_that_holds_is_left_alone() {
    let certificate = Stored::renew(&["127.0.0.1".to_owned()], None, Timestamp::now()).unwrap();
    let secret = serde_json::to_value(written(None, &certificate)).unwrap();
    let (client, calls) = client(move |call, _| match call {
        call if call.contains("/secrets/") => (200, secret.clone()),
        _ => refusal(404),
    });
    keeper(client).keep().await.unwrap();
    assert!(calls.lock().unwrap().iter().all(|(call, _)| call.starts_with("GET")));
}

#[tokio::test]
async fn a_secret_that_cannot_be_served_does_not_take_the_place_of_one_that_can() {
    let (client, _) = client(|_, _| refusal(500));
    let keeper = keeper(client);
    let certificate = Stored::renew(&["127.0.0.1".to_owned()], None, Timestamp::now()).unwrap();
    keeper.serve(&written(None, &certificate));
    let expiry = format!("seconds {}", certificate.until.as_second());
    assert!(keeper.metrics.text().contains(&expiry));
    keeper.serve(&Secret::default());
    assert!(keeper.metrics.text().contains(&expiry));
}
