//! What the subcommands about an installation share: whose it is, and telling what its steps say.

pub(crate) mod install;
pub(crate) mod preflight;
pub(crate) mod rotate_system_nodes;
pub(crate) mod uninstall;
pub(crate) mod update;
pub(crate) mod verify;

use super::style::Style;
use ::install::{Event, Options, Problem, Site, Step, Verb};
use anyhow::{Context, Result, bail};
use aws_config::BehaviorVersion;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The steps of a subcommand.
pub(crate) type Steps = Vec<Box<dyn Step>>;

/// Whose installation it is.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct SiteArguments {
    /// The EKS cluster
    #[arg(long, value_name = "NAME", env = "CLUSTER_NAME", default_value = "")]
    pub(crate) cluster: String,
    /// The name of the cluster's VPC, which pools find their subnets and groups by; its tag Name if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) vpc: Option<String>,
    /// The kubeconfig context to reach the cluster by; EKS itself if neither this nor --kubeconfig is given
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The kubeconfig file to reach the cluster by
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The role of the nodes, if it is neither in the instance profile <vpc>_EKS_workers nor that of all node groups
    #[arg(long, value_name = "NAME")]
    pub(crate) node_role: Option<String>,
    /// The proxy by which the webhook, and functions in the VPC, reach AWS: http://HOST:PORT, or none; found by what runs in the cluster if the VPC has no other way out
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
}

/// Which pools and classes there are to be.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct PoolArguments {
    /// Also make the pool that takes Arm nodes; once made it stays until --arm=false
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) arm: Option<bool>,
    /// Also make the pools of nodes with accelerators; once made they stay until --gpu=false
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) gpu: Option<bool>,
    /// A directory with pools and classes, instead of the base ones; VPC_NAME in them becomes the VPC's name
    #[arg(long, value_name = "DIR")]
    pub(crate) config: Option<PathBuf>,
    /// Take back what was changed in the cluster since it was applied
    #[arg(long)]
    pub(crate) overwrite: bool,
}

impl PoolArguments {
    /// The options with these.
    pub(crate) fn add_to(&self, options: Options) -> Options {
        let (arm, gpu, overwrite) = (self.arm, self.gpu, self.overwrite);
        Options { arm, gpu, overwrite, config: self.config.clone(), ..options }
    }
}

/// What is done about changes.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(crate) struct Consent {
    /// Show what every step finds and would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before changing anything
    #[arg(long)]
    pub(crate) yes: bool,
}

impl SiteArguments {
    /// The site's part of the options.
    pub(crate) fn options(&self) -> Options {
        Options {
            cluster: self.cluster.clone(),
            vpc: self.vpc.clone(),
            context: self.context.clone(),
            kubeconfig: self.kubeconfig.clone(),
            node_role: self.node_role.clone(),
            proxy: self.proxy.clone(),
            ..Options::default()
        }
    }
}

/// Finds the site, asks for consent, and runs the steps. 0: done, or nothing to do; 1: a step failed or consent was not given; 2: what
/// was given cannot be used.
pub(crate) fn run(options: Options, consent: Consent, steps: &Steps) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime cannot be started")?.block_on(async {
        let site = match find(options).await {
            Ok(site) => site,
            Err(problem) => return Ok(failed("site", &problem)),
        };
        if consent.dry_run {
            return Ok(looked(&site, steps).await.map_or_else(|code| code, |_| ExitCode::SUCCESS));
        }
        if !consent.yes {
            match looked(&site, steps).await {
                Ok(0) => {}
                Ok(changes) if !agreed(changes)? => return Ok(ExitCode::FAILURE),
                Ok(_) => {}
                Err(code) => return Ok(code),
            }
        }
        let told = Telling::new();
        match ::install::carry_out(steps, &site, &|event| told.tell(event)).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => Ok(failed(error.step, &error.problem)),
        }
    })
}

/// The site of these options, by the configuration of AWS that is there.
pub(crate) async fn find(options: Options) -> Result<Site, Problem> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    Site::find(&config, options).await
}

async fn looked(site: &Site, steps: &Steps) -> Result<usize, ExitCode> {
    let told = Telling::new();
    match ::install::look(steps, site, &|event| told.tell(event)).await {
        Ok(changes) => {
            println!("{} would change.", super::layout::count(changes, "object"));
            Ok(changes)
        }
        Err(error) => Err(failed(error.step, &error.problem)),
    }
}

/// Tells why nothing more is done. What was given wrongly is usage, anything else a failure.
pub(crate) fn failed(step: &str, problem: &Problem) -> ExitCode {
    eprintln!("joiner: step {step}: {problem}");
    match problem {
        Problem::Input { .. } => ExitCode::from(2),
        Problem::Throttled { .. }
        | Problem::Denied { .. }
        | Problem::Credentials { .. }
        | Problem::NotFound { .. }
        | Problem::Conflict { .. }
        | Problem::Unreachable { .. }
        | Problem::Refused { .. }
        | Problem::Unfinished { .. } => ExitCode::FAILURE,
    }
}

fn agreed(changes: usize) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "there is nobody to ask; say --yes to change {changes} objects, or --dry-run to see them"
        );
    }
    print!("Change them? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Prints what steps tell, a line each.
struct Telling {
    style: Style,
}

impl Telling {
    fn new() -> Self {
        Self { style: Style::of_terminal() }
    }

    fn tell(&self, event: Event<'_>) {
        match event {
            Event::Begins { number, of, step } => {
                println!("{}", self.style.bold(&format!("[{number}/{of}] {step}")));
            }
            Event::Found(change) => {
                let line = change.to_string();
                println!(
                    "  {}",
                    match change.verb {
                        Verb::Keep => self.style.dim(&line),
                        Verb::Conflict => self.style.bad(&line),
                        Verb::Create | Verb::Update | Verb::Remove => line,
                    }
                );
            }
            Event::Progress(text) => println!("  ... {text}"),
            Event::Done { step, changed: true } => println!("  {step} is done"),
            Event::Done { changed: false, .. } => {
                println!("{}", self.style.dim("  nothing to change"));
            }
        }
    }
}
