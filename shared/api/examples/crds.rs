//! Prints the CustomResourceDefinitions as one List in JSON: `cargo run -p joiner-api --example crds | kubectl apply -f -`.

use serde_json::json;

fn main() {
    let items = joiner_api::custom_resource_definitions();
    println!("{}", json!({ "apiVersion": "v1", "kind": "List", "items": items }));
}
