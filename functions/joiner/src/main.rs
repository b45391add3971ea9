//! The operator's command.

mod commands;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match commands::run(commands::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("joiner: {error:#}");
            ExitCode::from(2)
        }
    }
}
