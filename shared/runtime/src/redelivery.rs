//! Messages that must come again soon.
//!
//! A queue gives a message back when its visibility is over, which is longer than a function may take. A warning of spot capacity is
//! worth nothing by then, so its visibility is ended.

use aws_lambda_events::sqs::SqsMessage;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use model::account::redacted;

/// After the first failure a message comes again in so many seconds, after each later one in twice as many.
const FIRST_S: i32 = 2;
/// And in so many at most.
const LONGEST_S: i32 = 60;
/// Entries of one call.
const BATCH: usize = 10;

/// In how many seconds a message comes again that has been received so often.
pub(crate) fn delay_s(receives: u32) -> i32 {
    let doublings = receives.saturating_sub(1).min(10);
    (FIRST_S << doublings).min(LONGEST_S)
}

/// Has the failed ones of these messages of the queue come again soon. What fails is told, and comes when the queue gives it back.
pub async fn come_again(
    sqs: &aws_sdk_sqs::Client,
    queue_url: &str,
    messages: &[SqsMessage],
    failed: &[String],
) {
    let again =
        |message: &&SqsMessage| message.message_id.as_ref().is_some_and(|id| failed.contains(id));
    let entries = messages.iter().filter(again).enumerate().filter_map(|(at, message)| {
        let receives = message.attributes.get("ApproximateReceiveCount");
        let receives = receives.and_then(|text| text.parse().ok()).unwrap_or(1);
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
            .id(at.to_string())
            .receipt_handle(message.receipt_handle.as_ref()?)
            .visibility_timeout(delay_s(receives));
        entry.build().ok()
    });
    let entries = entries.collect::<Vec<_>>();
    for some in entries.chunks(BATCH) {
        let call = sqs.change_message_visibility_batch().queue_url(queue_url);
        match call.set_entries(Some(some.to_vec())).send().await {
            Ok(answer) if answer.failed().is_empty() => {}
            Ok(answer) => {
                let refused = answer.failed().len();
                tracing::warn!(refused, "messages come again only when the queue gives them back");
            }
            Err(error) => {
                let error = redacted(&DisplayErrorContext(error).to_string());
                tracing::warn!(error, "messages come again only when the queue gives them back");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_time() {
        let check = |receives, expected| assert_eq!(delay_s(receives), expected, "{receives}");
        check(0, 2);
        check(1, 2);
        check(2, 4);
        check(3, 8);
        check(5, 32);
        check(6, 60);
        check(u32::MAX, 60);
        // Before the queue gives up, after eight times, a warning's two minutes are over.
        assert!((1..8).map(delay_s).sum::<i32>() >= 120);
    }
}
