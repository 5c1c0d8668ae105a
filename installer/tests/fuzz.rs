//! Fuzz targets: what the kernel, the firmware and a medium say to `/init`.

use age::secrecy::SecretString;
use landfall_fuzz::target;
use landfall_installer::cmdline::Cmdline;
use landfall_installer::install::{has_bare_identity, identity, unattended};
use landfall_installer::modules::Index;
use landfall_installer::nvram::{self, LoadOption, Target};
use landfall_installer::roots::Roots;
use landfall_installer::uevent::Uevent;

/// Vendor GUID of the firmware's own variables (UEFI specification 2.10, 3.3).
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// The command line, an event, and the four files of depmod, which `%%` separates here.
#[test]
fn kernel() {
    target!("kernel", |bytes: &[u8]| {
        let _ = Uevent::parse(bytes);
        let text = String::from_utf8_lossy(bytes);
        let cmdline = Cmdline::parse(&text);
        let _ = (cmdline.mode(), cmdline.host(), cmdline.generation(), cmdline.data(), cmdline.unattended());
        let mut parts = text.split("%%");
        let mut next = || parts.next().unwrap_or_default();
        let (dep, alias, soft, builtin, wanted) = (next(), next(), next(), next(), next());
        let index = Index::parse(dep, alias, soft, builtin);
        for name in index.resolve(wanted) {
            let _ = (index.module(&name), index.soft(&name), index.is_builtin(&name));
        }
    });
}

#[test]
fn variables() {
    target!("variables", |bytes: &[u8]| {
        if let Some(option) = LoadOption::decode(bytes) {
            let again = LoadOption::decode(&option.encode());
            assert!(again.is_some() || option.description.contains('\0'), "{option:?}");
        }
        let top = tempfile::tempdir().expect("a folder");
        let roots = Roots::under(top.path());
        let folder = roots.sys.join("firmware/efi/efivars");
        std::fs::create_dir_all(&folder).expect("a folder");
        let value = [&[7, 0, 0, 0][..], bytes].concat();
        for name in ["Boot0000", "Boot00FF", "BootOrder"] {
            std::fs::write(folder.join(format!("{name}-{GLOBAL}")), &value).expect("a variable");
        }
        let target = Target { partition: 2, first_lba: 4096, sectors: 2048, guid: [9; 16] };
        nvram::put_first(&roots, &target, &[[9; 16]]).expect("two entries leave room for a third");
        let _ = nvram::loader_text(&roots, "LoaderEntrySelected");
    });
}

#[test]
fn mark() {
    let top = tempfile::tempdir().expect("a folder");
    let identities = top.path().join(landfall_hosts::paths::data::IDENTITIES);
    std::fs::create_dir_all(&identities).expect("a folder");
    target!("mark", |bytes: &[u8]| {
        if let Ok(Some(mark)) = unattended::parse(&String::from_utf8_lossy(bytes)) {
            let _ = unattended::is_done(&mark);
        }
        std::fs::write(identities.join("vm.key"), bytes).expect("an identity");
        let _ = has_bare_identity(top.path());
    });
}

/// With the least work that scrypt can ask: more is refused before it is done.
#[test]
fn identity() {
    target!("identity", |bytes: &[u8]| {
        let _ = identity::unwrap(bytes, SecretString::from("right".to_owned()), 1);
    });
}
