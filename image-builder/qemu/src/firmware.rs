//! What a machine is started by.

use crate::error::{Error, Result};
use crate::{Words, quoted};
use std::path::{Path, PathBuf};

/// OVMF's code and an untouched set of its variables, as Debian's package `ovmf` names them.
type Ovmf = (&'static str, &'static str);

/// Secure Boot enforced, Microsoft's keys enrolled.
const SECURE: &[Ovmf] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
];
/// No Secure Boot.
const PLAIN: &[Ovmf] = &[("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd")];

/// What a machine is started by.
#[derive(Debug, Clone)]
pub enum Firmware {
    /// UEFI with Secure Boot; the file holds the machine's variables and is made from Microsoft's set if absent.
    SecureBoot {
        /// The machine's own copy of the variables.
        variables: PathBuf,
    },
    /// UEFI without Secure Boot.
    Uefi {
        /// The machine's own copy of the variables.
        variables: PathBuf,
    },
    /// SeaBIOS.
    Bios,
    /// A kernel without firmware's help: seconds to `/init`, for what does not depend on the boot chain.
    Kernel {
        /// `vmlinuz`.
        kernel: PathBuf,
        /// All initrds as one file.
        initrd: PathBuf,
        /// The command line.
        append: String,
    },
}

impl Firmware {
    /// QEMU's machine type: Secure Boot needs system management mode.
    pub(crate) fn machine(&self) -> &'static str {
        if matches!(self, Self::SecureBoot { .. }) { "q35,smm=on" } else { "q35" }
    }

    pub(crate) fn words(&self, words: &mut Words) -> Result<()> {
        match self {
            Self::SecureBoot { variables } => {
                words.option("-global", "driver=cfi.pflash01,property=secure,value=on");
                flash(words, secure()?, variables)
            }
            Self::Uefi { variables } => {
                flash(words, found(PLAIN, "OVMF without Secure Boot (OVMF_CODE_4M.fd)")?, variables)
            }
            Self::Bios => Ok(()),
            Self::Kernel { kernel, initrd, append } => {
                words.option("-kernel", &kernel.display().to_string());
                words.option("-initrd", &initrd.display().to_string());
                words.option("-append", append);
                Ok(())
            }
        }
    }
}

/// OVMF with Secure Boot: code, and Microsoft's set of variables.
pub(crate) fn secure() -> Result<Ovmf> {
    found(SECURE, "OVMF with Microsoft's keys (OVMF_CODE_4M.ms.fd)")
}

fn found(table: &[Ovmf], what: &str) -> Result<Ovmf> {
    let there = |(code, variables): &&Ovmf| Path::new(code).exists() && Path::new(variables).exists();
    table.iter().find(there).copied().ok_or_else(|| Error::missing(what, "ovmf"))
}

fn flash(words: &mut Words, (code, template): Ovmf, variables: &Path) -> Result<()> {
    if !variables.exists() {
        std::fs::copy(template, variables).map_err(Error::io("copying firmware variables to", variables))?;
    }
    words.option("-drive", &format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"));
    words.option("-drive", &format!("if=pflash,format=raw,unit=1,file={}", quoted(variables)));
    Ok(())
}
