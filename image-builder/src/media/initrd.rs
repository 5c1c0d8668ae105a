//! The initrd: our static `/init`, the kernel modules it needs, and the few Debian programs it
//! calls with their libraries. One initrd serves the medium and the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::cpio::{Cpio, Kind};
use super::elf;
use super::error::{MediaError, Result};
use super::modules::{self, ModuleSet};
use super::trees::Trees;

/// A program's name, and the package that has it.
pub(super) type Program = (&'static str, &'static str);

/// Programs that `/init` calls, and what for: checking and making ext4, and a rescue shell.
const PROGRAMS: [Program; 3] =
    [("e2fsck", "e2fsprogs"), ("mke2fs", "e2fsprogs"), ("busybox", "busybox-static")];
/// Files that the programs read.
const FILES: [(&str, &str); 1] = [("etc/mke2fs.conf", "e2fsprogs")];
/// Where programs may stand in a Debian root.
pub(crate) const BIN: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];
/// Where libraries may stand in a Debian root (`ld.so(8)` with Debian's multiarch folder first).
pub(crate) const LIB: [&str; 5] = [
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib",
    "lib",
    // Where systemd-cryptenroll and its token have a library of their own.
    "usr/lib/x86_64-linux-gnu/systemd",
];
/// Compression level, measured on the whole initrd: a twentieth of level 19's time for 13 % more bytes,
/// and no slower to unpack.
const ZSTD_LEVEL: i32 = 9;

/// What an initrd is made from.
#[derive(Debug)]
pub struct InitrdParts<'a> {
    /// The static `landfall-init`.
    pub init: &'a Path,
    /// The chain of layers that carries the kernel.
    pub chain: &'a Trees,
    /// The tools root.
    pub tools: &'a Trees,
    /// The kernel's release.
    pub release: &'a str,
}

/// Composes the initrd: the same parts give the same bytes.
pub fn compose_initrd(parts: &InitrdParts<'_>) -> Result<Vec<u8>> {
    compress(&compose_plain(parts)?)
}

fn compose_plain(parts: &InitrdParts<'_>) -> Result<Vec<u8>> {
    let mut root = with_programs(parts, &[])?;
    root.file("init", 0o755, read(parts.init)?);
    add_modules(&mut root, &modules::select(parts.chain, parts.release, &[])?, parts.release)?;
    root.cpio()
}

/// Every file of the initrd but its modules and our own program, with further programs.
pub(super) fn with_programs(parts: &InitrdParts<'_>, further: &[Program]) -> Result<Root> {
    let mut root = Root::default();
    root.skeleton();
    let programs: Vec<Program> = PROGRAMS.iter().chain(further).copied().collect();
    add_programs(&mut root, parts.tools, &programs)?;
    for (path, package) in FILES {
        let host = parts.tools.find(path).ok_or_else(|| no_tool(path, package))?;
        root.file(path, 0o644, read(&host)?);
    }
    // The kernel itself asks /sbin/modprobe for what a mount turns out to need.
    for applet in ["usr/bin/sh", "usr/bin/mount", "usr/bin/dmesg", "usr/sbin/modprobe"] {
        root.nodes.insert(applet.to_owned(), Node::Symlink("../sbin/busybox".to_owned()));
    }
    Ok(root)
}

/// zstd in one frame with a checksum, the one form that the kernel's own unpacker takes.
pub(super) fn compress(cpio: &[u8]) -> Result<Vec<u8>> {
    let frame = || {
        let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.include_contentsize(true)?;
        encoder.set_pledged_src_size(Some(cpio.len() as u64))?;
        encoder.write_all(cpio)?;
        encoder.finish()
    };
    frame().map_err(MediaError::io("compressing an initrd"))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(MediaError::file("reading", path))
}

/// The tree that becomes the cpio: path → node, so that order and parents follow from the paths.
#[derive(Default)]
pub(super) struct Root {
    nodes: BTreeMap<String, Node>,
}

#[derive(PartialEq)]
enum Node {
    Directory,
    File(u32, Vec<u8>),
    Symlink(String),
    Character(u32, u32),
}

