use super::*;
use crate::batch::Batcher;
use crate::board::{Board, Occurrence, Topic};

fn knocks() -> Vec<Knock> {
    let mut batcher = Batcher::new(CALL, CALL);
    for topic in Topic::ALL {
        batcher.note(&Occurrence { topic, object: "o".into(), reason: "r" }, Duration::ZERO);
    }
    let closed = batcher.flush().into_iter();
    closed
        .map(|(topic, batch)| Knock::new(&"demo".into(), topic, batch, &Board::default()))
        .collect()
}

#[test]
fn what_the_bus_does_not_take_comes_back() {
    let check = |codes: &[Option<&str>], expected: &[Topic]| {
        let (failed, error) = not_taken("b", knocks(), codes.iter().copied());
        assert_eq!(
            failed.iter().map(|knock| knock.topic).collect::<Vec<_>>(),
            expected,
            "{codes:?}"
        );
        assert_eq!(error.is_some(), !expected.is_empty());
    };
    check(&[None, None, None, None], &[]);
    check(&[None, Some("ThrottlingException"), None, None], &[Topic::NodeDeleting]);
    check(&[Some("InternalFailure"); 4], &Topic::ALL);
    check(&[None, None, None], &[Topic::ConfigurationChanged]);
    check(&[], &Topic::ALL);
}

#[test]
fn errors_say_what_to_do() {
    let check = |code: &str, expected: &[&str]| {
        let message = error_of("joiner-demo", code).to_string();
        assert!(expected.iter().all(|part| message.contains(part)), "{message}");
    };
    check("ThrottlingException", &["event bus joiner-demo", "throttled"]);
    check(
        "AccessDeniedException",
        &["denied", r#""Action":"events:PutEvents""#, "event-bus/joiner-demo"],
    );
    check("ResourceNotFoundException", &["not there", "--event-bus-name"]);
    check("InternalFailure", &["InternalFailure", "sent again"]);
}
