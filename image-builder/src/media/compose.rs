//! Putting a medium together: one image file with GPT, ESP and data partition.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use landfall_disk::{
    Bios, ENTRIES, EspTree, Guids, LOADER_CONF, Layout, MIB, Old, Source, guid, medium_grub_cfg,
    medium_grub_start, medium_loader_conf, types, write_esp, write_new,
};
use landfall_hosts::event::Progress;
use landfall_hosts::manifest::{BlobRef, EfiProgram, LayerRef, Manifest};
use landfall_hosts::medium::{IDENTITY_SIZE, MediumIndex, UNATTENDED_SIZE};
use landfall_hosts::paths::{data, grub as grub_paths};
use landfall_hosts::profiles::variant_name;
use sha2::{Digest, Sha256};
use tempfile::TempPath;

use super::data::{DataTarget, DataTree, Placed, hex, write_data};
use super::draft::{Draft, Older, folder};
use super::error::{MediaError, Result};
use super::fill::{bring_up_to_date, fill};
use super::grub;
use super::kernel::EfiFile;
use super::menu;
use super::stamp::Stamp;
use super::trees::Trees;

/// Room on a medium's ESP for reports of many installs, beside its own files.
const REPORTS_BYTES: u64 = 16 * MIB;
/// Folder of the reports on a medium's ESP.
const REPORTS: &str = "reports";

/// A kernel, an initrd or an EFI program: bytes that go on an ESP, and their hash.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Name, hash and size as a manifest says them.
    pub reference: BlobRef,
    /// Where the bytes are.
    pub source: Source,
}

impl Blob {
    /// A blob of bytes at hand; `name` is `vmlinuz`, `initrd`, `microcode` or `keymap`.
    pub fn bytes(name: &str, bytes: Vec<u8>) -> Self {
        Self {
            reference: BlobRef {
                name: name.to_owned(),
                sha256: hex(&Sha256::digest(&bytes)),
                size: bytes.len() as u64,
            },
            source: Source::Bytes(bytes),
        }
    }

    /// A blob that is a file; it is read once, so that hash and bytes belong together.
    pub fn file(name: &str, path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(MediaError::file("reading", path))?;
        Ok(Self::bytes(name, bytes))
    }
}

