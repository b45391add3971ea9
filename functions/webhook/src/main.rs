//! The server in the cluster: watches pods, nodes, pools and classes, knocks on the event bus when one of them needs a look,
//! and validates pools and classes when they are applied. It decides nothing: what a knock means is read from the cluster by the
//! function that it wakes. Two replicas run; the leader knocks, both validate.

mod admission;
mod batch;
mod board;
mod bus;
mod certificate;
mod clock;
mod defaults;
mod election;
mod http;
mod keeper;
mod kinds;
mod knock;
mod knocker;
mod lease;
mod metrics;
mod options;
mod outbox;
mod run;
mod server;
#[cfg(test)]
mod testing;
mod watches;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = <options::Options as clap::Parser>::parse();
    run::log();
    run::run(options).await
}
