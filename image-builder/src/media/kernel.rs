//! Finding the signed kernel, its modules and the EFI programs in unpacked trees.

use std::path::PathBuf;

use super::error::{MediaError, Result};
use super::trees::Trees;

/// A kernel that a chain of layers carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Release, as `uname -r` says it.
    pub release: String,
    /// The signed image.
    pub vmlinuz: PathBuf,
}

/// The kernel of a chain: exactly one, for two would make it chance which one boots.
pub fn find_kernel(trees: &Trees) -> Result<Kernel> {
    let mut found = Vec::new();
    for (name, path) in trees.list("boot")? {
        let name = name.to_string_lossy();
        if let Some(release) = name.strip_prefix("vmlinuz-")
            && trees.find(format!("usr/lib/modules/{release}")).is_some()
        {
            found.push(Kernel { release: release.to_owned(), vmlinuz: path });
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(MediaError::missing(
            "a kernel (/boot/vmlinuz-* with its modules)",
            "set kernel.package to a Debian kernel, linux-image-amd64 unless you need another",
        )),
        _ => {
            let names: Vec<String> = found.into_iter().map(|kernel| kernel.release).collect();
            Err(MediaError::bad(
                "the host's kernels",
                format!("there are several ({}); remove all but one from the packages", names.join(", ")),
            ))
        }
    }
}

/// An EFI program: where it stands on an ESP, and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EfiFile {
    /// Path on the ESP.
    pub path: &'static str,
    /// File of the computer.
    pub file: PathBuf,
}

/// Path on the ESP, path in the tools root, package. `grubx64.efi` is the name under which shim
/// loads the next stage; `fbx64.efi` is left out, for it resets machines that have a TPM.
const EFI: [(&str, &str, &str); 3] = [
    ("EFI/BOOT/BOOTX64.EFI", "usr/lib/shim/shimx64.efi.signed", "shim-signed"),
    (
        "EFI/BOOT/grubx64.efi",
        "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed",
        "systemd-boot-efi-amd64-signed",
    ),
    ("EFI/BOOT/mmx64.efi", "usr/lib/shim/mmx64.efi.signed", "shim-helpers-amd64-signed"),
];

/// The EFI programs of the tools root, each signed by Microsoft or Debian as shipped.
pub fn find_efi(tools: &Trees) -> Result<Vec<EfiFile>> {
    EFI.iter()
        .map(|(path, inside, package)| {
            let file = tools.find(inside).ok_or_else(|| {
                MediaError::missing(
                    format!("/{inside} in the tools root"),
                    format!("its package {package} is not locked; run: landfall lock --update"),
                )
            })?;
            Ok(EfiFile { path, file })
        })
        .collect()
}
