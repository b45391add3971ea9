//! Packs problem files as an upstream-like packer would, one tab-separated line each.

use joiner_simulation::baseline::problem::Problem;
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("problem\tcost_usd_h\tnodes\tunscheduled");
    let mut code = ExitCode::SUCCESS;
    for path in std::env::args().skip(1) {
        match line(&path) {
            Ok(line) => println!("{line}"),
            Err(error) => {
                eprintln!("{path}: {error}");
                code = ExitCode::from(2);
            }
        }
    }
    code
}

fn line(path: &str) -> Result<String, Box<dyn std::error::Error>> {
    let problem = Problem::from_bytes(&std::fs::read(path)?)?;
    let answer = problem.answer()?;
    Ok(format!(
        "{}\t{:.4}\t{}\t{}",
        problem.name,
        answer.cost.usd(),
        answer.nodes,
        answer.unscheduled
    ))
}