impl Root {
    fn skeleton(&mut self) {
        for dir in ["dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "usr/sbin", "usr/lib64"] {
            self.directory(dir);
        }
        for (link, target) in
            [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")]
        {
            self.nodes.insert(link.to_owned(), Node::Symlink(target.to_owned()));
        }
        // The kernel opens /dev/console for /init before anything is mounted (devices.txt: 5, 1).
        self.nodes.insert("dev/console".to_owned(), Node::Character(5, 1));
        self.nodes.insert("dev/null".to_owned(), Node::Character(1, 3));
    }

    fn directory(&mut self, path: &str) {
        self.parents(path);
        self.nodes.entry(path.to_owned()).or_insert(Node::Directory);
    }

    /// Leaves out what `other` has, byte for byte.
    pub(super) fn without(mut self, other: &Self) -> Self {
        self.nodes.retain(|path, node| other.nodes.get(path) != Some(node));
        self
    }

    pub(super) fn file(&mut self, path: &str, mode: u32, bytes: Vec<u8>) {
        self.parents(path);
        self.nodes.insert(path.to_owned(), Node::File(mode, bytes));
    }

    fn parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            if let Some(parent) = path.get(..at) {
                self.nodes.entry(parent.to_owned()).or_insert(Node::Directory);
            }
        }
    }

    pub(super) fn cpio(&self) -> Result<Vec<u8>> {
        let mut cpio = Cpio::new(Vec::new());
        let added = self.nodes.iter().try_for_each(|(path, node)| match node {
            Node::Directory => cpio.add(path, 0o755, Kind::Directory),
            Node::File(mode, bytes) => cpio.add(path, *mode, Kind::File(bytes)),
            Node::Symlink(target) => cpio.add(path, 0o777, Kind::Symlink(target)),
            Node::Character(major, minor) => cpio.add(path, 0o600, Kind::Character(*major, *minor)),
        });
        added.and_then(|()| cpio.finish(512)).map_err(MediaError::io("composing an initrd"))
    }
}

fn add_programs(root: &mut Root, tools: &Trees, programs: &[Program]) -> Result<()> {
    let mut libraries = BTreeSet::new();
    for (name, package) in programs {
        let host =
            tools.find_any(BIN.map(|dir| format!("{dir}/{name}"))).ok_or_else(|| no_tool(name, package))?;
        let bytes = read(&host)?;
        let needs = elf::needs(&bytes, name)?;
        libraries.extend(needs.libraries);
        if let Some(loader) = needs.interpreter {
            add_loader(root, tools, &loader)?;
        }
        root.file(&format!("usr/sbin/{name}"), 0o755, bytes);
    }
    add_libraries(root, tools, libraries)
}

pub(super) fn no_tool(name: &str, package: &str) -> MediaError {
    MediaError::missing(
        format!("{name} in the tools root"),
        format!("its package {package} is not locked; run: landfall lock --update"),
    )
}

fn add_loader(root: &mut Root, tools: &Trees, path: &str) -> Result<()> {
    // A root of bare packages lacks the links of the merged /usr.
    let host =
        tools.find_any([path.to_owned(), format!("usr/{path}")]).ok_or_else(|| no_tool(path, "libc6"))?;
    let name = path.rsplit('/').next().unwrap_or(path);
    root.file(&format!("usr/lib64/{name}"), 0o755, read(&host)?);
    Ok(())
}

pub(super) fn add_libraries(root: &mut Root, tools: &Trees, wanted: BTreeSet<String>) -> Result<()> {
    let mut open: Vec<String> = wanted.into_iter().collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        // The dynamic loader names itself as a library; it has its own place already.
        if !seen.insert(name.clone()) || name.starts_with("ld-linux") {
            continue;
        }
        let host: PathBuf = tools
            .find_any(LIB.map(|dir| format!("{dir}/{name}")))
            .ok_or_else(|| no_tool(&name, "that has this library"))?;
        let bytes = read(&host)?;
        open.extend(elf::needs(&bytes, &name)?.libraries);
        root.file(&format!("usr/lib/x86_64-linux-gnu/{name}"), 0o644, bytes);
    }
    Ok(())
}

