//! `landfall host add|ls|rm`: the machines of a site and their identities.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::adopt::Report;
use super::context::Context;
use super::failure::Failure;
use super::secret::{IdentityArg, say_rekeyed};
use super::vault::Vault;
use crate::secrets::{Terminal, host_identity};

/// What to do with hosts.
#[derive(Debug, Args)]
pub struct HostArgs {
    #[command(subcommand)]
    command: HostCommand,
}

#[derive(Debug, Subcommand)]
enum HostCommand {
    /// Makes a host's identity, and its file where there is none
    Add(AddArgs),
    /// Lists hosts, their identities and the secrets that they read
    Ls(LsArgs),
    /// Removes a host's file and identity
    Rm(RmArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Name of the host: its file is hosts/NAME.toml [default: the one that the report names]
    #[arg(required_unless_present = "report")]
    name: Option<String>,
    /// Device profile of a new host file [default: desktop, or what a report's facts give]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// An installation's report from the stick, or what `landfall probe --json` printed on the
    /// machine: its facts go into facts/NAME.json, and a new host file names its disk
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Make another identity for a host that has one: the old one may have been seen
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    identity: IdentityArg,
}

#[derive(Debug, Args)]
struct LsArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// Name of the host
    name: String,
    /// Without asking
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    identity: IdentityArg,
}

/// Runs `landfall host`.
///
/// # Errors
/// When the site is invalid, or a file cannot be read or written.
pub fn run(args: &HostArgs, context: &Context) -> Result<(), Failure> {
    match &args.command {
        HostCommand::Add(args) => add(args, context),
        HostCommand::Ls(args) => list(args, context),
        HostCommand::Rm(args) => remove(args, context),
    }
}

fn add(args: &AddArgs, context: &Context) -> Result<(), Failure> {
    let site = context.site_dir()?;
    let report = args.report.as_deref().map(Report::read).transpose()?;
    let name = name(args, report.as_ref())?;
    let file = site.join(format!("hosts/{name}.toml"));
    // A report about a host that has its identity pins it, and makes no other.
    if report.is_none() || args.replace || !host_identity::public_path(&site, &name).exists() {
        make_identity(&site, &name, args, context)?;
    }
    if !file.exists() {
        let device = args.device.as_deref();
        let text = match &report {
            Some(report) => report.host_file(&name, device),
            None => host_template(&name, device.unwrap_or("desktop")),
        };
        crate::secrets::replace(&file, text.as_bytes(), crate::secrets::MODE_PUBLIC)?;
        context.say(format!(
            "made hosts/{name}.toml; see there which disk it may use, then run `landfall check`"
        ));
    }
    if let Some(report) = &report {
        report.pin(&site, &name)?;
        context.say(format!("made facts/{name}.json: from now on the site says what {name} is"));
    }
    rekey_for(&site, &name, &args.identity, context)?;
    context.say(format!("next: landfall build {name} --out {name}.img"));
    Ok(())
}

fn name(args: &AddArgs, report: Option<&Report>) -> Result<String, Failure> {
    let named = args.name.clone().or_else(|| report?.host().map(str::to_owned));
    let name = named.ok_or_else(|| {
        Failure::Invalid("the report names no host; say which: landfall host add NAME --report FILE".into())
    })?;
    host_identity::check_host_name(&name)?;
    Ok(name)
}

fn make_identity(site: &Path, name: &str, args: &AddArgs, context: &Context) -> Result<(), Failure> {
    let vault = Vault::open_admins(site)?;
    let make = if args.replace { host_identity::replace } else { host_identity::create };
    let public = make(site, name, vault.store.admins())?;
    context.say(format!(
        "made identities/{name}.pub ({public})\n     identities/{name}.age, readable by the admins"
    ));
    Ok(())
}

/// Gives the new host the secrets that it reads. The host exists either way: an admin's key that
/// is not at hand leaves that to a later `secret rekey`.
fn rekey_for(site: &Path, name: &str, identity: &IdentityArg, context: &Context) -> Result<(), Failure> {
    let vault = match Vault::open(site) {
        Ok(vault) => vault,
        Err(Failure::Invalid(words)) => {
            context.say(format!("secrets are not encrypted to {name} yet: {words}"));
            context.say("when `landfall check` is content, run `landfall secret rekey`");
            return Ok(());
        }
        Err(other) => return Err(other),
    };
    match vault.rekey(identity, &Terminal) {
        Ok(done) => say_rekeyed(&done, context),
        Err(error) => {
            context.say(format!("secrets are not encrypted to {name} yet: {error}"));
            context.say("run `landfall secret rekey` where an admin's key is");
        }
    }
    Ok(())
}

