//! on-schedule.

fn main() {}