/// An EFI program and its bytes.
#[derive(Clone, Debug)]
pub struct EfiBlob {
    /// Path, hash and size as a manifest says them.
    pub program: EfiProgram,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl EfiBlob {
    /// Reads an EFI program.
    pub fn read(file: &EfiFile) -> Result<Self> {
        let bytes = std::fs::read(&file.file).map_err(MediaError::file("reading", &file.file))?;
        Ok(Self {
            program: EfiProgram {
                path: file.path.to_owned(),
                sha256: hex(&Sha256::digest(&bytes)),
                size: bytes.len() as u64,
            },
            bytes,
        })
    }
}

/// One host on a medium.
#[derive(Clone, Debug)]
pub struct MediumHost {
    /// Its manifest.
    pub manifest: Manifest,
    /// The manifest's exact bytes: what is hashed and signed.
    pub manifest_bytes: Vec<u8>,
    /// The minisign signature over them, where the site has a key.
    pub signature: Option<Vec<u8>>,
    /// Set of profiles → the generation that is installed where it fits; none where the host has one.
    pub variants: BTreeMap<String, MediumHost>,
}

impl MediumHost {
    /// Name of the file of each manifest without its ending, and the manifest.
    fn manifests(&self) -> impl Iterator<Item = (String, &Self)> {
        let name = &self.manifest.host;
        let variants = self.variants.iter().map(move |(set, one)| (variant_name(name, set), one));
        std::iter::once((name.clone(), self)).chain(variants)
    }
}

/// What a medium is made of. Layers and blobs are shared by the hosts, each is there once.
#[derive(Debug, Default)]
pub struct MediumSpec {
    /// Site id, as in the manifests.
    pub site: String,
    /// Hosts.
    pub hosts: Vec<MediumHost>,
    /// sha256 → EROFS image.
    pub layers: BTreeMap<String, PathBuf>,
    /// Kernels, initrds and GRUB's parts of all hosts.
    pub blobs: Vec<Blob>,
    /// EFI programs.
    pub efi: Vec<EfiBlob>,
    /// The host that the medium installs by itself.
    pub unattended: Option<String>,
    /// Every time stamp on the medium.
    pub epoch: u64,
}

/// Composes the image at `out`: beside it first, and renamed when it is whole.
///
/// The same spec gives the same bytes. `tools` is the tools root (mke2fs, debugfs). An image that is
/// at `out` already, and was not changed since it was composed, gives the layers that stay.
pub fn compose(spec: &MediumSpec, tools: &Trees, out: &Path, progress: &dyn Progress) -> Result<()> {
    let draft = Draft::make(out)?;
    let image = &draft.image;
    let layers = compose_all_but_layers(spec, tools, &draft.path, image)?;
    match Older::take(out) {
        Some(older) => {
            bring_up_to_date(&older.image, image, &layers)
                .map_err(MediaError::file("bringing up to date", out))?;
            let missing: Vec<&Placed> = layers.iter().filter(|layer| !older.stamp.has(layer)).collect();
            fill(&older.image, &missing, progress)?;
            finish(&older.image, image, &layers, older.path, out)?;
        }
        None => {
            fill(image, &layers.iter().collect::<Vec<_>>(), progress)?;
            finish(image, image, &layers, draft.path, out)?;
        }
    }
    let folder = folder(out);
    File::open(folder).and_then(|dir| dir.sync_all()).map_err(MediaError::file("flushing", folder))
}

/// Everything but the layers' own bytes, for which it makes room.
fn compose_all_but_layers(
    spec: &MediumSpec,
    tools: &Trees,
    path: &Path,
    mut image: &File,
) -> Result<Vec<Placed>> {
    let index = index(spec)?;
    let seed = seed(spec, &index);
    let guids = Guids::derived(&seed);
    let esp = esp_tree(spec, &guids, &seed)?;
    let data = data_tree(spec, &index)?;
    let layout = Layout::medium(esp.bytes_needed()? + REPORTS_BYTES, data.filesystem_bytes());
    image.set_len(layout.disk_bytes).map_err(MediaError::file("sizing", path))?;
    write_new(&mut image, &layout, &guids, types::MEDIUM_NAME, Old::Zeroes)?;
    write_esp(image, layout.esp, layout.sector_bytes, &esp)?;
    if let Some(bios) = bios(spec)? {
        bios.put_core(&mut image, &layout)?;
        bios.put_boot(&mut image, &layout)?;
    }
    let target = DataTarget {
        image: path,
        at: layout.data,
        uuids: ["ext4", "ext4-hash"].map(|what| guid::derived(&seed, what).to_string()),
        epoch: spec.epoch,
    };
    write_data(tools, &target, &data)
}

/// GRUB, as the first host that has one says. One lock, and so one GRUB, serves all of them.
fn bios(spec: &MediumSpec) -> Result<Option<Bios>> {
    let Some(parts) = spec.hosts.iter().find_map(|host| host.manifest.bios.as_ref()) else {
        return Ok(None);
    };
    let bytes = |wanted: &BlobRef| match spec.blobs.iter().find(|blob| blob.reference == *wanted) {
        Some(Blob { source: Source::Bytes(bytes), .. }) => Ok(bytes.clone()),
        _ => Err(MediaError::missing(wanted.name.clone(), "build the host again")),
    };
    Ok(Some(Bios::new(bytes(&parts.boot)?, bytes(&parts.core)?)?))
}

fn finish(image: &File, draft: &File, layers: &[Placed], path: TempPath, out: &Path) -> Result<()> {
    let flushing = MediaError::file("flushing", &path);
    let permissions = draft.metadata().map(|meta| meta.permissions());
    permissions
        .and_then(|permissions| image.set_permissions(permissions))
        .and_then(|()| image.sync_all())
        .map_err(flushing)?;
    Stamp::put(image, layers);
    path.persist(out).map_err(|error| MediaError::file("renaming the finished image to", out)(error.error))
}

/// The index of the medium; every part that a manifest names must be at hand.
fn index(spec: &MediumSpec) -> Result<MediumIndex> {
    let mut layers: BTreeMap<&str, &LayerRef> = BTreeMap::new();
    let mut hosts = BTreeMap::new();
    let absent = |what: String| MediaError::missing(what, "build the host again");
    for (_, host) in spec.hosts.iter().flat_map(MediumHost::manifests) {
        let manifest = &host.manifest;
        for layer in &manifest.layers {
            if !spec.layers.contains_key(&layer.sha256) {
                return Err(absent(format!("layer {} of {}", layer.sha256, manifest.host)));
            }
            layers.insert(&layer.sha256, layer);
        }
        for blob in manifest.blobs() {
            if !spec.blobs.iter().any(|have| have.reference == *blob) {
                return Err(absent(format!("{} of {}", blob.name, manifest.host)));
            }
        }
        for program in &manifest.efi {
            if !spec.efi.iter().any(|have| have.program == *program) {
                return Err(absent(format!("{} of {}", program.path, manifest.host)));
            }
        }
    }
    for host in &spec.hosts {
        let hash = hex(&Sha256::digest(&host.manifest_bytes));
        hosts.insert(host.manifest.host.clone(), hash);
    }
    if let Some(name) = &spec.unattended
        && !hosts.contains_key(name)
    {
        return Err(absent(format!("the unattended host {name} on this medium")));
    }
    // What changes seldom comes first, so that it keeps its place when something small changes.
    let mut layers: Vec<LayerRef> = layers.into_values().cloned().collect();
    layers.sort_by_key(|layer| layer.kind);
    Ok(MediumIndex { format: 1, site: spec.site.clone(), hosts, layers })
}

/// What the medium's GUIDs follow from: everything that makes it another medium.
fn seed(spec: &MediumSpec, index: &MediumIndex) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    add("landfall-medium-1");
    add(&index.site);
    for (host, manifest) in &index.hosts {
        add(host);
        add(manifest);
    }
    add(spec.unattended.as_deref().unwrap_or_default());
    for program in &spec.efi {
        add(&program.program.sha256);
    }
    add(&spec.epoch.to_string());
    hash.finalize().to_vec()
}

