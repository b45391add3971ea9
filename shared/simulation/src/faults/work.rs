//! What a function has yet to do: calls one after the other, or some of them at once, as the futures of `execute` are.

use super::turn::Call;
use std::collections::VecDeque;

/// A call on its way, by number.
pub(super) type SentId = usize;

/// Work of a function.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// A call that is not sent yet.
    Call(Call),
    /// A call on its way.
    Sent(SentId),
    /// One after the other, whatever becomes of each.
    Sequence(VecDeque<Work>),
    /// One after the other; the first that fails ends it.
    Run(VecDeque<Work>),
    /// So many at once, as `buffered` has it: the next begins when the first is done.
    AtOnce(usize, VecDeque<Work>),
}

impl Work {
    /// Nothing.
    pub(super) fn none() -> Self {
        Self::Sequence(VecDeque::new())
    }

    /// One after the other.
    pub(super) fn sequence(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::Sequence(parts.into_iter().collect())
    }

    /// One after the other, until one fails.
    pub(super) fn run(calls: impl IntoIterator<Item = Call>) -> Self {
        Self::Run(calls.into_iter().map(Self::Call).collect())
    }

    /// So many at once.
    pub(super) fn at_once(most: usize, parts: impl IntoIterator<Item = Self>) -> Self {
        Self::AtOnce(most, parts.into_iter().collect())
    }

    /// Whether nothing is left, neither to be sent nor to be answered.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Call(_) | Self::Sent(_) => false,
            Self::Sequence(parts) | Self::Run(parts) | Self::AtOnce(_, parts) => {
                parts.iter().all(Self::is_done)
            }
        }
    }

    /// Takes the calls that are to be sent now; each is told its number.
    pub(super) fn send(&mut self, next: &mut SentId) -> Vec<(SentId, Call)> {
        match self {
            Self::Call(call) => {
                *next += 1;
                let call = call.clone();
                *self = Self::Sent(*next);
                vec![(*next, call)]
            }
            Self::Sent(_) => Vec::new(),
            Self::Sequence(parts) | Self::Run(parts) => {
                drop_done(parts);
                parts.front_mut().map(|part| part.send(next)).unwrap_or_default()
            }
            Self::AtOnce(most, parts) => {
                drop_done(parts);
                parts.iter_mut().take(*most).flat_map(|part| part.send(next)).collect()
            }
        }
    }

    /// The call has ended, and this follows from it. `None` if it is not of this work, else whether all is well so far.
    pub(super) fn end(
        &mut self,
        id: SentId,
        well: bool,
        follows: &mut Option<Self>,
    ) -> Option<bool> {
        match self {
            Self::Call(_) => None,
            Self::Sent(own) if *own != id => None,
            Self::Sent(_) => {
                *self = follows.take().unwrap_or_else(Self::none);
                Some(well)
            }
            Self::Sequence(parts) => {
                parts.front_mut()?.end(id, well, follows)?;
                drop_done(parts);
                Some(true)
            }
            Self::Run(parts) => {
                let well = parts.front_mut()?.end(id, well, follows)?;
                if !well {
                    parts.clear();
                }
                drop_done(parts);
                Some(well)
            }
            Self::AtOnce(most, parts) => {
                let mut begun = parts.iter_mut().take(*most);
                begun.find_map(|part| part.end(id, well, follows))?;
                drop_done(parts);
                Some(true)
            }
        }
    }
}

fn drop_done(parts: &mut VecDeque<Work>) {
    while parts.front().is_some_and(Work::is_done) {
        parts.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: usize) -> Work {
        Work::Call(Call::Fleet(number))
    }

    /// Sends and ends calls in the order in which they are sent, `fails` of them badly: the rounds in which they were sent.
    fn check(mut work: Work, fails: &[usize], expected: &[&[usize]]) {
        let (mut next, mut rounds) = (0, Vec::new());
        loop {
            let sent = work.send(&mut next);
            let numbers = sent.iter().filter_map(|(_, call)| {
                let Call::Fleet(number) = call else { return None };
                Some(*number)
            });
            let numbers = numbers.collect::<Vec<_>>();
            if sent.is_empty() {
                break;
            }
            for ((id, _), number) in sent.iter().zip(&numbers) {
                assert!(work.end(*id, !fails.contains(number), &mut None).is_some());
            }
            rounds.push(numbers);
        }
        assert!(work.is_done());
        assert_eq!(rounds, expected);
    }

    #[test]
    fn calls_are_sent_as_futures_are_polled() {
        check(Work::sequence([call(1), call(2)]), &[1], &[&[1], &[2]]);
        check(Work::Run([call(1), call(2)].into()), &[1], &[&[1]]);
        check(Work::at_once(2, [call(1), call(2), call(3)]), &[1], &[&[1, 2], &[3]]);
        let lanes = [Work::Run([call(1), call(2)].into()), Work::sequence([call(3), call(4)])];
        check(Work::at_once(2, lanes), &[1, 3], &[&[1, 3], &[4]]);
        check(Work::sequence([Work::at_once(2, []), Work::none(), call(1)]), &[], &[&[1]]);
        check(Work::none(), &[], &[]);
    }

    #[test]
    fn what_follows_from_a_call_takes_its_place() {
        let mut work = Work::sequence([call(1), call(9)]);
        let mut next = 0;
        let (id, _) = work.send(&mut next).remove(0);
        assert_eq!(work.end(id, true, &mut Some(call(2))), Some(true));
        let sent = work.send(&mut next);
        assert!(matches!(sent[..], [(2, Call::Fleet(2))]));
    }

    #[test]
    fn the_next_begins_when_the_first_is_done() {
        let mut work = Work::at_once(2, [call(1), call(2), call(3)]);
        let mut next = 0;
        work.send(&mut next);
        work.end(2, true, &mut None);
        assert!(work.send(&mut next).is_empty());
        work.end(1, true, &mut None);
        assert_eq!(work.send(&mut next).len(), 1);
    }
}
