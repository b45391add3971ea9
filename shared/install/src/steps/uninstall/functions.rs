//! The functions stop: nothing wakes them any more, and what runs is waited for.

use crate::calls::{LAMBDA_LIST_EVENT_SOURCE_MAPPINGS, LAMBDA_UPDATE_EVENT_SOURCE_MAPPING};
use crate::change::Change;
use crate::problem::Problem;
use crate::problem_of::{code, of_aws};
use crate::release::FUNCTIONS;
use crate::site::Site;
use crate::steps::{Changes, Done, Progress, Work};
use std::time::Duration;

/// How often a queue's end is asked for, and for how long.
const PAUSE: Duration = Duration::from_millis(500);
const ATTEMPTS: u32 = 240;

/// The functions' event sources.
pub(in crate::steps) struct Functions;

/// One queue that wakes a function.
struct Source {
    function: String,
    id: String,
    state: String,
}

impl Source {
    fn is_off(&self) -> bool {
        self.state == "Disabled"
    }
}

impl Work for Functions {
    fn name(&self) -> &'static str {
        "functions"
    }

    async fn look(&self, site: &Site) -> Changes {
        let sources = sources(site).await?;
        let change = |source: &Source| match source.is_off() {
            true => Change::keep(source.function.clone(), "nothing wakes it"),
            false => Change::update(source.function.clone(), "its queue no longer wakes it"),
        };
        Ok(sources.iter().map(change).collect())
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        for source in sources(site).await?.iter().filter(|source| !source.is_off()) {
            stop(site, source).await?;
        }
        for _ in 0..ATTEMPTS {
            if sources(site).await?.iter().all(Source::is_off) {
                return Ok(());
            }
            progress("waits until the queues are off");
            crate::pause::pause(PAUSE).await;
        }
        let todo = "run the same command again";
        Err(Problem::unfinished("functions", "their queues are not off after two minutes", todo))
    }
}

async fn sources(site: &Site) -> Result<Vec<Source>, Problem> {
    let mut sources = Vec::new();
    for name in FUNCTIONS {
        let function = format!("joiner-{}-{name}", site.cluster);
        let asked = site.aws.lambda.list_event_source_mappings().function_name(&function);
        let found = match asked.send().await {
            Ok(answer) => answer.event_source_mappings.unwrap_or_default(),
            Err(error) if code(&error) == "ResourceNotFoundException" => Vec::new(),
            Err(error) => return Err(of_aws(LAMBDA_LIST_EVENT_SOURCE_MAPPINGS, function, &error)),
        };
        sources.extend(found.into_iter().map(|mapping| Source {
            function: function.clone(),
            id: mapping.uuid.unwrap_or_default(),
            state: mapping.state.unwrap_or_default(),
        }));
    }
    Ok(sources)
}

async fn stop(site: &Site, source: &Source) -> Result<(), Problem> {
    let asked = site.aws.lambda.update_event_source_mapping().uuid(&source.id).enabled(false);
    match asked.send().await {
        Ok(_) => Ok(()),
        // It is being changed already: by the run before, which was stopped.
        Err(error) if code(&error) == "ResourceInUseException" => Ok(()),
        Err(error) => Err(of_aws(LAMBDA_UPDATE_EVENT_SOURCE_MAPPING, &source.function, &error)),
    }
}
