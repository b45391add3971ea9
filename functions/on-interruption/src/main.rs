//! on-interruption.

fn main() {}
