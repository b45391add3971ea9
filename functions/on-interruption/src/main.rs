//! What EC2 and AWS Health tell of instances.

use lambda_runtime::Error;
use runtime::doors::{Door, serve};

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(Door::Interruption).await
}
