//! A site's secrets as a command needs them: which files there are, and who reads each.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use landfall_hosts::host::Host;
use landfall_hosts::site::tree::{Folder, Stands, Tree};
use landfall_hosts::site::{Location, Problem, Problems, Site};

use super::failure::Failure;
use super::secret::IdentityArg;
use crate::secrets::{Prompt, Rekeyed, SecretFile, SecretsError, Standing, Status, Store, readers};

/// The secrets of one site.
#[derive(Debug)]
pub(super) struct Vault {
    /// Reads and writes the files.
    pub(super) store: Store,
    /// Files and their readers, sorted by file.
    pub(super) files: Vec<SecretFile>,
    /// Names of all hosts.
    pub(super) hosts: Vec<String>,
}

impl Vault {
    /// Opens a site whose hosts all merge: with one missing, its secrets would lose a reader.
    pub(super) fn open(dir: &Path) -> Result<Self, Failure> {
        let site = read(dir)?;
        let mut hosts: Vec<Host> = Vec::new();
        let mut problems = Vec::new();
        for name in site.hosts() {
            match site.variants(name) {
                Ok(variants) => hosts.extend(variants.into_iter().map(|one| one.host)),
                Err(found) => problems.extend(found.0),
            }
        }
        if !problems.is_empty() {
            return Err(invalid(Problems(problems).tidy()));
        }
        let declared = site.declared_secrets();
        let mut files = readers::secret_files(&declared, &hosts);
        files.extend(readers::unnamed_files(dir, &files)?);
        files.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(Self {
            store: Store::new(dir, readers::admins(&site.admins())?)?,
            files,
            hosts: site.hosts().into_iter().map(str::to_owned).collect(),
        })
    }

    /// Opens the site for what needs its admins alone, whatever state its hosts are in.
    pub(super) fn open_admins(dir: &Path) -> Result<Self, Failure> {
        let site = read(dir)?;
        Ok(Self {
            store: Store::new(dir, readers::admins(&site.admins())?)?,
            files: Vec::new(),
            hosts: Vec::new(),
        })
    }

    /// The file of a secret; a new one in the site's folder of secrets if nothing declares it.
    pub(super) fn named(&self, name: &str) -> Result<SecretFile, Failure> {
        if let Some(found) = self.files.iter().find(|file| file.names.contains(name)) {
            return Ok(found.clone());
        }
        let file = readers::default_file(name)?;
        Ok(SecretFile { file, names: BTreeSet::new(), hosts: BTreeSet::new() })
    }

    /// How every file stands.
    pub(super) fn status(&self) -> Result<Vec<Status>, SecretsError> {
        self.store.status(&self.files)
    }

    /// Hosts that use a secret and have no identity yet.
    pub(super) fn without_identity(&self, secret: &SecretFile) -> Result<BTreeSet<String>, SecretsError> {
        let status = self.store.status(std::slice::from_ref(secret))?;
        Ok(status.into_iter().flat_map(|status| status.without_identity).collect())
    }

    /// Makes every file's recipients its readers; asks for the admin's key only if it must.
    pub(super) fn rekey(&self, key: &IdentityArg, prompt: &dyn Prompt) -> Result<Rekeyed, SecretsError> {
        self.store.rekey(&self.files, || key.load(prompt))
    }
}

/// What `landfall check` says of secrets beside the site's own problems: files whose recipients are
/// not their readers. A site whose hosts do not merge has other worries, and says nothing here.
pub(super) fn notes(dir: &Path) -> Vec<Problem> {
    let Ok(vault) = Vault::open(dir) else { return Vec::new() };
    let Ok(all) = vault.status() else { return Vec::new() };
    all.iter().filter_map(note).collect()
}

fn note(status: &Status) -> Option<Problem> {
    let at = Location { file: status.secret.file.clone(), ..Location::default() };
    let message = match &status.standing {
        Standing::Absent | Standing::Equal => return None,
        Standing::Unknown => "its recipients are not known: another program wrote it".to_string(),
        Standing::Differs { missing, extra } => {
            format!(
                "its recipients are not its readers: {} to add, {} to take away",
                missing.len(),
                extra.len()
            )
        }
    };
    Some(Problem::warning(at, message, "landfall secret rekey"))
}

fn read(dir: &Path) -> Result<Site, Failure> {
    Site::read(Box::new(BeforeSecrets(Folder(dir.to_path_buf())))).map_err(invalid)
}

fn invalid(problems: Problems) -> Failure {
    let errors: Vec<String> =
        problems.0.iter().filter(|problem| problem.is_error()).map(Problem::to_string).collect();
    Failure::Invalid(format!(
        "the site is not valid, so who reads which secret is not known:\n{}",
        errors.join("\n")
    ))
}

/// The site as it will be once its secrets are set: a missing `.age` file is what these commands
/// are here to make, and no error yet.
struct BeforeSecrets(Folder);

impl Tree for BeforeSecrets {
    fn read(&self, path: &str) -> io::Result<String> {
        self.0.read(path)
    }

    fn stands(&self, path: &str) -> Option<Stands> {
        let there = self.0.stands(path);
        if there.is_none() && path.ends_with(".age") { Some(Stands::File) } else { there }
    }

    fn toml_files(&self) -> io::Result<Vec<String>> {
        self.0.toml_files()
    }

    fn name(&self) -> String {
        self.0.name()
    }
}
