//! `landfall new DIR`: a site to start from, with the person's own names and keys in it.

mod person;

use super::context::Context;
use super::failure::Failure;
use crate::secrets::{
    ExposeSecret, Prompt, Recipient, SecretFile, SecretString, Store, Terminal, hash_password, host_identity,
};
use crate::signing;
use clap::Args;
use dialoguer::Input;
use landfall_hosts::site::shape::{self, Shape};
use landfall_hosts::site::starter::{self, Answers};
use landfall_hosts::site::{self, Problem};
use person::Places;
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Where, and what is known already.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// Folder of the new site; it must not be there yet, or be empty
    dir: PathBuf,
    /// Take the defaults, and ask nothing
    #[arg(short, long)]
    yes: bool,
    /// Your full name
    #[arg(long)]
    name: Option<String>,
    /// Your login name on the machines
    #[arg(long)]
    user: Option<String>,
    /// Public SSH key that may log in [default: the one in ~/.ssh]
    #[arg(long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    /// Time zone [default: this computer's]
    #[arg(long)]
    timezone: Option<String>,
    /// Recipient that opens every secret [default: your key, made if there is none]
    #[arg(long, value_name = "AGE")]
    admin: Option<String>,
    /// Name of the first host
    #[arg(long, default_value = "vm")]
    host: String,
    /// Kind of the first host
    #[arg(long, default_value = "vm", value_parser = ["vm", "laptop", "desktop", "server"])]
    device: String,
}

/// Makes the site.
///
/// # Errors
/// When the folder is taken, an answer is not usable, or a file cannot be written.
pub fn run(args: &NewArgs, context: &Context) -> Result<(), Failure> {
    refuse_taken(&args.dir)?;
    let places = Places::of_user();
    let asks = !args.yes && std::io::stdin().is_terminal();
    let mut answers = answers(args, &places, asks)?;
    let password = if asks {
        Some(Terminal.ask_new(&format!("password of {} on the machines", answers.user))?)
    } else {
        None
    };
    let (admin, made_key) = admin(args, &places)?;
    answers.admin = admin.as_str().to_owned();

    // Beside its place and moved there when it is whole, so that nothing half-made stays.
    let parent = match args.dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    std::fs::create_dir_all(&parent).map_err(|error| at("making", &parent, error))?;
    let work = tempfile::Builder::new()
        .prefix(".landfall-new-")
        .tempdir_in(&parent)
        .map_err(|error| at("making a folder in", &parent, error))?;
    fill(work.path(), &mut answers, password.as_ref(), &admin)?;
    accept(work.path())?;
    place(work, &args.dir)?;
    tell(args, &answers, made_key.as_deref(), password.is_some(), context);
    Ok(())
}

fn at(doing: &str, path: &Path, error: std::io::Error) -> Failure {
    Failure::from(std::io::Error::new(error.kind(), format!("{doing} {}: {error}", path.display())))
}

fn refuse_taken(dir: &Path) -> Result<(), Failure> {
    let mut entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at("reading", dir, error)),
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Failure::Invalid(format!(
            "{} is not empty; name a folder that is not there yet",
            dir.display()
        ))),
    }
}

