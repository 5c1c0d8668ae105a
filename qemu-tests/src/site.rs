//! A copy of the example site, made usable: an admin's key of its own, secrets with marks, and the loopback tailnet
//! in place of the real one.

use crate::error::{Doing, Error, Result};
use crate::process::{attempt, run, run_with_input};
use crate::tailnet::{LOGIN_SERVER, Repository};
use crate::tools;
use age::secrecy::ExposeSecret;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use toml::{Table, Value};

/// The host of the example that is built and booted.
pub const HOST: &str = "vm";
/// The user of the example.
pub const USER: &str = "sam";
/// What a person types to log in to the rehearsed machine.
pub const PASSWORD: &str = "landfall";
/// Stands in every planted secret, so that a search for it finds any leak.
pub const MARK: &str = "LFMARK7c1e";

/// A site in a folder of its own, with the environment that `landfall` runs in.
#[derive(Debug, Clone)]
pub struct Site {
    /// The site.
    pub folder: PathBuf,
    /// `$HOME`: holds the admin's key where `landfall` looks for it.
    pub home: PathBuf,
    /// `landfall` and the static programs beside it.
    pub programs: PathBuf,
    /// `$XDG_CACHE_HOME`; none: this user's own.
    pub cache: Option<PathBuf>,
}

/// The tailnet that a site is pointed at.
pub struct Tailnet<'a> {
    /// Where `tailscale` comes from.
    pub repository: &'a Repository,
    /// What joins a machine.
    pub auth_key: &'a str,
}

impl Site {
    /// Copies the example below `folder` and adapts the copy. Without a tailnet, tailscale is left out.
    pub fn from_example(folder: &Path, tailnet: Option<&Tailnet>) -> Result<Self> {
        let site = Self::open(folder);
        let example = tools::workspace().join("hosts/example");
        run(Command::new("cp").arg("-r").arg(&example).arg(&site.folder))?;
        site.leave_other_hosts_out()?;
        let admin = site.make_admin()?;
        site.edit("site.toml", |table| {
            table.insert(
                "admins".into(),
                Table::from_iter([("tester".to_owned(), Value::from(admin.as_str()))]).into(),
            );
        })?;
        site.edit("common.toml", |table| match tailnet {
            Some(tailnet) => point_at(table, tailnet),
            None => leave_tailscale_out(table),
        })?;
        if let Some(tailnet) = tailnet {
            let to = site.folder.join("files/keys/tailscale.asc");
            std::fs::create_dir_all(to.parent().unwrap_or(&to)).doing("creating the folder of", &to)?;
            std::fs::copy(tailnet.repository.key(), &to).doing("copying the repository's key to", &to)?;
        }
        site.add_ssh_key()?;
        site.take_signing_key(&admin)?;
        site.plant_secrets(tailnet)?;
        Ok(site)
    }

    /// A site that was made below `folder` earlier.
    pub fn open(folder: &Path) -> Self {
        Self {
            folder: folder.join("site"),
            home: folder.join("home"),
            programs: tools::target().join("dist"),
            cache: None,
        }
    }

    /// Takes tailscale and all that refers to it out of the site.
    pub fn leave_tailscale_out(&self) -> Result<()> {
        self.edit("common.toml", leave_tailscale_out)
    }

    /// Points the site at a repository that is served now: its port is another at each start.
    pub fn serve_tailscale_from(&self, repository: &Repository) -> Result<()> {
        let key = self.folder.join("files/keys/tailscale.asc");
        std::fs::copy(repository.key(), &key).doing("copying the repository's key to", &key)?;
        let uri = repository.uri();
        self.edit("common.toml", |table| {
            sub(sub(table, "apt"), "tailscale").insert("uri".into(), uri.into());
        })
    }

