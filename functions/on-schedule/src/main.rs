//! The minute's tick, and what earlier turns asked to look at again.

use lambda_runtime::Error;
use runtime::doors::{Door, serve};

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(Door::Schedule).await
}
