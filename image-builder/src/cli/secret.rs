//! `landfall secret set|show|edit|ls|rekey`: the secrets of a site.

use std::ffi::OsString;
use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::context::Context;
use super::failure::Failure;
use super::vault::Vault;
use crate::secrets::{
    self, AdminIdentities, ExposeSecret, KeyPlaces, Prompt, Rekeyed, SECRET_LIMIT_BYTES, SIGNING_KEY,
    SecretFile, SecretSlice, SecretString, SecretsError, Standing, Status, Terminal, is_foreign,
};

/// What to do with secrets.
#[derive(Debug, Args)]
pub struct SecretArgs {
    #[command(subcommand)]
    command: SecretCommand,
}

#[derive(Debug, Subcommand)]
enum SecretCommand {
    /// Encrypts a value for the admins and the hosts that use it
    Set(SetArgs),
    /// Decrypts a secret to standard output
    Show(NameArgs),
    /// Opens a secret in $VISUAL or $EDITOR
    Edit(NameArgs),
    /// Lists secrets, who reads them, and whether their files agree
    Ls(LsArgs),
    /// Makes every file readable by its readers and nobody else
    Rekey(RekeyArgs),
    /// Makes the key that signs the site's manifests, where there is none
    SigningKey,
}

#[derive(Debug, Args)]
struct SetArgs {
    /// Name in [secrets]
    name: String,
    /// Take the value from a file, byte for byte [default: standard input, or a question]
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    file: Option<PathBuf>,
    /// The value is a login password: store its yescrypt hash
    #[arg(long)]
    password: bool,
}