fn list(args: &LsArgs, context: &Context) -> Result<(), Failure> {
    let site = context.site_dir()?;
    let vault = Vault::open(&site)?;
    let mut rows = Vec::new();
    for host in &vault.hosts {
        let keys = host_identity::public_keys(&site, host)?;
        let reads: Vec<&str> = vault
            .files
            .iter()
            .filter(|file| file.hosts.contains(host))
            .flat_map(|file| file.names.iter().map(String::as_str))
            .collect();
        rows.push((host, keys, reads));
    }
    if args.json {
        let hosts: Vec<_> = rows
            .iter()
            .map(|(host, keys, reads)| {
                let keys: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
                serde_json::json!({ "name": host, "identities": keys, "secrets": reads })
            })
            .collect();
        println!("{}", serde_json::json!({ "schema": 1, "hosts": hosts }));
        return Ok(());
    }
    for (host, keys, reads) in rows {
        let key = keys.first().map_or("no identity yet (landfall host add)", |key| key.as_str());
        let reads = if reads.is_empty() { "no secrets".to_string() } else { reads.join(", ") };
        println!("{host:<16} {key}  {reads}");
    }
    Ok(())
}

fn remove(args: &RmArgs, context: &Context) -> Result<(), Failure> {
    let site = context.site_dir()?;
    let name = &args.name;
    host_identity::check_host_name(name)?;
    let files = [
        format!("hosts/{name}.toml"),
        format!("identities/{name}.pub"),
        format!("identities/{name}.age"),
        format!("facts/{name}.json"),
    ];
    let there: Vec<&String> = files.iter().filter(|file| site.join(file).exists()).collect();
    if there.is_empty() {
        return Err(Failure::Invalid(format!(
            "no host {name} in {}: none of {} is there",
            site.display(),
            files.join(", ")
        )));
    }
    let list: Vec<&str> = there.iter().map(|file| file.as_str()).collect();
    if !args.yes && !confirmed(&format!("remove {}?", list.join(", ")))? {
        return Err(Failure::Refused("nothing was removed".to_string()));
    }
    let vault = Vault::open_admins(&site)?;
    for file in there {
        vault.store.remove(file)?;
        context.say(format!("removed {file}"));
    }
    context
        .say("what this host could read it may still know: change those secrets (landfall secret set NAME)");
    context.say("then take it out of the readers of the rest: landfall secret rekey");
    Ok(())
}

fn confirmed(question: &str) -> Result<bool, Failure> {
    use std::io::IsTerminal;
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Refused(format!("{question} There is no terminal to ask on; say --yes")));
    }
    Ok(dialoguer::Confirm::new().with_prompt(question).default(false).interact()?)
}

fn host_template(name: &str, device: &str) -> String {
    let transport = if device == "vm" { "virtio" } else { "nvme" };
    format!(
        "# {name}: what makes this machine different. What all machines have stands in common.toml.\n\
         device = {device:?}\n\
         # desktop = \"kde\"\n\
         # imports = [\"custom/disable-nvidia\"]\n\
         # packages = [\"htop\"]\n\
         \n\
         [disk]\n\
         # Exactly one disk may match; every other disk is never opened for writing.\n\
         match    = {{ transport = {transport:?} }}\n\
         # \"refuse\" leaves a disk alone that is not empty; \"wipe\" destroys what is on it.\n\
         existing = \"refuse\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_toml_that_refuses_by_default() {
        let text = host_template("vm", "vm");
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["device"].as_str(), Some("vm"));
        assert_eq!(table["disk"]["existing"].as_str(), Some("refuse"));
        assert_eq!(table["disk"]["match"]["transport"].as_str(), Some("virtio"));
        // A name with quotes cannot break out of its string.
        assert!(host_template("x", "a\"b\nc").parse::<toml::Table>().is_ok());
    }
}
