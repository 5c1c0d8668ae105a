//! `landfall build`: from a site to a medium. Resolves what the lock lacks, builds the layers that
//! the cache lacks, and composes one image from them.

pub mod boot;
pub mod chain;
pub mod identity;
pub mod lock_file;
pub mod manifest;
pub mod requests;
pub mod version;

use crate::media::{MediumHost, MediumSpec, Trees, compose};
use boot::BootFiles;
use landfall_debian::cache::Cache;
use landfall_debian::session::{Places, Session};
use landfall_hosts::event::Progress;
use landfall_hosts::host::Host;
use landfall_hosts::lock::Lock;
use landfall_hosts::manifest::Manifest;
use landfall_hosts::profiles::Variants;
use landfall_hosts::site::Site;
use landfall_layers::BuiltLayer;
use lock_file::LockFile;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a build reads and writes.
#[derive(Debug, Clone)]
pub struct BuildPlaces {
    /// The site.
    pub site: PathBuf,
    /// The cache.
    pub cache: PathBuf,
    /// This computer's apt configuration.
    pub etc_apt: PathBuf,
    /// The folder of our static binaries.
    pub binaries: PathBuf,
}

impl BuildPlaces {
    /// The tools root of a lock, as the cache has it once a host was built.
    fn tools(&self, lock: &Lock) -> Trees {
        let folder = Cache::new(&self.cache).tools().join(landfall_debian::tools::id(lock));
        Trees::new(vec![folder.join("root")])
    }
}

/// A generation whose parts are all in the cache.
pub struct BuiltHost {
    /// All layers, base first.
    pub layers: Vec<BuiltLayer>,
    /// Kernel, initrds, EFI programs.
    pub boot: BootFiles,
    /// The manifest.
    pub manifest: Manifest,
    /// Its exact bytes.
    pub manifest_bytes: Vec<u8>,
    /// Its set of profiles, where the installer chooses among several.
    pub set: Option<String>,
}

/// One run of the builder.
pub struct Builder<'a> {
    /// Where.
    pub places: &'a BuildPlaces,
    /// The site.
    pub site: &'a Site,
    /// Its id.
    pub site_id: String,
    /// The lock may not change.
    pub locked: bool,
    /// Who is told.
    pub progress: &'a dyn Progress,
}

impl Builder<'_> {
    /// Builds what the cache lacks of a host.
    ///
    /// # Errors
    /// If a package cannot be had, a layer cannot be built, or the lock would have to change and
    /// may not.
    pub fn host(&self, host: &Host, lock: &mut LockFile) -> Result<BuiltHost, BuildError> {
        let places =
            Places { site: &self.places.site, etc_apt: &self.places.etc_apt, cache: &self.places.cache };
        let session = Session::new(&host.sources, places, &host.locale.lang, &host.arch, self.progress);
        let requests = requests::of_host(host);
        lock.complete(&session, &requests, self.locked)?;
        let tools = session.tools(&lock.lock)?;
        let epoch = lock.epoch();
        let version = version::of_site(&self.places.site, epoch);
        let chain = chain::Chain { builder: self, session: &session, tools: &tools, host, epoch };
        let built = chain.build(&requests, &lock.lock)?;
        lock.take_ids(built.ledger)?;
        let init = self.places.binaries.join("landfall-init");
        let layers = built.layers;
        let from = boot::Sources { tools: &tools, cache: session.cache(), init: &init };
        let boot = boot::of_host(host, &layers, from)?;
        let admins: Vec<String> = self.site.admins().into_values().collect();
        let parts = manifest::Parts {
            site: &self.site_id,
            version: &version,
            epoch,
            layers: &layers,
            boot: &boot,
            admins: &admins,
        };
        let manifest = manifest::of_host(host, &parts);
        let manifest_bytes = manifest::to_bytes(&manifest)?;
        Ok(BuiltHost { layers, boot, manifest, manifest_bytes, set: host.variant.clone() })
    }

    /// Composes the medium of built hosts at `out`; the variants of one host stand together.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn medium(
        &self,
        hosts: Vec<BuiltHost>,
        lock: &Lock,
        request: &MediumRequest<'_>,
    ) -> Result<(), BuildError> {
        let mut spec = MediumSpec {
            site: self.site_id.clone(),
            unattended: request.unattended.map(str::to_owned),
            ..MediumSpec::default()
        };
        for variants in hosts.chunk_by(|a, b| a.manifest.host == b.manifest.host) {
            spec.hosts.push(self.medium_host(variants, request.signer)?);
        }
        for host in hosts {
            add_parts(&mut spec, host);
        }
        compose(&spec, &self.places.tools(lock), request.out, self.progress)?;
        Ok(())
    }

    /// What a medium says of one host, signed. Where the installer chooses among several generations,
    /// they stand behind the one that starts the medium.
    fn medium_host(&self, built: &[BuiltHost], signer: &identity::Signer) -> Result<MediumHost, BuildError> {
        let signed = |manifest: &Manifest, bytes: &[u8]| {
            let signature = signer.sign(manifest, bytes)?;
            let (manifest, manifest_bytes, variants) = (manifest.clone(), bytes.to_vec(), BTreeMap::new());
            Ok::<_, BuildError>(MediumHost { manifest, manifest_bytes, signature, variants })
        };
        let mut variants = BTreeMap::new();
        let mut sets = BTreeMap::new();
        for one in built {
            let Some(set) = &one.set else { return signed(&one.manifest, &one.manifest_bytes) };
            variants.insert(set.clone(), signed(&one.manifest, &one.manifest_bytes)?);
            sets.insert(set.clone(), landfall_debian::hash::sha256(&one.manifest_bytes));
        }
        let manifests = built.iter().map(|one| &one.manifest);
        let host = built.first().map(|one| one.manifest.host.as_str()).unwrap_or_default();
        let slots = self.site.profiles(host);
        let start = manifest::starting(manifests, Variants { sets, slots }).ok_or(BuildError::Empty)?;
        let bytes = manifest::to_bytes(&start)?;
        Ok(MediumHost { variants, ..signed(&start, &bytes)? })
    }
}