#[derive(Debug, Args)]
struct NameArgs {
    /// Name in [secrets]
    name: String,
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
struct RekeyArgs {
    #[command(flatten)]
    identity: IdentityArg,
}

/// Which key opens files.
#[derive(Debug, Clone, Default, Args)]
pub struct IdentityArg {
    /// Admin's key [default: ~/.config/landfall/identity.txt, else ~/.ssh/id_ed25519]
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
}

impl IdentityArg {
    /// Finds and unlocks the admin's key.
    ///
    /// # Errors
    /// When there is none, it does not parse, or its passphrase is wrong.
    pub fn load(&self, prompt: &dyn Prompt) -> Result<AdminIdentities, SecretsError> {
        let path = KeyPlaces::of_user(self.identity.clone()).find()?;
        AdminIdentities::load(&path, prompt)
    }
}

/// Runs `landfall secret`.
///
/// # Errors
/// When the site is invalid, or a file cannot be read, written or decrypted.
pub fn run(args: &SecretArgs, context: &Context) -> Result<(), Failure> {
    match &args.command {
        SecretCommand::Set(args) => set(args, context),
        SecretCommand::Show(args) => show(args, context),
        SecretCommand::Edit(args) => edit(args, context),
        SecretCommand::Ls(args) => list(args, context),
        SecretCommand::Rekey(args) => rekey(args, context),
        SecretCommand::SigningKey => signing_key(context),
    }
}

fn set(args: &SetArgs, context: &Context) -> Result<(), Failure> {
    let vault = Vault::open(&context.site_dir()?)?;
    let secret = vault.named(&args.name)?;
    let value = value(args)?;
    vault.store.write(&secret, value.expose_secret())?;
    context.say(format!("wrote {} for {}", secret.file, readers(&secret)));
    if secret.names.is_empty() {
        context.say(format!(
            "no host uses it yet: declare it, say in common.toml\n  [secrets.{}]\n  file = {:?}\nand refer to it where it belongs, as {{ secret = {0:?} }}",
            args.name, secret.file
        ));
    }
    for host in vault.without_identity(&secret)? {
        context.say(format!("{host} uses it and has no identity yet: landfall host add {host}"));
    }
    Ok(())
}

fn value(args: &SetArgs) -> Result<SecretSlice<u8>, Failure> {
    if args.password {
        let hash = secrets::hash_password(&password(&args.name)?)?;
        return Ok(SecretSlice::from(hash.expose_secret().as_bytes().to_vec()));
    }
    if let Some(path) = &args.file {
        let bytes = Zeroizing::new(secrets::read_bounded(path, SECRET_LIMIT_BYTES as u64)?);
        return Ok(SecretSlice::from(bytes.to_vec()));
    }
    if std::io::stdin().is_terminal() {
        let typed = Terminal.ask_new(&format!("value of {}", args.name))?;
        return Ok(SecretSlice::from(typed.expose_secret().as_bytes().to_vec()));
    }
    Ok(SecretSlice::from(trimmed(&piped()?).to_vec()))
}

fn password(name: &str) -> Result<SecretString, Failure> {
    if std::io::stdin().is_terminal() {
        return Ok(Terminal.ask_new(&format!("password for {name}"))?);
    }
    let bytes = piped()?;
    let text = std::str::from_utf8(trimmed(&bytes))
        .map_err(|_| Failure::Invalid("the password on standard input is not UTF-8 text".to_string()))?;
    Ok(SecretString::from(text))
}

fn piped() -> Result<Zeroizing<Vec<u8>>, Failure> {
    // Room for the largest value at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_LIMIT_BYTES + 1));
    std::io::stdin().lock().take(SECRET_LIMIT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The line break that `echo` and a shell's here-string add to a one-line value is not part of it.
fn trimmed(bytes: &[u8]) -> &[u8] {
    match bytes.split_last() {
        Some((b'\n', line)) if !line.contains(&b'\n') => line,
        _ => bytes,
    }
}

fn show(args: &NameArgs, context: &Context) -> Result<(), Failure> {
    let vault = Vault::open(&context.site_dir()?)?;
    let secret = vault.named(&args.name)?;
    refuse_foreign(&secret)?;
    let plain = vault.store.read(&secret.file, &args.identity.load(&Terminal)?)?;
    let mut out = std::io::stdout().lock();
    out.write_all(plain.expose_secret())?;
    // On a terminal the prompt would stand on the same line; in a pipe every byte counts.
    if std::io::stdout().is_terminal() && !plain.expose_secret().ends_with(b"\n") {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn edit(args: &NameArgs, context: &Context) -> Result<(), Failure> {
    let vault = Vault::open(&context.site_dir()?)?;
    let secret = vault.named(&args.name)?;
    refuse_foreign(&secret)?;
    let plain = match vault.store.exists(&secret.file)? {
        true => vault.store.read(&secret.file, &args.identity.load(&Terminal)?)?,
        false => SecretSlice::from(Vec::new()),
    };
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let program = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| OsString::from("vi"));
    let rooms: Vec<PathBuf> = set("XDG_RUNTIME_DIR").map(PathBuf::from).into_iter().collect();
    match secrets::edit(&args.name, plain.expose_secret(), &program, &rooms)? {
        Some(text) => {
            vault.store.write(&secret, text.expose_secret())?;
            context.say(format!("wrote {} for {}", secret.file, readers(&secret)));
        }
        None => context.say("unchanged"),
    }
    Ok(())
}

fn refuse_foreign(secret: &SecretFile) -> Result<(), Failure> {
    match is_foreign(&secret.file) {
        true => Err(Failure::Invalid(format!("{0} is a sops file; use `sops {0}`", secret.file))),
        false => Ok(()),
    }
}

fn list(args: &LsArgs, context: &Context) -> Result<(), Failure> {
    let vault = Vault::open(&context.site_dir()?)?;
    let all = vault.status()?;
    if args.json {
        let rows: Vec<_> = all.iter().map(row).collect();
        println!("{}", serde_json::json!({ "schema": 1, "secrets": rows }));
        return Ok(());
    }
    for status in &all {
        let names: Vec<&str> = status.secret.names.iter().map(String::as_str).collect();
        let name = if names.is_empty() { "(no name)".to_string() } else { names.join(" ") };
        println!("{name:<20} {:<32} {:<28} {}", status.secret.file, readers(&status.secret), state(status));
    }
    if all.iter().any(|status| matches!(status.standing, Standing::Differs { .. } | Standing::Unknown)) {
        context.say("`landfall secret rekey` makes the files' recipients equal to their readers");
    }
    Ok(())
}

fn row(status: &Status) -> serde_json::Value {
    let word = match status.standing {
        Standing::Absent => "absent",
        Standing::Equal => "equal",
        Standing::Differs { .. } => "differs",
        Standing::Unknown => "unknown",
    };
    serde_json::json!({
        "names": status.secret.names, "file": status.secret.file, "hosts": status.secret.hosts,
        "without_identity": status.without_identity, "recipients": word,
    })
}

fn state(status: &Status) -> String {
    let mut words = match &status.standing {
        Standing::Absent => "not set yet".to_string(),
        Standing::Equal => "ok".to_string(),
        Standing::Unknown => "not written by landfall: recipients unknown".to_string(),
        Standing::Differs { missing, extra } => {
            format!("differs: {} to add, {} to take away", missing.len(), extra.len())
        }
    };
    if !status.without_identity.is_empty() {
        let hosts: Vec<&str> = status.without_identity.iter().map(String::as_str).collect();
        words.push_str(&format!("; no identity yet: {}", hosts.join(", ")));
    }
    words
}

fn readers(secret: &SecretFile) -> String {
    let hosts: Vec<&str> = secret.hosts.iter().map(String::as_str).collect();
    if hosts.is_empty() { "admins".to_string() } else { format!("admins, {}", hosts.join(", ")) }
}

fn rekey(args: &RekeyArgs, context: &Context) -> Result<(), Failure> {
    let vault = Vault::open(&context.site_dir()?)?;
    let done = vault.rekey(&args.identity, &Terminal)?;
    say_rekeyed(&done, context);
    if !done.failed.is_empty() {
        return Err(Failure::Said(1));
    }
    if done.changed.is_empty() {
        context.say("every file's recipients are its readers");
    }
    Ok(())
}

fn signing_key(context: &Context) -> Result<(), Failure> {
    let dir = context.site_dir()?;
    let vault = Vault::open_admins(&dir)?;
    let public = crate::signing::create_site_key(&dir, vault.store.admins())?;
    println!("{public}");
    let path = dir.join("site.toml");
    let text = std::fs::read_to_string(&path)?;
    // A table that is there is the person's to edit: the newest key stands first, and old ones stay.
    if text.lines().any(|line| line.trim_start().starts_with("[signing]")) {
        context.say(format!("made {SIGNING_KEY}; put this key first into [signing] keys of site.toml"));
        return Ok(());
    }
    let separator = if text.ends_with('\n') { "\n" } else { "\n\n" };
    let text = format!("{text}{separator}[signing]\nkeys = [\"{public}\"]\n");
    secrets::replace(&path, text.as_bytes(), secrets::MODE_PUBLIC)?;
    context.say(format!("made {SIGNING_KEY}; its public half stands in site.toml"));
    Ok(())
}

/// Says what a rekey did.
pub(super) fn say_rekeyed(done: &Rekeyed, context: &Context) {
    for file in &done.changed {
        context.say(format!("encrypted anew: {file}"));
    }
    for file in &done.foreign {
        context.say(format!("left alone: {file} (a sops file; use `sops updatekeys {file}`)"));
    }
    for file in &done.absent {
        context.say(format!("not set yet: {file}"));
    }
    for (_, error) in &done.failed {
        eprintln!("landfall: {error}");
    }
    for file in &done.withdrawn {
        context.say(format!("{file} lost a reader, who may have kept a copy, and git keeps the old file: change the secret itself"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_loses_its_line_break_and_text_keeps_it() {
        assert_eq!(trimmed(b"key\n"), b"key");
        assert_eq!(trimmed(b"key"), b"key");
        assert_eq!(trimmed(b"a\nb\n"), b"a\nb\n");
        assert_eq!(trimmed(b"\n"), b"");
        assert_eq!(trimmed(b""), b"");
    }
}
