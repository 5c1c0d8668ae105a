//! Firmware and TPM.

use crate::read;
use crate::roots::Roots;

/// `uefi` or `bios`.
pub fn kind(roots: &Roots) -> String {
    if roots.sys.join("firmware/efi").exists() { "uefi" } else { "bios" }.into()
}

/// 64 or 32, of UEFI alone (kernel, `Documentation/ABI/testing/sysfs-firmware-efi`).
pub fn bits(roots: &Roots) -> Option<u32> {
    let bits = read::number(&roots.sys.join("firmware/efi/fw_platform_size"))?;
    matches!(bits, 32 | 64).then_some(bits as u32)
}

/// Whether Secure Boot is enforced. The variable has four bytes of attributes and then 1 or 0
/// (UEFI specification 2.10, 3.3).
pub fn secure_boot(roots: &Roots) -> Option<bool> {
    let name = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let bytes = std::fs::read(roots.sys.join(name)).ok()?;
    bytes.get(4).map(|value| *value == 1)
}

/// The TPM's major version (kernel, `Documentation/ABI/stable/sysfs-class-tpm`).
pub fn tpm(roots: &Roots) -> Option<u32> {
    u32::try_from(read::number(&roots.sys.join("class/tpm/tpm0/tpm_version_major"))?).ok()
}