pub(super) fn add_modules(root: &mut Root, modules: &ModuleSet, release: &str) -> Result<()> {
    let dir = format!("usr/lib/modules/{release}");
    for (path, host) in &modules.files {
        root.file(&format!("{dir}/{path}"), 0o644, modules::load(host)?);
    }
    for (name, text) in &modules.indices {
        root.file(&format!("{dir}/{name}"), 0o644, text.clone().into_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and contents of a cpio in the `newc` format.
    fn unpack(cpio: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let number =
            |at: usize| usize::from_str_radix(std::str::from_utf8(&cpio[at..at + 8]).unwrap(), 16).unwrap();
        let mut out = BTreeMap::new();
        let mut at = 0;
        loop {
            assert_eq!(&cpio[at..at + 6], b"070701");
            let (size, name_size) = (number(at + 54), number(at + 94));
            let name = String::from_utf8(cpio[at + 110..at + 109 + name_size].to_vec()).unwrap();
            let data = (at + 110 + name_size).next_multiple_of(4);
            if name == "TRAILER!!!" {
                return out;
            }
            out.insert(name, cpio[data..data + size].to_vec());
            at = (data + size).next_multiple_of(4);
        }
    }

    fn put(root: &Path, path: &str, bytes: &[u8]) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        std::io::Read::read_to_end(&mut liblzma::read::XzEncoder::new(bytes, 6), &mut out).unwrap();
        out
    }

    fn chain(root: &Path) {
        let dir = "usr/lib/modules/6.12-test";
        let ext4 = "kernel/fs/ext4/ext4.ko.xz";
        put(root, &format!("{dir}/{ext4}"), &packed(b"module ext4"));
        put(root, &format!("{dir}/kernel/stray.ko.xz"), b"not wanted");
        let dep = format!("{ext4}:\nkernel/stray.ko.xz:\n");
        put(root, &format!("{dir}/modules.dep"), dep.as_bytes());
        let alias = b"# Aliases\nalias fs-ext4 ext4\nalias pci:* stray\n";
        put(root, &format!("{dir}/modules.alias"), alias);
        put(root, &format!("{dir}/modules.softdep"), b"");
        put(root, &format!("{dir}/modules.order"), format!("{ext4}\n").as_bytes());
        let builtin: String = modules::REQUIRED.iter().map(|name| format!("kernel/{name}.ko\n")).collect();
        put(root, &format!("{dir}/modules.builtin"), builtin.as_bytes());
    }

    /// The programs are this computer's own; a computer that is not laid out like Debian has none.
    fn tools(root: &Path) -> Option<Trees> {
        if !Path::new("/usr/sbin/mke2fs").exists() || !Path::new("/etc/mke2fs.conf").exists() {
            eprintln!("not tested: this computer has no mke2fs");
            return None;
        }
        put(root, "usr/bin/busybox", &std::fs::read("/bin/sh").unwrap());
        Some(Trees::new(vec![root.to_owned(), "/".into()]))
    }

    #[test]
    fn an_initrd_has_what_it_needs_and_comes_out_the_same_twice() {
        let dir = tempfile::tempdir().unwrap();
        let Some(tools) = tools(&dir.path().join("tools")) else { return };
        chain(&dir.path().join("chain"));
        put(dir.path(), "landfall-init", b"static");
        let chain = Trees::new(vec![dir.path().join("chain")]);
        let init = dir.path().join("landfall-init");
        let parts = InitrdParts { init: &init, chain: &chain, tools: &tools, release: "6.12-test" };
        let initrd = compose_plain(&parts).unwrap();
        assert!(initrd == compose_plain(&parts).unwrap());

        let files = unpack(&initrd);
        assert_eq!(files["init"], b"static");
        assert_eq!(files["usr/bin/sh"], b"../sbin/busybox");
        let dir = "usr/lib/modules/6.12-test";
        assert_eq!(files[&format!("{dir}/kernel/fs/ext4/ext4.ko")], b"module ext4");
        assert_eq!(files[&format!("{dir}/modules.dep")], b"kernel/fs/ext4/ext4.ko:\n");
        assert_eq!(files[&format!("{dir}/modules.alias")], b"alias fs-ext4 ext4\n");
        assert!(!files.keys().any(|name| name.contains("stray")));
        for name in ["dev/console", "etc/mke2fs.conf", "usr/sbin/e2fsck", "usr/sbin/mke2fs"] {
            assert!(files.contains_key(name), "{name}");
        }
        assert!(files.contains_key("usr/lib/x86_64-linux-gnu/libc.so.6"));
        assert!(files.keys().any(|name| name.starts_with("usr/lib64/ld-linux")));
    }

    #[test]
    fn the_stream_is_one_frame_that_says_its_size() {
        let packed = compress(&[7; 100_000]).unwrap();
        assert_eq!(zstd::decode_all(packed.as_slice()).unwrap(), [7; 100_000]);
        // RFC 8878, 3.1.1: magic, then a descriptor whose bit 2 is the checksum's.
        assert_eq!(packed[..4], [0x28, 0xb5, 0x2f, 0xfd]);
        assert_ne!(packed[4] & 0x04, 0);
    }

    #[test]
    fn a_missing_program_names_its_package_and_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        chain(dir.path());
        put(dir.path(), "landfall-init", b"static");
        let trees = Trees::new(vec![dir.path().to_owned()]);
        let init = dir.path().join("landfall-init");
        let parts = InitrdParts { init: &init, chain: &trees, tools: &trees, release: "6.12-test" };
        let error = compose_initrd(&parts).unwrap_err().to_string();
        assert!(error.contains("e2fsprogs") && error.contains("landfall lock"), "{error}");
    }
}
