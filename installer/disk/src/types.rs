//! Partition type GUIDs: ours, and names for those that a refusal may have to mention.

use uuid::Uuid;

/// BIOS boot (GRUB manual, "BIOS installation").
pub const BIOS_BOOT: Uuid = Uuid::from_u128(0x21686148_6449_6E6F_744E_656564454649);
/// EFI system partition (UEFI specification 2.10, table 5.7).
pub const ESP: Uuid = Uuid::from_u128(0xC12A7328_F81F_11D2_BA4B_00A0C93EC93B);
/// Landfall's data partition: [`landfall_hosts::paths::DATA_TYPE_GUID`] as bits.
pub const DATA: Uuid = Uuid::from_u128(0x6C616E64_6661_4C6C_8A74_A1B2D9C05E13);
/// Linux swap. Of the discoverable types, so its entry carries [`NO_AUTO`].
pub const SWAP: Uuid = Uuid::from_u128(0x0657FD6D_A4AB_43C4_84E5_0933C84B4F4F);
/// Attribute "no-auto" of a discoverable type: systemd-gpt-auto-generator(8) leaves it alone.
pub const NO_AUTO: u64 = 1 << 63;
/// Name of partition 1 on a medium, where a machine has its marker.
pub const MEDIUM_NAME: &str = "landfall-medium";
/// Name of the only partition of a stick while a medium is being written to it.
pub const FLASHING_NAME: &str = "landfall-flashing";

/// Names of types, from the UEFI specification, the Discoverable Partitions Specification and
/// Microsoft's `PARTITION_INFORMATION_GPT`.
const NAMES: &[(u128, &str)] = &[
    (0x21686148_6449_6E6F_744E_656564454649, "BIOS boot"),
    (0xC12A7328_F81F_11D2_BA4B_00A0C93EC93B, "EFI system"),
    (0x6C616E64_6661_4C6C_8A74_A1B2D9C05E13, "Landfall data"),
    (0x0FC63DAF_8483_4772_8E79_3D69D8477DE4, "Linux data"),
    (0x4F68BCE3_E8CD_4DB1_96E7_FBCAF984B709, "Linux root (x86-64)"),
    (0x933AC7E1_2EB4_4F13_B844_0E14E2AEF915, "Linux home"),
    (0x4D21B016_B534_45C2_A9FB_5C16E091FD2D, "Linux var"),
    (0x0657FD6D_A4AB_43C4_84E5_0933C84B4F4F, "Linux swap"),
    (0xE6D6D379_F507_44C2_A23C_238F2A3DF928, "Linux LVM"),
    (0xA19D880F_05FC_4D3B_A006_743F0F84911E, "Linux RAID"),
    (0xCA7D7CCB_63ED_4C53_861C_1742536059CC, "Linux LUKS"),
    (0xBC13C2FF_59E6_4262_A352_B275FD6F7172, "Linux extended boot"),
    (0xEBD0A0A2_B9E5_4433_87C0_68B6B72699C7, "Microsoft basic data"),
    (0xE3C9E316_0B5C_4DB8_817D_F92DF00215AE, "Microsoft reserved"),
    (0xDE94BBA4_06D1_4D40_A16A_BFD50179D6AC, "Windows recovery"),
    (0x7C3457EF_0000_11AA_AA11_00306543ECAC, "Apple APFS"),
    (0x48465300_0000_11AA_AA11_00306543ECAC, "Apple HFS+"),
    (0x6A898CC3_1DD2_11B2_99A6_080020736631, "ZFS"),
];

/// System ids of an MBR, as `fdisk` lists them; those that only their content tells are left out.
const MBR_NAMES: &[(u8, &str)] = &[
    (0x05, "extended"),
    (0x0f, "extended"),
    (0x27, "Windows recovery"),
    (0x82, "Linux swap"),
    (0x83, "Linux data"),
    (0x8e, "Linux LVM"),
    (0xa5, "FreeBSD"),
    (0xaf, "Apple HFS+"),
    (0xef, "EFI system"),
    (0xfd, "Linux RAID"),
];

/// An MBR partition's type, where it has a name that people know.
pub fn mbr_name(kind: u8) -> Option<&'static str> {
    MBR_NAMES.iter().find(|(id, _)| *id == kind).map(|(_, name)| *name)
}

/// A type's name, where it has one that people know.
pub fn name(type_guid: Uuid) -> Option<&'static str> {
    NAMES.iter().find(|(bits, _)| *bits == type_guid.as_u128()).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_type_is_the_shared_one() {
        let shared: Uuid = landfall_hosts::paths::DATA_TYPE_GUID.parse().unwrap();
        assert_eq!(DATA, shared);
        assert_eq!(name(DATA), Some("Landfall data"));
        assert_eq!(name(Uuid::nil()), None);
    }
}
