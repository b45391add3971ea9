//! Production code against real parts: functions whose every call can be counted, cut or bent, in a world that can be looked at.

#![allow(dead_code, unused_imports, reason = "each test binary uses its part of this")]

mod objects;
mod seen;
mod stack;
mod wire;
mod world;

pub(crate) use objects::{class, deployment, pool};
pub(crate) use seen::{Seen, instance_of, is_true, text};
pub(crate) use wire::{Answered, Call, When, Wire};
pub(crate) use world::{
    BUDGETS, CLAIMS, CLASSES, CONFIG_MAPS, DEPLOYMENTS, Ended, Function, NODES, POOLS,
    PROVISIONERS, World,
};
