//! Pods that the kube-scheduler could not place, and other changes that the webhook tells of.

use lambda_runtime::Error;
use runtime::doors::{Door, serve};

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(Door::PendingPods).await
}
