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
/// The first step that cannot look, or that finds a conflict.
pub async fn look(
    steps: &[Box<dyn Step>],
    site: &Site,
    tell: Tell<'_>,
) -> Result<usize, StepError> {
    let mut changes = 0;
    for (index, step) in steps.iter().enumerate() {
        tell(Event::Begins { number: index + 1, of: steps.len(), step: step.name() });
        let found = looked(step.as_ref(), site, tell).await?;
        changes += found.iter().filter(|change| change.verb != Verb::Keep).count();
    }
    Ok(changes)
}

/// Carries out every step that finds something to do, looking anew just before.
///
/// # Errors
/// The first step that fails; the same call again goes on there.
pub async fn carry_out(
    steps: &[Box<dyn Step>],
    site: &Site,
    tell: Tell<'_>,
) -> Result<(), StepError> {
    for (index, step) in steps.iter().enumerate() {
        tell(Event::Begins { number: index + 1, of: steps.len(), step: step.name() });
        let found = looked(step.as_ref(), site, tell).await?;
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
    let failed = |problem| StepError { step: step.name(), problem };
    let found = step.look(site).await.map_err(failed)?;
    found.iter().for_each(|change| tell(Event::Found(change)));
    match found.iter().find(|change| change.verb == Verb::Conflict) {
        Some(conflict) => Err(failed(Problem::conflict(
            conflict.object.clone(),
            conflict.detail.clone(),
            "nothing of this step was changed",
        ))),
        None => Ok(found),
    }
}
