//! Production code against real parts: functions whose every call can be counted, cut or bent, in a world that can be looked at.

#![allow(dead_code, unused_imports, reason = "each test binary uses its part of this")]

mod stack;
mod wire;
mod world;

pub(crate) use wire::{Answered, Call, When, Wire};
pub(crate) use world::{
    CLASSES, CONFIG_MAPS, Ended, Function, POOLS, Seen, World, class, is_true, pool, text,
};
