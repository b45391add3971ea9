//! Steps, one after another.

use crate::change::{Change, Verb};
use crate::problem::Problem;
use crate::site::Site;
use crate::steps::Step;
use thiserror::Error;

/// A step that failed; those after it were not begun.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("step {step}: {problem}")]
pub struct StepError {
    /// The step's name.
    pub step: &'static str,
    /// Why.
    pub problem: Problem,
}

/// What is told while steps run.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A step begins.
    Begins {
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// Its name.
        step: &'static str,
    },
    /// What it finds, and what it makes of it.
    Found(&'a Change),
    /// How far it is.
    Progress(&'a str),
    /// It is done; `changed` tells whether anything was to be done.
    Done {
        /// Its name.
        step: &'static str,
        /// Whether it was carried out.
        changed: bool,
    },
}

/// Who is told.
pub type Tell<'a> = &'a dyn Fn(Event<'_>);

/// Looks at every step and changes nothing. Returns how many objects would change.
///
/// # Errors
/// The first step that cannot look; else, when all have looked, the first that found a conflict.
pub async fn look(
    steps: &[Box<dyn Step>],
    site: &Site,
    tell: Tell<'_>,
) -> Result<usize, StepError> {
    let (mut changes, mut stopped) = (0, None);
    for (index, step) in steps.iter().enumerate() {
        tell(Event::Begins { number: index + 1, of: steps.len(), step: step.name() });
        let found = looked(step.as_ref(), site, tell).await?;
        changes += found.iter().filter(|change| change.verb != Verb::Keep).count();
        stopped = stopped.or(conflict(step.name(), &found));
    }
    stopped.map_or(Ok(changes), Err)
}

/// Carries out every step that finds something to do, looking anew just before.
///
/// # Errors
/// The first step that fails or finds a conflict; the same call again goes on there.
pub async fn carry_out(
    steps: &[Box<dyn Step>],
    site: &Site,
    tell: Tell<'_>,
) -> Result<(), StepError> {
    for (index, step) in steps.iter().enumerate() {
        tell(Event::Begins { number: index + 1, of: steps.len(), step: step.name() });
        let found = looked(step.as_ref(), site, tell).await?;
        if let Some(error) = conflict(step.name(), &found) {
            return Err(error);
        }
        let changed = step.proves() || found.iter().any(|change| change.verb != Verb::Keep);
        if changed {
            let progress = |text: &str| tell(Event::Progress(text));
            let done = step.carry_out(site, &found, &progress).await;
            done.map_err(|problem| StepError { step: step.name(), problem })?;
        }
        tell(Event::Done { step: step.name(), changed });
    }
    Ok(())
}

async fn looked(step: &dyn Step, site: &Site, tell: Tell<'_>) -> Result<Vec<Change>, StepError> {
    let looked = step.look(site).await;
    let found = looked.map_err(|problem| StepError { step: step.name(), problem })?;
    found.iter().for_each(|change| tell(Event::Found(change)));
    Ok(found)
}

/// Why the step may not go on.
fn conflict(step: &'static str, found: &[Change]) -> Option<StepError> {
    let mut conflicts = found.iter().filter(|change| change.verb == Verb::Conflict);
    let first = conflicts.next()?;
    let todo = match conflicts.count() {
        0 => "nothing of this step was changed".to_owned(),
        more => format!("nothing of this step was changed ({more} more like this above)"),
    };
    let problem = Problem::conflict(first.object.clone(), first.detail.clone(), todo);
    Some(StepError { step, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conflicts_are_counted_and_the_first_is_named() {
        let found = [
            Change::keep("a", ""),
            Change::conflict("b", "it is c; do d"),
            Change::conflict("e", "it is f"),
        ];
        let told = conflict("tags", &found).unwrap().to_string();
        assert_eq!(
            told,
            "step tags: b: it is c; do d; nothing of this step was changed (1 more like this above)"
        );
        assert_eq!(conflict("tags", &found[..1]), None);
    }
}
