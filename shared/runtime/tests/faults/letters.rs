//! Turns that are kept, and messages that cannot be read.

use crate::real::{World, is_true};
use crate::waiting;
use aws_lambda_events::sqs::SqsMessage;
use joiner_runtime::doors::{Door, batch};
use joiner_runtime::memory::KeptTurn;
use serde_json::json;

pub(crate) async fn kept(world: &World, turn: &str) -> KeptTurn {
    KeptTurn::from_bytes(&kept_bytes(world, turn).await).unwrap()
}

async fn kept_bytes(world: &World, turn: &str) -> Vec<u8> {
    let key = format!("turns/demo/{turn}.json.gz");
    let object = world.s3().get_object().bucket("turns").key(key).send().await.unwrap();
    object.body.collect().await.unwrap().to_vec()
}

#[tokio::test]
async fn a_kept_turn_is_planned_again_to_the_byte() {
    let Some((world, uids)) = waiting(2).await else { return };
    let mut function = world.function().await;
    let mut turns = vec![function.report().await.turn];
    world
        .eventually("a node is ready", async || {
            world.seen().await.nodes.iter().any(|node| is_true(node, "Ready"))
        })
        .await;
    turns.push(function.report().await.turn);
    for turn in turns {
        let kept = kept(&world, &turn).await;
        assert!(!kept.plan.launches.is_empty() || !kept.plan.steps.is_empty());
        let options = planner::Options { steps: kept.planner_steps };
        let (again, _) = planner::heed(&kept.snapshot, planner::plan(&kept.snapshot, &options));
        let bytes = |plan: &model::Plan| serde_json::to_string(plan).unwrap();
        assert_eq!(bytes(&again), bytes(&kept.plan));
    }
    world.pods_run(&mut function, &uids, "replayed").await;
}

fn message(id: &str, body: &str) -> SqsMessage {
    let mut message = SqsMessage::default();
    message.message_id = Some(id.to_owned());
    message.body = Some(body.to_owned());
    message
}

/// Ids, in the order of their coming, of dead letters with the reasons.
async fn dead_letters(world: &World, count: usize) -> Vec<(String, String)> {
    let (sqs, queue) = (world.sqs(), world.setting("DEAD_LETTER_QUEUE_URL"));
    let found = std::cell::RefCell::new(Vec::new());
    world
        .eventually("the dead letters come", async || {
            let call = sqs.receive_message().queue_url(queue).message_attribute_names("All");
            for letter in call.send().await.unwrap().messages() {
                let reason = letter.message_attributes().and_then(|all| all.get("Error"));
                let reason = reason.and_then(|value| value.string_value()).unwrap_or_default();
                let body = letter.body().unwrap_or_default();
                found.borrow_mut().push((body.to_owned(), reason.to_owned()));
                let handle = letter.receipt_handle().unwrap();
                sqs.delete_message().queue_url(queue).receipt_handle(handle).send().await.unwrap();
            }
            found.borrow().len() >= count
        })
        .await;
    found.into_inner()
}

#[tokio::test]
async fn events_that_cannot_be_read_are_dead_letters_with_the_reason_and_others_are_served() {
    let Some((world, uids)) = waiting(1).await else { return };
    let mut slot = Some(world.function().await.installation);
    let large = json!({ "source": "joiner", "detail-type": "Pods Pending", "detail": "x".repeat((1 << 20) - 200) }).to_string();
    let messages = [
        message("a", "no JSON"),
        message("b", r#"{"source":"aws.s3","detail-type":"x"}"#),
        message("c", &large),
    ];
    let failed = batch(Door::PendingPods, &mut slot, &messages, "request").await;
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(world.seen().await.claims.len(), 1, "the large one is served");
    let letters = dead_letters(&world, 2).await;
    assert_eq!(letters.len(), 2, "{letters:?}");
    for (body, reason) in
        [("no JSON", "not JSON"), (r#"{"source":"aws.s3","detail-type":"x"}"#, "an event from")]
    {
        let letter = letters.iter().find(|(found, _)| found == body).unwrap();
        assert!(letter.1.starts_with(reason), "{letter:?}");
    }
    let odd = "x".repeat((1 << 20) - 400);
    let failed = batch(Door::PendingPods, &mut slot, &[message("d", &odd)], "request").await;
    assert_eq!(failed, Vec::<String>::new());
    let letters = dead_letters(&world, 1).await;
    assert!(letters[0].0 == odd && letters[0].1.starts_with("not JSON"), "{}", letters[0].1);
    world.pods_run(&mut world.function().await, &uids, "odd events").await;
}
