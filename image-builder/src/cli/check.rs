//! `landfall check`: every error of every host of the site, in one run.

mod known;

use super::context::Context;
use super::failure::Failure;
use super::vault;
use clap::Args;
use landfall_debian::cache::Cache;
use landfall_hosts::site::{self, Problem, Problems, Severity, Site, why};
use std::path::Path;

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
    let (problems, hosts) = match site::load(&dir) {
        Ok(site) => (every_problem(&site, &dir, context), site.hosts().len()),
        Err(Problems(problems)) => (problems, 0),
    };
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let errors = count(Severity::Error);
    if args.json {
        println!("{:#}", why::problems_json(&problems)?);
    } else {
        say(&problems, context);
        let (warnings, notes) = (count(Severity::Warning), count(Severity::Note));
        println!(
            "{}: {}, {}, {}",
            counted(hosts, "host"),
            counted(errors, "error"),
            counted(warnings, "warning"),
            counted(notes, "note")
        );
    }
    if errors > 0 { Err(Failure::Said(2)) } else { Ok(()) }
}

fn every_problem(site: &Site, dir: &Path, context: &Context) -> Vec<Problem> {
    let mut problems = site.check();
    // Where no cache can be, nothing was ever fetched, so no index knows a package.
    if let Ok(cache) = context.cache_dir() {
        problems.extend(known::unknown_packages(site, dir, &Cache::new(cache)));
    }
    problems.extend(vault::notes(dir));
    Problems(problems).tidy().0
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Tells problems to the person; with `--quiet`, errors alone.
pub fn say(problems: &[Problem], context: &Context) {
    for problem in problems.iter().filter(|problem| problem.is_error() || !context.quiet) {
        eprintln!("{problem}");
    }
}
