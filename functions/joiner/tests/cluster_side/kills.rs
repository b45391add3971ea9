//! An installer that dies after each of its writes, whichever step it is in, and one that goes on.

use super::world::{CLAIMS, PROVISIONERS, SETTINGS, World, own, run};
use super::{RBAC, autoscaler, make_autoscaler, make_karpenter};
use install::{Site, Step, steps};
use kube::client::Body;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// More writes than an installation has: then something is written again and again.
const MOST: u32 = 150;

/// The version of each object that was written, by its path: a write that changes nothing is none.
type Written = Arc<Mutex<BTreeMap<String, Value>>>;

/// The site of somebody who dies once a write was made and answered that changed something.
fn mortal(site: &Site, written: &Written) -> (Site, Arc<Notify>) {
    let (client, dead) = (site.kube.clone(), Arc::new(Notify::new()));
    let (written, told) = (Arc::clone(written), Arc::clone(&dead));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (client, written, told) = (client.clone(), Arc::clone(&written), Arc::clone(&told));
        let dry = request.uri().query().is_some_and(|query| query.contains("dryRun"));
        let writes = request.method() != http::Method::GET && !dry;
        let what = format!("{} {}", request.method(), request.uri().path());
        async move {
            let (head, body) = client.send(request).await?.into_parts();
            let bytes = body.collect_bytes().await?;
            let object = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
            let version = object["metadata"]["resourceVersion"].clone();
            if writes && written.lock().unwrap().insert(what, version.clone()) != Some(version) {
                told.notify_one();
                std::future::pending::<()>().await;
            }
            Ok::<_, tower::BoxError>(http::Response::from_parts(head, Body::from(bytes.to_vec())))
        }
    });
    (Site { kube: kube::Client::new(service, "default"), ..site.clone() }, dead)
}

/// Lives of one write each, until one ends well; `between` looks at what each leaves. How many died.
async fn lives(site: &Site, steps: &[Box<dyn Step>], between: impl AsyncFn()) -> u32 {
    let written = Written::default();
    for deaths in 0..MOST {
        let (mortal, dead) = mortal(site, &written);
        tokio::select! {
            told = run(steps, &mortal) => { told.ended_well(); return deaths; }
            () = dead.notified() => between().await,
        }
    }
    panic!("after {MOST} writes it is still not done: {written:#?}");
}

/// What must hold at any moment: one autoscaler works, and never two.
async fn one_autoscaler_at_most(world: &World) {
    let works = autoscaler(world).await.is_some_and(|one| one["spec"]["replicas"] == 1);
    let settings = world.get(SETTINGS).await.unwrap_or_default();
    assert!(!(works && settings["data"]["MODE"] == "act"), "two autoscalers: {settings}");
    let proved = world.get(&format!("{PROVISIONERS}/default")).await.is_some();
    assert!(works || proved, "none works, and Joiner has no pool yet");
}

#[tokio::test]
async fn goes_on_after_every_write() {
    let Some(world) = World::open().await else { return };
    make_autoscaler(&world).await;
    let deaths =
        lives(&world.site, &own(steps::install()), async || one_autoscaler_at_most(&world).await)
            .await;
    assert!(deaths > 30, "{deaths}");
    assert_eq!(autoscaler(&world).await, None);
    for what in ["clusterroles/scaler", "clusterrolebindings/scaler"] {
        assert_eq!(world.get(&format!("{RBAC}/{what}")).await, None, "nothing of it stays");
    }
    let account = "/api/v1/namespaces/kube-system/serviceaccounts/scaler";
    assert_eq!(world.get(account).await, None);
    super::installs_again_without_a_change(&world).await;
    let back = steps::uninstall().into_iter();
    let back = back.filter(|one| ["cluster-autoscaler", "webhook"].contains(&one.name()));
    lives(&world.site, &back.collect::<Vec<_>>(), async || {}).await;
    assert_eq!(autoscaler(&world).await.unwrap()["spec"]["replicas"], 1);
    assert!(world.get(&format!("{RBAC}/clusterrolebindings/scaler")).await.is_some());
    assert!(world.get(account).await.is_some());
    assert!(world.get("/api/v1/namespaces/joiner").await.is_none());
}

/// From the takeover on: what comes before is that of any installation.
#[tokio::test]
async fn a_takeover_goes_on_after_every_write() {
    let Some(world) = World::open().await else { return };
    let instance = make_karpenter(&world).await;
    let node = world.node_of(&instance).await;
    let site = world.with(|options| options.replace_karpenter = true);
    let all = own(steps::install());
    let takeover = all.iter().position(|step| step.name() == "takeover").unwrap();
    run(&all[..takeover], &site).await.ended_well();
    let deaths = lives(&site, &all, async || {
        assert_eq!(world.list(PROVISIONERS).await.len(), 1, "its pool, and no other");
        let works = world.get(super::KARPENTER).await.unwrap()["spec"]["replicas"] != 0;
        let settings = world.get(SETTINGS).await.unwrap();
        assert!(!(works && settings["data"]["MODE"] == "act"), "two autoscalers");
    })
    .await;
    assert!(deaths >= 4, "{deaths}");
    let claims = world.list(CLAIMS).await;
    let [claim] = &claims[..] else { panic!("{claims:#?}") };
    assert_eq!(claim["status"]["nodeName"], node["metadata"]["name"]);
    let profile = &world.get(SETTINGS).await.unwrap()["data"]["aws.defaultInstanceProfile"];
    assert_eq!(profile, "theirs");
    assert_eq!(world.node_of(&instance).await["metadata"]["uid"], node["metadata"]["uid"]);
    assert_eq!(world.get(super::KARPENTER).await.unwrap()["spec"]["replicas"], Value::from(0));
}
