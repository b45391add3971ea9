//! Taking nodes away. For now only those that have been empty for long enough go.

mod budgets;
mod emptiness;

pub(crate) use emptiness::{busy, emptiness};
