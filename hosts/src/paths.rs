//! Every path and name that two parts of Landfall share.

/// Type GUID of Landfall's data partition; not a discoverable-partitions one, so nothing mounts
/// it behind our back.
pub const DATA_TYPE_GUID: &str = "6C616E64-6661-4C6C-8A74-A1B2D9C05E13";
/// Label of the ext4 filesystem on the data partition.
pub const DATA_LABEL: &str = "landfall";

/// On a data partition.
pub mod data {
    /// Index of a medium.
    pub const MEDIUM: &str = "landfall/medium.toml";
    /// Unattended mark of a medium.
    pub const UNATTENDED: &str = "landfall/unattended.toml";
    /// Identities on a medium: `<HOST>.key` bare, `<HOST>.age` wrapped.
    pub const IDENTITIES: &str = "landfall/identities";
    /// Layers: `<sha256>.erofs`.
    pub const LAYERS: &str = "landfall/layers";
    /// Manifests.
    pub const GENERATIONS: &str = "landfall/generations";
    /// State of a machine.
    pub const STATE: &str = "landfall/state";
    /// The upper directory of the root overlay: `upper/` and `work/` inside.
    pub const UPPER: &str = "landfall/upper";
    /// Old uppers, named by boot.
    pub const LOST: &str = "landfall/lost";
    /// File that keeps a full disk from blocking the boot.
    pub const RESERVE: &str = "landfall/reserve";
    /// Swap file of a host that says `swap = "file:SIZE"`.
    pub const SWAP: &str = "landfall/swap";
    /// Persistent `/home`.
    pub const HOME: &str = "home";
    /// Persistent `/var`.
    pub const VAR: &str = "var";
    /// Persistent keep paths, by their absolute path.
    pub const KEEP: &str = "keep";
}

/// In a machine's `landfall/state`.
pub mod state {
    /// Integer: format of the state.
    pub const FORMAT: &str = "format";
    /// The installer's seed.
    pub const SEED: &str = "seed.toml";
    /// The bare identity until first boot seals it.
    pub const IDENTITY: &str = "identity.key";
    /// The identity as first boot seals it.
    pub const IDENTITY_SEALED: &str = "identity.cred";
    /// The installer's report.
    pub const INSTALL_REPORT: &str = "install-report.json";
    /// Files laid into `/etc` at each boot (machine-id, ssh host keys), by their path below it.
    pub const ETC: &str = "etc";
    /// Top paths of `/var` that were seeded from the image.
    pub const VAR_SEEDED: &str = "var-seeded";
    /// First boot's record of steps.
    pub const STEPS: &str = "steps.json";
}

/// On an ESP, for GRUB, which starts it on BIOS.
pub mod grub {
    /// The menu.
    pub const CFG: &str = "grub/grub.cfg";
    /// What a medium starts by itself; the menu reads it, and a spent medium gets another.
    pub const START: &str = "grub/start.cfg";
    /// The environment block: how many tries each entry of a machine has left.
    pub const ENV: &str = "grub/grubenv";
}

/// In a running machine.
pub mod machine {
    /// The data partition's mount; never detached.
    pub const DATA: &str = "/run/landfall/data";
    /// Layer images are mounted at `<i>` below.
    pub const LAYERS: &str = "/run/landfall/layers";
    /// What stage 1 tells user space: generation, data PARTUUID, entry.
    pub const BOOT_INFO: &str = "/run/landfall/boot.toml";
    /// Decrypted secrets (ramfs).
    pub const SECRETS: &str = "/run/secrets";
    /// The host layer's folder.
    pub const LIB: &str = "/usr/lib/landfall";
    /// [`crate::machine::Machine`].
    pub const MACHINE_TOML: &str = "/usr/lib/landfall/machine.toml";
    /// Ciphertexts: `NAME.age`.
    pub const CIPHERTEXTS: &str = "/usr/lib/landfall/secrets";
    /// Files laid into homes: `USER/path`.
    pub const HOMES: &str = "/usr/lib/landfall/home";
    /// Our binary.
    pub const BIN: &str = "/usr/lib/landfall/bin/landfall-machine";
    /// ESP's mount point.
    pub const ESP: &str = "/efi";
}

/// In an initrd, without the leading slash.
pub mod initrd {
    /// The host's keyboard map as loadkeys(1) reads it; on hosts with another layout than `us`.
    pub const KEYMAP: &str = "etc/landfall.kmap";
}

/// Kernel command line words.
pub mod cmdline {
    /// `install`, `try`, `boot`.
    pub const MODE: &str = "landfall.mode";
    /// Host's name.
    pub const HOST: &str = "landfall.host";
    /// Generation's number.
    pub const GENERATION: &str = "landfall.generation";
    /// PARTUUID of the data partition.
    pub const DATA: &str = "landfall.data";
    /// `1` where the data partition is encrypted: a plain one in its place is then refused.
    pub const ENCRYPTED: &str = "landfall.encrypted";
    /// Identity of the encrypted volume: only it is opened without a person.
    pub const VOLUME: &str = "landfall.volume";
    /// `LEFT-DONE`, from GRUB on BIOS: the tries of the entry that was started, where it is counted.
    pub const TRIES: &str = "landfall.tries";
    /// `1` on the default entry of an unattended medium.
    pub const UNATTENDED: &str = "landfall.unattended";
}

/// Directories of `/var` that belong to the image: at boot the root overlay's own are bound over
/// the persistent ones, so that a package manager's state is always the generation's.
pub const IMAGE_OWNED_VAR: &[&str] = &[
    "lib/dpkg",
    "lib/apt",
    "lib/ucf",
    "lib/pam",
    "lib/dkms",
    "lib/systemd/deb-systemd-helper-enabled",
    "lib/systemd/deb-systemd-helper-masked",
    "lib/systemd/deb-systemd-user-helper-enabled",
    "lib/systemd/deb-systemd-user-helper-masked",
    "lib/polkit-1",
    "cache/debconf",
    "cache/apt",
];
