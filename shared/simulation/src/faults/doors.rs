//! What reaches Joiner: the webhook's knocks, AWS's events, ticks and follow-ups, through queues that may lose, double and delay.

use super::event::{Door, Event, Message, TurnId};
use super::turn::Turn;
use super::world::World;
use crate::SimTime;
use std::collections::BTreeMap;

/// The webhook waits for quiet this long, and at most so long (design: idle 1 s, at most 10 s).
const IDLE_MS: i64 = 1_000;
const LONGEST_MS: i64 = 10_000;
/// A message whose function failed comes again after so many milliseconds.
const COMES_AGAIN_MS: i64 = 60_000;

/// Queues, and the webhook's window.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: BTreeMap<Door, Vec<Message>>,
    opened_at: Option<SimTime>,
    window: u64,
}

impl World {
    /// A pod was newly found unschedulable: the webhook's window opens, or stays open a little longer.
    pub(super) fn open_window(&mut self) {
        let opened_at = *self.inbox.opened_at.get_or_insert(self.now);
        let closes = self.now.plus_ms(IDLE_MS).min(opened_at.plus_ms(LONGEST_MS));
        self.inbox.window += 1;
        self.events.push(closes, Event::WindowCloses(self.inbox.window));
    }

    pub(super) fn close_window(&mut self, window: u64) {
        if window == self.inbox.window {
            self.inbox.opened_at = None;
            self.send(300, Message::PodsPending);
        }
    }

    /// The minute's tick.
    pub(super) fn tick(&mut self) {
        self.after_ms(60_000, Event::Minute);
        self.send(200, Message::Tick);
        self.check_world();
    }

    /// An event or message on its way to its queue; the bus may lose, double or delay it.
    pub(super) fn send(&mut self, after_ms: i64, message: Message) {
        if self.happens(self.odds.lost) {
            return self.log.say(self.now, || format!("lost: {message:?}"));
        }
        let copies = if self.happens(self.odds.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            let late = self.happens(self.odds.late);
            let late_ms = if late { self.random.between(1_000, 120_000) } else { 0 };
            self.after_ms(after_ms + late_ms, Event::Arrives(message));
        }
    }

    /// A delayed message of the queue, which is never lost but may come twice.
    pub(super) fn send_follow_up(&mut self, after_s: i64) {
        let copies = if self.happens(self.odds.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            self.after_ms(after_s.max(0) * 1000 + 100, Event::Arrives(Message::FollowUp));
        }
    }

    pub(super) fn message_arrives(&mut self, message: Message) {
        let waiting = self.inbox.waiting.entry(message.door()).or_default();
        waiting.push(message);
        if waiting.len() == 1 {
            let (least, most) = self.setup.pace.window;
            let window_ms = self.random.between(least, most);
            self.after_ms(window_ms, Event::Invoked(message.door()));
        }
    }

    /// A function is invoked with what came together.
    pub(super) fn invoke(&mut self, door: Door) {
        let mut messages = self.inbox.waiting.remove(&door).unwrap_or_default();
        messages.sort();
        messages.dedup();
        self.turns_begun += 1;
        let id = TurnId(self.turns_begun);
        let skew_s = self.random.between(-self.odds.skew_s, self.odds.skew_s);
        let turn = Turn::new(id, door, messages, skew_s);
        self.log.say(self.now, || format!("turn {} begins: {:?}", id.0, turn.messages));
        self.turns.insert(id, turn);
        self.send_calls(id);
    }

    /// The function failed: the queue gives its messages again.
    pub(super) fn give_again(&mut self, messages: Vec<Message>) {
        for message in messages {
            self.after_ms(COMES_AGAIN_MS, Event::Arrives(message));
        }
    }
}
