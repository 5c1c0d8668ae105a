//! `landfall host add|ls|rm`: the machines of a site and their identities.

use std::path::Path;

use clap::{Args, Subcommand};

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
    /// Name of the host: its file is hosts/NAME.toml
    name: String,
    /// Device profile of a new host file
    #[arg(long, default_value = "desktop")]
    device: String,
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
    let name = &args.name;
    host_identity::check_host_name(name)?;
    let vault = Vault::open_admins(&site)?;
    let make = if args.replace { host_identity::replace } else { host_identity::create };
    let public = make(&site, name, vault.store.admins())?;
    context.say(format!(
        "made identities/{name}.pub ({public})\n     identities/{name}.age, readable by the admins"
    ));
    let file = site.join(format!("hosts/{name}.toml"));
    if !file.exists() {
        let text = host_template(name, &args.device);
        crate::secrets::replace(&file, text.as_bytes(), crate::secrets::MODE_PUBLIC)?;
        context.say(format!(
            "made hosts/{name}.toml; say there which disk it may use, then run `landfall check`"
        ));
    }
    rekey_for(&site, args, context)?;
    context.say(format!("next: landfall build {name} --out {name}.img"));
    Ok(())
}

/// Gives the new host the secrets that it reads. The host exists either way: an admin's key that
/// is not at hand leaves that to a later `secret rekey`.
fn rekey_for(site: &Path, args: &AddArgs, context: &Context) -> Result<(), Failure> {
    let vault = match Vault::open(site) {
        Ok(vault) => vault,
        Err(Failure::Invalid(words)) => {
            context.say(format!("secrets are not encrypted to {} yet: {words}", args.name));
            context.say("when `landfall check` is content, run `landfall secret rekey`");
            return Ok(());
        }
        Err(other) => return Err(other),
    };
    match vault.rekey(&args.identity, &Terminal) {
        Ok(done) => say_rekeyed(&done, context),
        Err(error) => {
            context.say(format!("secrets are not encrypted to {} yet: {error}", args.name));
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
