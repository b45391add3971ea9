//! webhook.

fn main() {}