fn answers(args: &NewArgs, places: &Places, asks: bool) -> Result<Answers, Failure> {
    let fallback = std::env::var("USER").ok().filter(|user| user != "root");
    let guess = fallback.filter(|user| shape::check(Shape::UserName, user).is_ok());
    let user = answer(args.user.clone(), "login name", guess.unwrap_or_else(|| "admin".into()), asks)?;
    fits("--user", Shape::UserName, &user)?;
    let guess = places.full_name(&user).unwrap_or_else(|| user.clone());
    let full_name = answer(args.name.clone(), "full name", guess, asks)?;
    fits("--name", Shape::Gecos, &full_name)?;
    let guess = places.timezone().filter(|zone| shape::check(Shape::TimeZone, zone).is_ok());
    let timezone = answer(args.timezone.clone(), "time zone", guess.unwrap_or_else(|| "UTC".into()), asks)?;
    fits("--timezone", Shape::TimeZone, &timezone)?;
    let guess = places.keyboard().filter(|layout| shape::check(Shape::Keyboard, layout).is_ok());
    let keyboard = answer(None, "keyboard layout", guess.unwrap_or_else(|| "us".into()), asks)?;
    fits("the keyboard layout", Shape::Keyboard, &keyboard)?;
    fits("--host", Shape::Hostname, &args.host)?;
    let lang = person::lang().unwrap_or_else(|| "C.UTF-8".into());
    Ok(Answers {
        user,
        full_name,
        email: places.email().filter(|email| shape::check(Shape::Line, email).is_ok()),
        ssh_key: ssh_key(args, places)?,
        timezone,
        lang,
        keyboard,
        host: args.host.clone(),
        device: args.device.clone(),
        ..Answers::default()
    })
}

fn answer(given: Option<String>, question: &str, guess: String, asks: bool) -> Result<String, Failure> {
    match (given, asks) {
        (Some(given), _) => Ok(given),
        (None, false) => Ok(guess),
        (None, true) => Ok(Input::new().with_prompt(question).default(guess).interact_text()?),
    }
}

fn fits(what: &str, shape: Shape, text: &str) -> Result<(), Failure> {
    shape::check(shape, text).map_err(|message| Failure::Invalid(format!("{what}: {message}")))
}

fn ssh_key(args: &NewArgs, places: &Places) -> Result<Option<String>, Failure> {
    let Some(path) = &args.ssh_key else {
        return Ok(places.ssh_key().filter(|key| shape::check(Shape::SshKey, key).is_ok()));
    };
    let text = std::fs::read_to_string(path).map_err(|error| at("reading", path, error))?;
    if text.contains("PRIVATE KEY") {
        let message = format!("{} is a private key; name the .pub file beside it", path.display());
        return Err(Failure::Invalid(message));
    }
    let key = person::first_line(&text);
    fits(&format!("--ssh-key {}", path.display()), Shape::SshKey, &key)?;
    Ok(Some(key))
}

/// Who opens the secrets: `--admin`, else the person's age identity, which is made where there
/// is none. The path is that of a new one.
fn admin(args: &NewArgs, places: &Places) -> Result<(Recipient, Option<PathBuf>), Failure> {
    if let Some(text) = &args.admin {
        return Ok((Recipient::parse(text, "--admin")?, None));
    }
    let path = places.identity().ok_or_else(|| {
        Failure::Invalid("HOME is not set, so your key has no place; set it, or say --admin AGE".into())
    })?;
    if let Some(public) = public_half(&path)? {
        return Ok((Recipient::parse(&public, &path.display().to_string())?, None));
    }
    let identity = age::x25519::Identity::generate();
    let public = identity.to_public().to_string();
    write_identity(&path, &public, &identity.to_string())?;
    Ok((Recipient::parse(&public, "your new key")?, Some(path)))
}

/// The public half of an age identity file; `None` where there is no file.
fn public_half(path: &Path) -> Result<Option<String>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => SecretString::from(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at("reading", path, error)),
    };
    let key: Option<age::x25519::Identity> =
        text.expose_secret().lines().find_map(|line| line.trim().parse().ok());
    match key {
        Some(key) => Ok(Some(key.to_public().to_string())),
        None => Err(Failure::Invalid(format!(
            "{} is no plain age identity, so its public half is not known; say it with --admin age1…",
            path.display()
        ))),
    }
}

fn write_identity(path: &Path, public: &str, secret: &SecretString) -> Result<(), Failure> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(folder) = path.parent() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| at("making", folder, error))?;
    }
    let mut options = std::fs::OpenOptions::new();
    // Never over a key that appeared meanwhile: it may be the only copy.
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| at("writing", path, error))?;
    let write = writeln!(
        file,
        "# made by `landfall new`; opens the secrets of your sites. Keep a copy in a safe place.\n\
         # public key: {public}\n{}",
        secret.expose_secret()
    );
    write.and_then(|()| file.sync_all()).map_err(|error| at("writing", path, error))
}

