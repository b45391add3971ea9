//! Bringing a warm copy up to date by what a watch sends first.
//!
//! A watch from the copy's version sends all that changed since, at once, and then goes on with what changes later; it does not say
//! where the one ends and the other begins. (Kubernetes marks that end only for a watch that repeats every object,
//! `sendInitialEvents`; and a bookmark comes once a minute, or 2 s before a watch's own end.) So the end is found like this:
//!
//! 1. A consistent list of one object comes first. Its version is the present one, and the server's watch cache holds it by then
//!    (ConsistentListFromCache; kubernetes/apiserver, storage/cacher): all that changed up to there is in memory when the watch begins,
//!    and is sent without waiting for anything.
//! 2. Events are taken up to that version, so that kinds read one after the other stay in that order. One beyond it, or a bookmark
//!    that reaches it, ends the burst; otherwise a quiet gap does.
//! 3. The number of objects must then be what the list told: until it is, a silence is waited out for a while. Anything odd (another count, an error, a version that is gone, an early
//!    end) makes the copy worthless, and all objects are listed.
//!
//! A stall in the middle of a burst that leaves the count right gives the state of a moment before, whole in itself: events come in order.

use super::api::{Answer, Api, Target};
use super::error::ClusterReadError;
use super::mask::parse_event;
use super::store::{Mark, Store};
use serde_json::Value;
use std::time::Duration;

/// How long a burst may be silent before it counts as ended.
const QUIET: Duration = Duration::from_millis(30);
/// How many silences in a row are waited for while the count is not what it must be: a busy server may pause.
const PATIENCE: u32 = 20;
/// When the server ends the watch, should we not.
const WATCH_S: u32 = 30;

/// How often a watch that the server ends is gone on with.
const MOST_WATCHES: u32 = 100;

/// What one watch gave.
enum Taken {
    /// All up to this version.
    All(u64),
    /// The server ended it after this version.
    Until(u64),
    Odd,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// The copy is up to date.
    Whole,
    /// It is not to be trusted.
    Odd,
}

impl Store {
    /// Brings the copy up to date, at least up to the mark if there is one. On anything odd, and on errors, a full list is due.
    pub(crate) async fn resume(
        &mut self,
        api: &Api,
        mark: Option<Mark>,
    ) -> Result<Resumed, ClusterReadError> {
        let Some(from) = self.version() else { return Ok(Resumed::Odd) };
        if mark.is_some_and(|mark| mark.version < from) {
            // A server restored from a backup.
            self.distrust();
            return Ok(Resumed::Odd);
        }
        let reached = self.take_burst(api, from, mark).await;
        match reached {
            Ok(Some(version)) if self.is_complete(mark) => {
                self.confirm(mark.map_or(version, |mark| mark.version), api);
                Ok(Resumed::Whole)
            }
            other => {
                self.distrust();
                other.map(|_| Resumed::Odd)
            }
        }
    }

    /// Whether there are as many objects as the mark says.
    fn is_complete(&self, mark: Option<Mark>) -> bool {
        mark.and_then(|mark| mark.count).is_none_or(|count| count == self.len())
    }

    /// The last version taken; `None` if the burst was odd. A server ends a watch that cannot follow what changes while its burst
    /// is sent (storage/cacher, `forget`): it is gone on with from where it came to, as long as it comes further.
    async fn take_burst(
        &mut self,
        api: &Api,
        from: u64,
        mark: Option<Mark>,
    ) -> Result<Option<u64>, ClusterReadError> {
        let mut begin = from;
        for _ in 0..MOST_WATCHES {
            match self.take_stream(api, begin, mark).await? {
                Taken::All(reached) => return Ok(Some(reached)),
                Taken::Until(reached) if reached > begin => begin = reached,
                Taken::Until(_) | Taken::Odd => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn take_stream(
        &mut self,
        api: &Api,
        from: u64,
        mark: Option<Mark>,
    ) -> Result<Taken, ClusterReadError> {
        let target = self.target("watch");
        let path = self.address(&format!(
            "watch=1&resourceVersion={from}&allowWatchBookmarks=true&timeoutSeconds={WATCH_S}"
        ));
        let mut lines = Lines::new(match api.get(target, &path).await {
            Err(ClusterReadError::Gone { .. }) => return Ok(Taken::Odd),
            answer => answer?,
        });
        let (mut reached, mut silences) = (from, 0);
        loop {
            if mark.is_some_and(|mark| reached >= mark.version) {
                return Ok(Taken::All(reached));
            }
            let line = match lines.next(target).await? {
                Next::Line(line) => line,
                Next::Quiet if self.is_complete(mark) => return Ok(Taken::All(reached)),
                Next::Quiet if silences < PATIENCE => {
                    silences += 1;
                    continue;
                }
                Next::Quiet => return Ok(Taken::Odd),
                Next::End => return Ok(Taken::Until(reached)),
            };
            silences = 0;
            match self.take_event(&line, mark) {
                Some(version) => reached = version,
                None => return Ok(Taken::Odd),
            }
        }
    }

    /// Takes one event, unless it comes after the mark; its version, or `None` if it is odd.
    fn take_event(&mut self, line: &[u8], mark: Option<Mark>) -> Option<u64> {
        let (kind, object) = parse_event(line, self.kind.mask).ok()?;
        let version = version(&object)?;
        let later = mark.is_some_and(|mark| version > mark.version);
        match kind.as_str() {
            "BOOKMARK" => {}
            _ if later => {}
            "ADDED" | "MODIFIED" => self.put(object),
            "DELETED" => self.remove(&object),
            _ => return None,
        }
        Some(version)
    }
}

fn version(object: &Value) -> Option<u64> {
    object.get("metadata")?.get("resourceVersion")?.as_str()?.parse().ok()
}

/// The lines of an answer as they come.
struct Lines<'a> {
    answer: Answer<'a>,
    buffer: Vec<u8>,
}

enum Next {
    Line(Vec<u8>),
    /// Nothing came for a while.
    Quiet,
    /// The server ended the answer.
    End,
}

impl<'a> Lines<'a> {
    fn new(answer: Answer<'a>) -> Self {
        Self { answer, buffer: Vec::new() }
    }

    async fn next(&mut self, target: Target<'_>) -> Result<Next, ClusterReadError> {
        let mut searched = 0;
        loop {
            let end = self.buffer[searched..].iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let rest = self.buffer.split_off(searched + end + 1);
                return Ok(Next::Line(std::mem::replace(&mut self.buffer, rest)));
            }
            searched = self.buffer.len();
            // Half a line is no quiet: the rest of it is on its way.
            let part = if self.buffer.is_empty() {
                match self.answer.part_within(target, QUIET).await {
                    Ok(part) => part?,
                    Err(_) => return Ok(Next::Quiet),
                }
            } else {
                self.answer.part(target).await?
            };
            match part {
                Some(part) => self.buffer.extend_from_slice(&part),
                None => return Ok(Next::End),
            }
        }
    }
}
