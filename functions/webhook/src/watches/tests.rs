use super::*;
use crate::testing::{client, refusal};
use serde_json::{Value, json};

fn list(kind: &str, version: &str, items: Value) -> Value {
    json!({ "apiVersion": version, "kind": kind, "metadata": { "resourceVersion": "1" }, "items": items })
}

/// The first change that a watch of the cluster passes on, and the metrics.
async fn first(
    answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
    watch: impl AsyncFnOnce(&Watches),
) -> (Change, String) {
    let (client, _) = client(answer);
    let (changes, mut changed) = mpsc::channel(8);
    let watches = Watches { client, changes, metrics: Arc::default(), clock: Clock::start() };
    let change = tokio::select! {
        () = watch(&watches) => None,
        change = changed.recv() => change,
        () = async { tokio::time::timeout(Duration::from_secs(60), std::future::pending::<()>()).await.unwrap() } => None,
    };
    (change.unwrap(), watches.metrics.text())
}

fn pending_pod(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "n", "uid": name },
        "status": { "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable" }] },
    })
}

#[tokio::test]
async fn pods_are_listed_by_pages_and_only_those_without_a_node() {
    let answer = |call: &str, _: &Value| {
        assert!(call.contains("fieldSelector=spec.nodeName%3D"), "{call}");
        assert!(call.contains("limit=200") || call.contains("watch=true"), "{call}");
        let mut page =
            list("PodList", "v1", json!([pending_pod("a"), { "metadata": { "name": "b" } }]));
        if !call.contains("continue=next") {
            page = list("PodList", "v1", json!([pending_pod("c")]));
            page["metadata"]["continue"] = json!("next");
        }
        (200, page)
    };
    let (change, _) = first(answer, async |watches| watches.pods().await).await;
    let Change::Pods(Delta::Replace(pods)) = change else { panic!("{change:?}") };
    assert_eq!(pods.keys().map(|uid| &**uid).collect::<Vec<_>>(), ["a", "c"]);
}

#[tokio::test]
async fn a_list_that_fails_is_tried_again() {
    let failed = std::sync::atomic::AtomicBool::new(false);
    let answer =
        move |_: &str, _: &Value| match failed.swap(true, std::sync::atomic::Ordering::Relaxed) {
            false => refusal(500),
            true => (200, list("NodeList", "v1", json!([]))),
        };
    let (change, metrics) = first(answer, async |watches| watches.nodes().await).await;
    assert!(matches!(change, Change::Nodes(Delta::Replace(_))));
    assert!(!metrics.contains("watch_restarts_total{resource=\"nodes\"} 0"), "{metrics}");
}

#[tokio::test]
async fn a_kind_is_found_in_the_version_that_is_served() {
    let answer =
        |call: &str, _: &Value| match call.contains("/apis/karpenter.sh/v1beta1/nodeclaims") {
            true => (200, list("NodeClaimList", "karpenter.sh/v1beta1", json!([]))),
            false => refusal(404),
        };
    let (change, _) = first(answer, async |watches| watches.claims().await).await;
    assert!(matches!(change, Change::Claims(Delta::Replace(_))));
}

#[tokio::test]
async fn a_kind_that_is_not_installed_is_looked_for_again() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let answer =
        move |_: &str, _: &Value| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => refusal(404),
            _ => {
                let item = json!({ "metadata": { "name": "p", "uid": "u", "generation": 4 } });
                (200, list("PartialObjectMetadataList", "meta.k8s.io/v1", json!([item])))
            }
        };
    let (change, _) = first(answer, async |watches| watches.specs(&SPECS[1]).await).await;
    let Change::Specs("Provisioner", Delta::Replace(specs)) = change else { panic!("{change:?}") };
    assert_eq!(specs.into_values().collect::<Vec<_>>(), [("p".into(), 4)]);
}

#[test]
fn a_list_is_one_change_and_an_event_is_one() {
    let keep = |name: &'static str| {
        let kept = (name != "bound").then_some(());
        (Uid::from(name), kept)
    };
    let mut listed = BTreeMap::new();
    let mut check = |event: Event<&'static str>, expected: &str| {
        let delta = fold(&mut listed, event, keep).map(|delta| format!("{delta:?}"));
        assert_eq!(delta.unwrap_or_default(), expected);
    };
    check(Event::Init, "");
    check(Event::InitApply("a"), "");
    check(Event::InitApply("bound"), "");
    check(Event::InitDone, r#"Replace({"a": ()})"#);
    check(Event::Apply("b"), r#"Apply("b", ())"#);
    check(Event::Apply("bound"), r#"Delete("bound")"#);
    check(Event::Delete("b"), r#"Delete("b")"#);
    check(Event::InitApply("half"), "");
    check(Event::Init, "");
    check(Event::InitDone, "Replace({})");
}

#[test]
fn a_missing_permission_is_named() {
    let message = "pods is forbidden to arn:aws:sts::123456789012:assumed-role/x".into();
    let status = kube::core::Status { code: 403, message, ..Default::default() };
    let error = watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)));
    assert!(cause(&error).contains("ClusterRole joiner-webhook"), "{}", cause(&error));
    assert!(!cause(&error).contains("123456789012"), "{}", cause(&error));
    assert!(!is_missing(&error));
}
