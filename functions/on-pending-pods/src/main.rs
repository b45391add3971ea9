//! on-pending-pods.

fn main() {}
