//! `landfall check`: every error of every host of the site, in one run.

use super::context::Context;
use super::failure::Failure;
use clap::Args;
use landfall_hosts::site::{self, Problem, Problems, Severity, why};

/// How to tell it.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// As JSON, on standard output
    #[arg(long)]
    json: bool,
}

/// Checks the site.
///
/// # Errors
/// When the site has an error; what it is was said before.
pub fn run(args: &CheckArgs, context: &Context) -> Result<(), Failure> {
    let dir = context.site_dir()?;
    let (mut problems, hosts) = match site::load(&dir) {
        Ok(site) => (site.check(), site.hosts().len()),
        Err(Problems(problems)) => (problems, 0),
    };
    problems.extend(super::vault::notes(&dir));
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let errors = count(Severity::Error);
    if args.json {
        println!("{:#}", why::problems_json(&problems)?);
    } else {
        say(&problems, context);
        println!(
            "{hosts} hosts: {errors} errors, {} warnings, {} notes",
            count(Severity::Warning),
            count(Severity::Note)
        );
    }
    if errors > 0 { Err(Failure::Said(2)) } else { Ok(()) }
}

/// Tells problems to the person; with `--quiet`, errors alone.
pub fn say(problems: &[Problem], context: &Context) {
    for problem in problems.iter().filter(|problem| problem.is_error() || !context.quiet) {
        eprintln!("{problem}");
    }
}
