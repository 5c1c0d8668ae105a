//! A host's chain of layers, from its merged config and the lock.

use super::requests::PROFILE;
use super::{BuildError, Builder};
use landfall_debian::mirrors;
use landfall_debian::resolve::LayerRequest;
use landfall_debian::session::Session;
use landfall_debian::tools::Tools;
use landfall_hosts::host::Host;
use landfall_hosts::lock::Lock;
use landfall_hosts::manifest::LayerKind;
use landfall_hosts::{homes, machine};
use landfall_layers::{
    BuiltChain, ChainSpec, HostSpec, Package, PackageSpec, SettingsSpec, Step, StepContent, build_chain,
};
use std::collections::BTreeMap;

/// What marks a boot as good, of the package `systemd-boot`: systemd-bless-boot.service(8). The
/// package itself cannot be installed: its script wants a mounted ESP, and would write to it.
const BLESSING: &[&str] = &[
    "usr/lib/systemd/systemd-bless-boot",
    "usr/lib/systemd/system/systemd-bless-boot.service",
    "usr/lib/systemd/system-generators/systemd-bless-boot-generator",
];

/// What a chain is built from.
pub struct Chain<'a> {
    /// The run that it belongs to.
    pub builder: &'a Builder<'a>,
    /// Brings packages.
    pub session: &'a Session<'a>,
    /// Programs.
    pub tools: &'a Tools,
    /// The host.
    pub host: &'a Host,
    /// Newest date in the lock.
    pub epoch: u64,
}

/// Whether a step of this kind installs packages.
pub fn holds_packages(kind: LayerKind) -> bool {
    matches!(kind, LayerKind::Base | LayerKind::Desktop | LayerKind::Packages | LayerKind::Profile)
}

impl Chain<'_> {
    /// Builds what the cache lacks.
    ///
    /// # Errors
    /// If a package cannot be had or a layer cannot be built.
    pub fn build(&self, requests: &[LayerRequest], lock: &Lock) -> Result<BuiltChain, BuildError> {
        let mut steps = Vec::new();
        for request in requests {
            steps.push(self.packages(request, lock)?);
        }
        let settings = SettingsSpec::of_host(self.host, &self.builder.places.site)?;
        steps.push(Step { kind: LayerKind::Settings, content: StepContent::Settings(settings) });
        steps.push(Step { kind: LayerKind::Host, content: StepContent::Host(Box::new(self.host_layer()?)) });
        let spec = ChainSpec {
            cache: self.session.cache(),
            tools: self.tools,
            steps,
            ledger: lock.ids.clone(),
            locked: self.builder.locked,
        };
        Ok(build_chain(&spec, self.builder.progress)?)
    }

    fn host_layer(&self) -> Result<HostSpec, BuildError> {
        let (host, builder) = (self.host, self.builder);
        let site = &builder.places.site;
        let homes = homes::of_host(host, builder.site.tree()).map_err(BuildError::io("listing", site))?;
        let (mirror, security_mirror) = mirrors::of_machine(&host.sources.mirror, &host.locale.lang);
        Ok(HostSpec {
            machine: machine::from_host(host, &builder.site_id, self.epoch, &homes),
            host: host.clone(),
            site: site.clone(),
            homes,
            epoch: self.epoch,
            mirror,
            security_mirror,
            machine_binary: builder.places.binaries.join("landfall-machine"),
            taken: BLESSING.iter().map(|path| (format!("/{path}"), self.tools.root.join(path))).collect(),
            ciphertexts: self.ciphertexts()?,
            signing_keys: builder.site.signing_keys(),
        })
    }

    /// The host's secrets as they stand in the site: only ciphertext travels.
    fn ciphertexts(&self) -> Result<BTreeMap<String, Vec<u8>>, BuildError> {
        let read = |(name, secret): (&String, &landfall_hosts::host::Secret)| {
            let path = self.builder.places.site.join(&secret.file);
            let bytes = std::fs::read(&path).map_err(BuildError::io("reading the secret", &path))?;
            Ok((name.clone(), bytes))
        };
        self.host.secrets.iter().map(read).collect()
    }

    fn packages(&self, request: &LayerRequest, lock: &Lock) -> Result<Step, BuildError> {
        let files = self.session.fetch(lock, &request.name)?;
        let packages = files.into_iter().map(|(key, file)| {
            let sha256 = lock.packages.get(&key).map_or(String::new(), |package| package.sha256.clone());
            Package { key, sha256, file }
        });
        let layer = lock.layers.get(&request.name);
        Ok(Step {
            kind: kind(&request.name),
            content: StepContent::Packages(PackageSpec {
                name: request.name.clone(),
                packages: packages.collect(),
                removes: layer.map(|layer| layer.removes.clone()).unwrap_or_default(),
                wants: request.packages.clone(),
                debconf: self.host.debconf.clone(),
            }),
        })
    }
}

/// The kind of a layer by its name in the lock: `base…`, `HOST/desktop`, `HOST/packages`,
/// `HOST/profile@SET`.
fn kind(name: &str) -> LayerKind {
    match name.rsplit_once('/') {
        None => LayerKind::Base,
        Some((_, "desktop")) => LayerKind::Desktop,
        Some((_, step)) if step.starts_with(PROFILE) => LayerKind::Profile,
        Some(_) => LayerKind::Packages,
    }
}