    /// `landfall` with this site's environment.
    pub fn landfall(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("landfall"));
        command.arg("--site").arg(&self.folder).args(words).current_dir(&self.folder).env("HOME", &self.home);
        let cache = self.cache.clone().or_else(|| tools::cache().parent().map(Path::to_path_buf));
        if let Some(cache) = cache {
            command.env("XDG_CACHE_HOME", cache);
        }
        command
    }

    /// Runs `landfall` to success.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        run(&mut self.landfall(words))
    }

    /// Runs `landfall` whatever its status.
    pub fn attempt(&self, words: &[&str]) -> Result<Output> {
        attempt(&mut self.landfall(words))
    }

    /// Renews the lock whole: tailscale's package here is not the vendor's, and a mirror drops what has a successor.
    pub fn lock(&self) -> Result<String> {
        self.run(&["lock", "--update"])
    }

    /// Builds a medium for hosts; with `unattended` it installs the first with nobody watching.
    pub fn build(&self, to: &Path, hosts: &[&str], unattended: bool) -> Result<String> {
        let out = to.display().to_string();
        let mut words = vec!["build"];
        words.extend(hosts);
        words.extend(["--out", &out]);
        if let Some(first) = hosts.first().filter(|_| unattended) {
            words.extend(["--unattended", first]);
        }
        self.run(&words)
    }

    /// Adds a host like the first that refuses a disk with anything on it.
    pub fn add_guarded(&self, name: &str) -> Result<()> {
        let (from, to) = (self.folder.join(format!("hosts/{HOST}.toml")), format!("hosts/{name}.toml"));
        std::fs::copy(&from, self.folder.join(&to)).doing("copying", &from)?;
        self.edit(&to, |table| {
            let disk = sub(table, "disk");
            disk.insert("existing".into(), "refuse".into());
            // Of several disks of one kind it takes this one, whatever the kernel calls it.
            let by_serial = Table::from_iter([("serial".to_owned(), "DISK0".into())]);
            disk.insert("match".into(), by_serial.into());
        })?;
        self.run(&["host", "add", name]).map(drop)
    }

    /// Changes one TOML file of the site.
    pub fn edit(&self, file: &str, change: impl FnOnce(&mut Table)) -> Result<()> {
        let path = self.folder.join(file);
        let text = std::fs::read_to_string(&path).doing("reading", &path)?;
        let mut table: Table = text
            .parse()
            .map_err(|error| Error::Unexpected(format!("reading {}: {error}", path.display())))?;
        change(&mut table);
        let text =
            toml::to_string(&table).map_err(|error| Error::Unexpected(format!("writing {file}: {error}")))?;
        std::fs::write(&path, text).doing("writing", &path)
    }

    /// Every secret that was planted, by name.
    pub fn secret_names(&self) -> Result<Vec<String>> {
        let path = self.folder.join("common.toml");
        let text = std::fs::read_to_string(&path).doing("reading", &path)?;
        let table: Table = text
            .parse()
            .map_err(|error| Error::Unexpected(format!("reading {}: {error}", path.display())))?;
        let secrets = table.get("secrets").and_then(Value::as_table);
        Ok(secrets.into_iter().flatten().map(|(name, _)| name.clone()).collect())
    }

    /// A lock covers every host of a site: without this a run would resolve desktops that it does not build.
    fn leave_other_hosts_out(&self) -> Result<()> {
        let folder = self.folder.join("hosts");
        for entry in std::fs::read_dir(&folder).doing("listing", &folder)?.flatten() {
            if entry.path().file_stem().is_some_and(|name| name != HOST) {
                std::fs::remove_file(entry.path()).doing("removing", &entry.path())?;
            }
        }
        Ok(())
    }

    fn make_admin(&self) -> Result<String> {
        let identity = age::x25519::Identity::generate();
        let file = self.home.join(".config/landfall/identity.txt");
        let folder = file.parent().unwrap_or(&file);
        std::fs::create_dir_all(folder).doing("creating", folder)?;
        std::fs::write(&file, format!("{}\n", identity.to_string().expose_secret()))
            .doing("writing", &file)?;
        run(Command::new("chmod").arg("600").arg(&file))?;
        Ok(identity.to_public().to_string())
    }

    /// The key that opens the rehearsed machine.
    pub fn ssh_key(&self) -> PathBuf {
        self.home.join(".ssh/rehearsal")
    }

    fn add_ssh_key(&self) -> Result<()> {
        let file = self.ssh_key();
        let folder = file.parent().unwrap_or(&file);
        std::fs::create_dir_all(folder).doing("creating", folder)?;
        let mut command = Command::new(tools::program("ssh-keygen")?);
        run(command.args(["-q", "-t", "ed25519", "-N", "", "-C", "rehearsal", "-f"]).arg(&file))?;
        let public = file.with_extension("pub");
        let line = std::fs::read_to_string(&public).doing("reading", &public)?;
        self.edit("common.toml", |table| {
            let user = sub(sub(table, "users"), USER);
            user.insert("ssh_keys".into(), Value::Array(vec![line.trim().into()]));
        })
    }

    /// The example has no signing key; one is taken out of a new site, which is made the way that a person makes one.
    fn take_signing_key(&self, admin: &str) -> Result<()> {
        let starter = self.home.join("starter");
        let (folder, key) = (starter.display().to_string(), self.ssh_key().with_extension("pub"));
        let words = [
            "new",
            &folder,
            "--yes",
            "--user",
            USER,
            "--admin",
            admin,
            "--ssh-key",
            &key.display().to_string(),
        ];
        let mut command = Command::new(self.programs.join("landfall"));
        run(command.args(words).env("HOME", &self.home))?;
        run(Command::new("cp").arg("-r").arg(starter.join("signing")).arg(&self.folder))?;
        let text = std::fs::read_to_string(starter.join("site.toml")).doing("reading", &starter)?;
        let new: Table =
            text.parse().map_err(|error| Error::Unexpected(format!("reading the new site: {error}")))?;
        let signing = new.get("signing").cloned();
        let signing = signing.ok_or_else(|| Error::unexpected("a new site names no signing key"))?;
        self.edit("site.toml", |table| {
            table.insert("signing".into(), signing);
        })
    }

    /// The example's own secrets are encrypted to its author; each gets a value that carries the mark.
    fn plant_secrets(&self, tailnet: Option<&Tailnet>) -> Result<()> {
        for folder in ["secrets", "identities"] {
            let path = self.folder.join(folder);
            if path.exists() {
                std::fs::remove_dir_all(&path).doing("removing", &path)?;
            }
            std::fs::create_dir_all(&path).doing("creating", &path)?;
        }
        for name in self.secret_names()? {
            let mut words = vec!["secret", "set", &name];
            let value = match (name.as_str(), tailnet) {
                ("tailscale-key", Some(tailnet)) => tailnet.auth_key.to_owned(),
                (name, _) if name.ends_with("-password") => {
                    words.push("--password");
                    PASSWORD.to_owned()
                }
                (name, _) => format!("{MARK}-{name}"),
            };
            run_with_input(&mut self.landfall(&words), value.as_bytes())?;
        }
        self.run(&["host", "add", HOST]).map(drop)
    }
}

fn point_at(common: &mut Table, tailnet: &Tailnet) {
    let apt = sub(common, "apt");
    let repository = sub(apt, "tailscale");
    repository.insert("uri".into(), tailnet.repository.uri().into());
    repository.insert("suite".into(), "trixie".into());
    repository.insert("key".into(), "files/keys/tailscale.asc".into());
    sub(common, "tailnet").insert("server".into(), LOGIN_SERVER.into());
}

fn leave_tailscale_out(common: &mut Table) {
    common.remove("tailnet");
    sub(common, "apt").remove("tailscale");
    sub(common, "secrets").remove("tailscale-key");
    if let Some(Value::Array(packages)) = common.get_mut("packages") {
        packages.retain(|name| name.as_str() != Some("tailscale"));
    }
}

/// A table in a table, made if it is not there.
pub(crate) fn sub<'a>(table: &'a mut Table, name: &str) -> &'a mut Table {
    let slot = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
    if !slot.is_table() {
        *slot = Value::Table(Table::new());
    }
    match slot {
        Value::Table(inner) => inner,
        _ => unreachable!("it was made a table"),
    }
}