fn esp_tree(spec: &MediumSpec, guids: &Guids, seed: &[u8]) -> Result<EspTree> {
    let volume = guid::derived(seed, "fat").as_u128();
    let mut tree = EspTree {
        // The volume id is 32 bits: the first of a derived GUID.
        volume_id: (volume >> 96) as u32,
        folders: vec![REPORTS.to_owned()],
        ..EspTree::default()
    };
    for program in &spec.efi {
        tree.add(&program.program.path, Source::Bytes(program.bytes.clone()));
    }
    let mut blobs: BTreeMap<String, &Blob> = BTreeMap::new();
    for blob in &spec.blobs {
        blobs.insert(blob.reference.esp_path(), blob);
    }
    for (path, blob) in blobs {
        tree.add(path, blob.source.clone());
    }
    let manifests: Vec<&Manifest> = spec.hosts.iter().map(|host| &host.manifest).collect();
    let unattended = spec.unattended.as_deref();
    let data = guids.data.to_string();
    let items = menu::entries(&manifests, unattended, &data);
    for item in &items {
        let text = item.entry.render()?;
        let path = format!("{ENTRIES}/{}", item.file);
        tree.add(path, Source::Bytes(text.into_bytes()));
    }
    let default = unattended.map(|_| menu::UNATTENDED_FILE);
    let conf = medium_loader_conf(default);
    tree.add(LOADER_CONF, Source::Bytes(conf.into_bytes()));
    let cfg = medium_grub_cfg(&grub::entries(&items))?;
    tree.add(grub_paths::CFG, Source::Bytes(cfg.into_bytes()));
    let start = medium_grub_start(default.map(grub::id));
    tree.add(grub_paths::START, Source::Bytes(start.into_bytes()));
    Ok(tree)
}

fn data_tree(spec: &MediumSpec, index: &MediumIndex) -> Result<DataTree> {
    let mut tree = DataTree::default();
    let text =
        toml::to_string(index).map_err(|error| MediaError::bad("the medium's index", error.to_string()))?;
    tree.bytes(data::MEDIUM.to_owned(), 0o644, text.into_bytes());
    // Blank now, and overwritten in place afterwards: the deterministic image stays comparable.
    let blank = |len: usize| vec![b'\n'; len];
    tree.bytes(data::UNATTENDED.to_owned(), 0o644, blank(UNATTENDED_SIZE));
    for (name, host) in spec.hosts.iter().flat_map(MediumHost::manifests) {
        let manifest = format!("{}/{name}.toml", data::GENERATIONS);
        tree.bytes(manifest.clone(), 0o644, host.manifest_bytes.clone());
        if let Some(signature) = &host.signature {
            tree.bytes(format!("{manifest}.minisig"), 0o644, signature.clone());
        }
    }
    for host in &spec.hosts {
        let name = &host.manifest.host;
        for kind in ["key", "age"] {
            let path = format!("{}/{name}.{kind}", data::IDENTITIES);
            tree.bytes(path, 0o600, blank(IDENTITY_SIZE));
        }
    }
    for layer in &index.layers {
        let path = format!("{}/{}.erofs", data::LAYERS, layer.sha256);
        let from = spec
            .layers
            .get(&layer.sha256)
            .ok_or_else(|| MediaError::missing(format!("layer {}", layer.sha256), "build the host again"))?;
        tree.layer(path, from, &layer.sha256)?;
    }
    Ok(tree)
}
