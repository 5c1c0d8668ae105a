//! `landfall show HOST`: the merged host, and who set what.

use super::check::say;
use super::context::Context;
use super::failure::Failure;
use clap::Args;
use landfall_hosts::site::{self, Effect, Resolved, Setting, why};

/// Which host, and how to show it.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Name of the host
    host: String,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Which file and line set KEY, and what that overrode (locale.lang, packages.git, users)
    #[arg(long, value_name = "KEY")]
    why: Option<String>,
    /// As it comes out with these profiles, whatever the hardware would choose
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    profile: Vec<String>,
}

/// Shows a host on standard output.
///
/// # Errors
/// When the host does not merge, or the key is unknown.
pub fn run(args: &ShowArgs, context: &Context) -> Result<(), Failure> {
    let dir = context.site_dir()?;
    let said = |problems: site::Problems| {
        say(&problems.0, context);
        Failure::Said(2)
    };
    let site = site::load(&dir).map_err(said)?;
    let names: Vec<&str> = args.profile.iter().map(String::as_str).collect();
    let pins = site.pins(&names).map_err(Failure::Invalid)?;
    let resolved = site.resolve_with(&args.host, Some(&pins)).map_err(said)?;
    if let (false, Ok(variants)) = (resolved.auto.is_empty(), site.variants(&args.host)) {
        let sets: Vec<&str> = variants.iter().filter_map(|one| one.host.variant.as_deref()).collect();
        context.say(format!(
            "the hardware decides between {}; `landfall show {} --profile NAME` shows one",
            sets.join(", "),
            args.host
        ));
    }
    match (&args.why, args.json) {
        (Some(key), json) => explain(&resolved, key, json),
        (None, true) => {
            println!("{:#}", why::json(&resolved.host)?);
            Ok(())
        }
        (None, false) => {
            list(&resolved);
            say(&resolved.notes, context);
            Ok(())
        }
    }
}

fn list(resolved: &Resolved) {
    const COLUMN: usize = 58;
    for line in why::lines(resolved) {
        let text = format!("{} = {}", line.key, line.value);
        match line.place.as_str() {
            "" => println!("{text}"),
            place => println!("{text:<COLUMN$} # {place}"),
        }
    }
}

fn explain(resolved: &Resolved, key: &str, json: bool) -> Result<(), Failure> {
    let found = why::why(resolved, key).map_err(Failure::Invalid)?;
    if json {
        let keys: Vec<_> =
            found.iter().map(|why| serde_json::json!({ "key": why.key, "settings": why.settings })).collect();
        println!("{:#}", serde_json::json!({ "schema": 1, "host": resolved.host.name, "keys": keys }));
        return Ok(());
    }
    for why in found {
        println!("{}", why.key);
        for setting in why.settings {
            println!("{}", tell(setting));
        }
    }
    Ok(())
}

fn tell(setting: &Setting) -> String {
    let Setting { at, value, effect } = setting;
    let value = why::one_line(value);
    match effect {
        Effect::Set => format!("  {value}  set by {at}"),
        Effect::Removes => format!("  {value}  taken away by {at}"),
        Effect::Overridden(by) => format!("  {value}  in {at}, overridden by {by}"),
    }
}