/// Write every file of the site into `dir`.
fn fill(
    dir: &Path,
    answers: &mut Answers,
    password: Option<&SecretString>,
    admin: &Recipient,
) -> Result<(), Failure> {
    let admins = std::slice::from_ref(admin);
    for folder in ["hosts", "files", "home/common", "secrets", "identities", "signing"] {
        let folder = dir.join(folder);
        std::fs::create_dir_all(&folder).map_err(|error| at("making", &folder, error))?;
    }
    answers.signing_key = signing::create_site_key(dir, admins)?;
    for (path, text) in starter::files(answers) {
        let path = dir.join(path);
        std::fs::write(&path, text).map_err(|error| at("writing", &path, error))?;
    }
    host_identity::create(dir, &answers.host, admins)?;
    let store = Store::new(dir, admins.to_vec())?;
    let chosen = match password {
        Some(password) => password.clone(),
        None => {
            let made = random_password()?;
            let file = plain_file(&answers.user);
            store.write(&secret(file, None), made.expose_secret().as_bytes())?;
            made
        }
    };
    let hash = hash_password(&chosen)?;
    let file = starter::password_file(&answers.user);
    store.write(&secret(file, Some(&answers.host)), hash.expose_secret().as_bytes())?;
    Ok(())
}

fn plain_file(user: &str) -> String {
    format!("secrets/{user}-password-plain.age")
}

fn secret(file: String, host: Option<&String>) -> SecretFile {
    SecretFile { file, names: BTreeSet::new(), hosts: host.into_iter().cloned().collect() }
}

/// Twenty letters and digits that are not mistaken for each other: 98 bits.
fn random_password() -> Result<SecretString, Failure> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0u8; 20];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::from(std::io::Error::from(error)))?;
    if got != bytes.len() {
        return Err(std::io::Error::other("the system gave too few random bytes for a password").into());
    }
    let text: String = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    Ok(SecretString::from(text))
}

/// What was written must be a site that `check` accepts: an answer that is not is told here, and
/// nothing is left behind.
fn accept(dir: &Path) -> Result<(), Failure> {
    let problems = site::load(dir).map(|site| site.check()).unwrap_or_else(|problems| problems.0);
    let errors: Vec<String> =
        problems.iter().filter(|problem| problem.is_error()).map(Problem::to_string).collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Failure::Invalid(format!("these answers make no valid site:\n{}", errors.join("\n")))),
    }
}

fn place(work: tempfile::TempDir, dir: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    // A temporary folder is 0700; a site is a folder like any other.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(work.path(), open).map_err(|error| at("opening up", work.path(), error))?;
    std::fs::rename(work.path(), dir).map_err(|error| at("making", dir, error))?;
    // It is the site now, and no longer temporary.
    let _ = work.keep();
    Ok(())
}

fn tell(args: &NewArgs, answers: &Answers, made_key: Option<&Path>, chose: bool, context: &Context) {
    let dir = args.dir.display();
    context.say(format!("made the site {dir} with the host {}", answers.host));
    if let Some(path) = made_key {
        let path = path.display();
        context
            .say(format!("made your key {path}; without a copy of it your secrets are lost with this disk"));
    }
    if !chose {
        let name = plain_file(&answers.user);
        let name = name.trim_start_matches("secrets/").trim_end_matches(".age");
        context
            .say(format!("made a password for {}: landfall --site {dir} secret show {name}", answers.user));
    }
    if answers.ssh_key.is_none() {
        context
            .say("no SSH key was found, so sshd is left out; add ssh_keys and openssh-server to common.toml");
    }
    context.say(format!(
        "next: cd {dir} && git init && landfall check && landfall build {host} --out {host}.img",
        host = answers.host
    ));
}