/// Layers and files of one generation, each once.
fn add_parts(spec: &mut MediumSpec, host: BuiltHost) {
    spec.epoch = spec.epoch.max(host.manifest.epoch);
    spec.layers.extend(host.layers.into_iter().map(|layer| (layer.sha256, layer.erofs)));
    let grub = host.boot.grub;
    for blob in host.boot.initrds.into_iter().chain([host.boot.kernel, grub.boot, grub.core]) {
        if !spec.blobs.iter().any(|known| known.reference == blob.reference) {
            spec.blobs.push(blob);
        }
    }
    for program in host.boot.efi {
        if !spec.efi.iter().any(|known| known.program == program.program) {
            spec.efi.push(program);
        }
    }
}

/// What kind of medium is asked for.
pub struct MediumRequest<'a> {
    /// The image.
    pub out: &'a Path,
    /// The host that it installs by itself.
    pub unattended: Option<&'a str>,
    /// Signs the manifests.
    pub signer: &'a identity::Signer,
}

/// Why a build stopped.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Packages.
    #[error(transparent)]
    Debian(#[from] landfall_debian::Error),
    /// Layers.
    #[error(transparent)]
    Layers(#[from] landfall_layers::Error),
    /// The medium.
    #[error(transparent)]
    Media(#[from] crate::media::MediaError),
    /// Secrets and identities.
    #[error(transparent)]
    Secrets(#[from] crate::secrets::SecretsError),
    /// Signatures.
    #[error(transparent)]
    Signing(#[from] crate::signing::SigningError),
    /// A key in `site.toml`.
    #[error(transparent)]
    Key(#[from] landfall_hosts::signature::SignatureError),
    /// The lock.
    #[error(transparent)]
    Lock(#[from] landfall_hosts::lock::LockError),
    /// A medium without a host.
    #[error("a medium needs a host; name one")]
    Empty,
    /// The lock would have to change.
    #[error("{0}")]
    Locked(String),
    /// A manifest or another file of ours could not be written as TOML.
    #[error("writing {what} as TOML")]
    Toml {
        /// Which.
        what: &'static str,
        /// Why.
        source: toml::ser::Error,
    },
    /// A file.
    #[error("{doing} {}", path.display())]
    Io {
        /// Gerund.
        doing: &'static str,
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl BuildError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// Identifies a site on media and machines: its first signing key, else who its admins are. Never
/// its folder, so that a copy is the same site.
///
/// # Errors
/// If a signing key in `site.toml` is none.
pub fn site_id(site: &Site) -> Result<String, BuildError> {
    if let Some(key) = site.signing_keys().first() {
        return Ok(landfall_hosts::signature::key_id(key)?);
    }
    let admins: String =
        site.admins().into_iter().map(|(name, recipient)| format!("{name} {recipient}\n")).collect();
    Ok(landfall_debian::hash::sha256(admins.as_bytes()).chars().take(16).collect())
}
