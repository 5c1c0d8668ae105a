//! The one table of every key that a site may say: its type, how it merges, and what it is for.
//! Validation, merging, `landfall schema` and the suggestions for slips all read it.

use super::shape::Shape;

/// What a key holds, which also decides how two files' values of it merge.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// One string.
    Text(Shape),
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// An integer within bounds.
    Int(i64, i64),
    /// String, integer, float or boolean: what another program understands.
    Plain,
    /// A set of strings: files append to it, `-NAME` and `-*` take away.
    Set(Shape),
    /// The same, but the order of the files and of each list is kept.
    Ordered(Shape),
    /// A set of packages: one name has one suite.
    Packages,
    /// A set of port numbers.
    Ports,
    /// A list of strings that is one value and never appended.
    Whole(Shape),
    /// A rule over facts; one value.
    Rule(RuleOf),
    /// A value of an INI or dconf key.
    Setting(Dialect),
    /// A table with known keys.
    Table(&'static [Field]),
    /// A table whose keys are names.
    Named(Shape, &'static Kind),
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleOf {
    /// The machine, in a host.
    Machine,
    /// The machine, in a profile: `rank` is allowed.
    Profile,
    /// A disk.
    Disk,
}

/// Whose settings these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// KDE's and everybody's INI files.
    Ini,
    /// dconf: also lists of strings and `{ gvariant = "…" }`.
    Dconf,
}

/// One known key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// `KEY = false` takes the whole table away.
    pub droppable: bool,
    /// One line for editors.
    pub doc: &'static str,
}

const fn f(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, droppable: false, doc }
}

const fn droppable(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, droppable: true, doc }
}

use Kind::{Flag, Int, Named, Ordered, Packages, Plain, Ports, Rule, Set, Setting, Table, Text};
use Kind::{Whole, Word};

static SECRET: &[Field] = &[f("secret", Text(Shape::Name), "name in [secrets]")];
static TEXT: Kind = Text(Shape::Any);
static PLAIN: Kind = Plain;
static PLAINS: Kind = Named(Shape::Any, &PLAIN);
static INI_VALUE: Kind = Setting(Dialect::Ini);
static INI_GROUP: Kind = Named(Shape::Any, &INI_VALUE);
static INI_FILE: Kind = Named(Shape::Any, &INI_GROUP);
static DCONF_VALUE: Kind = Setting(Dialect::Dconf);
static DCONF_DIR: Kind = Named(Shape::Any, &DCONF_VALUE);

static FILE_FIELDS: &[Field] = &[
    f("source", Text(Shape::SitePath), "a file of the site"),
    f("text", Text(Shape::Any), "the text itself"),
    f("template", Text(Shape::Any), "text with ${secret:NAME}, made on the machine at each boot"),
    f("link", Text(Shape::Any), "a symbolic link to this target"),
    f("owner", Text(Shape::UserName), "owner's name; root unless set"),
    f("group", Text(Shape::UserName), "group's name; root unless set"),
    f("mode", Text(Shape::Mode), "octal mode as a string; \"0644\" unless set"),
];
static FILE: Kind = Table(FILE_FIELDS);

static HOME_FILE_FIELDS: &[Field] = &[
    f("source", Text(Shape::SitePath), "a file of the site"),
    f("text", Text(Shape::Any), "the text itself"),
    f("link", Text(Shape::Any), "a symbolic link to this target"),
    f("mode", Text(Shape::Mode), "octal mode as a string; \"0644\" unless set"),
];
static HOME_FILE: Kind = Table(HOME_FILE_FIELDS);

static UNIT_FIELDS: &[Field] = &[
    f("text", Text(Shape::Any), "the unit file's text"),
    f("source", Text(Shape::SitePath), "a file of the site that holds it"),
    f("enable", Flag, "enabled by its [Install] section"),
];
static UNIT: Kind = Table(UNIT_FIELDS);

static GIT_FIELDS: &[Field] =
    &[f("name", Text(Shape::Line), "user.name"), f("email", Text(Shape::Line), "user.email")];

static HOME_FIELDS: &[Field] = &[
    f("trees", Ordered(Shape::SitePath), "folders of the site laid over $HOME"),
    f("files", Named(Shape::HomePath, &HOME_FILE), "files under $HOME"),
    f("ini", Named(Shape::HomePath, &INI_FILE), "INI files under $HOME: path, group, key"),
    f("dconf", Named(Shape::DconfDir, &DCONF_DIR), "dconf: directory, key"),
    droppable("git", Table(GIT_FIELDS), "git identity: { name, email }"),
    f("default_apps", Named(Shape::MimeType, &TEXT), "MIME type = desktop file"),
    f("autostart", Set(Shape::Line), "desktop files started at login"),
    f("env", Named(Shape::EnvName, &TEXT), "environment of the user's session"),
    f("units", Named(Shape::UnitName, &UNIT), "units of the user"),
];
static HOME: Kind = Table(HOME_FIELDS);

static USER_FIELDS: &[Field] = &[
    f("full_name", Text(Shape::Gecos), "full name"),
    f("uid", Int(1000, 59_999), "uid and gid; required"),
    f("groups", Set(Shape::UserName), "further groups"),
    f("shell", Text(Shape::AbsPath), "login shell; /bin/bash unless set"),
    f("ssh_keys", Set(Shape::SshKey), "lines of authorized_keys"),
    droppable("password", Table(SECRET), "a crypt(5) hash: { secret = \"NAME\" }"),
];
static USER: Kind = Table(USER_FIELDS);

static WIFI_FIELDS: &[Field] = &[
    f("ssid", Text(Shape::Ssid), "network name on the air"),
    droppable("psk", Table(SECRET), "pre-shared key: { secret = \"NAME\" }; open without"),
    f("hidden", Flag, "the network does not announce itself"),
];
static WIFI: Kind = Table(WIFI_FIELDS);

static APT_FIELDS: &[Field] = &[
    f("uri", Text(Shape::Url), "base URI"),
    f("suite", Text(Shape::Suite), "suite"),
    f("components", Whole(Shape::Component), "components; [\"main\"] unless set"),
    f("key", Text(Shape::SitePath), "OpenPGP key, a file of the site"),
];
static APT: Kind = Table(APT_FIELDS);

static DEB_FIELDS: &[Field] =
    &[f("url", Text(Shape::Url), "where the .deb is"), f("sha256", Text(Shape::Sha256), "its hash in hex")];
static DEB: Kind = Table(DEB_FIELDS);

static SECRET_FIELDS: &[Field] = &[
    f("file", Text(Shape::SitePath), ".age or sops file of the site"),
    f("key", Text(Shape::Line), "key inside a sops file"),
    f("expose", Flag, "a file in /run/secrets even if nothing refers to it"),
    f("owner", Text(Shape::UserName), "owner of that file; root unless set"),
    f("group", Text(Shape::UserName), "group of that file; root unless set"),
    f("mode", Text(Shape::Mode), "octal mode as a string; \"0400\" unless set"),
    f("link", Text(Shape::AbsPath), "a symbolic link to it"),
    f("restart", Whole(Shape::UnitName), "units restarted when it changes"),
];
static SECRET_TABLE: Kind = Table(SECRET_FIELDS);

static MOUNT_FIELDS: &[Field] = &[
    f("label", Text(Shape::Line), "filesystem label"),
    f("uuid", Text(Shape::Line), "filesystem UUID"),
    f("match", Rule(RuleOf::Disk), "rule over disks"),
    f("fs", Text(Shape::Line), "filesystem type"),
    f("options", Text(Shape::Line), "mount options"),
];
static MOUNT: Kind = Table(MOUNT_FIELDS);

static LOCALE_FIELDS: &[Field] = &[
    f("lang", Text(Shape::Lang), "LANG: en_GB.UTF-8"),
    f("formats", Named(Shape::LcName, &LANG), "single ones: { LC_TIME = \"en_DK.UTF-8\" }"),
    f("keyboard", Text(Shape::Keyboard), "XKB layout, also for the console: gb, de(nodeadkeys)"),
    f("timezone", Text(Shape::TimeZone), "Europe/London"),
];
static LANG: Kind = Text(Shape::Lang);

static BOOT_FIELDS: &[Field] = &[
    f("quiet", Flag, "few kernel messages"),
    f("splash", Flag, "plymouth, also at the passphrase prompt"),
    f("timeout", Int(0, 600), "seconds that the boot menu waits"),
];

static KERNEL_FIELDS: &[Field] = &[
    f("params", Ordered(Shape::KernelParam), "command line, in order of the files, weak to strong"),
    f("load", Set(Shape::KernelModule), "modules to load"),
    f("blacklist", Set(Shape::KernelModule), "modules never loaded by alias"),
    f("options", Named(Shape::KernelModule, &LINE), "module = options"),
    f("package", Text(Shape::PackageName), "kernel package; linux-image-amd64 unless set"),
];
static LINE: Kind = Text(Shape::Line);

static POWER_FIELDS: &[Field] = &[
    f("lid", Word(&["suspend", "hibernate", "lock", "poweroff", "ignore"]), "what closing the lid does"),
    f(
        "governor",
        Word(&["performance", "powersave", "ondemand", "conservative", "schedutil"]),
        "cpufreq governor",
    ),
];

static CURSOR_FIELDS: &[Field] =
    &[f("name", Text(Shape::Line), "theme's name"), f("size", Int(8, 256), "pixels")];
static THEME_FIELDS: &[Field] = &[
    f("gtk", Text(Shape::Line), "GTK theme's name"),
    droppable("cursor", Table(CURSOR_FIELDS), "cursor theme: { name, size }"),
];

static NETWORK_FIELDS: &[Field] = &[
    f("manager", Word(&["networkmanager", "networkd", "none"]), "who sets up the network"),
    f("wifi", Named(Shape::Name, &WIFI), "Wi-Fi networks by name"),
];
static FIREWALL_FIELDS: &[Field] = &[
    f("enable", Flag, "deny in, allow out; true unless set"),
    f("trust", Set(Shape::Interface), "interfaces from which all is accepted"),
    f("tcp", Ports, "open TCP ports"),
    f("udp", Ports, "open UDP ports"),
];
static SERVICES_FIELDS: &[Field] = &[
    f("enable", Set(Shape::UnitName), "units to enable; .service is implied"),
    f("disable", Set(Shape::UnitName), "units to disable"),
    f("mask", Set(Shape::UnitName), "units to mask"),
];
static TAILNET_FIELDS: &[Field] = &[
    droppable("auth_key", Table(SECRET), "auth key: { secret = \"NAME\" }; the step waits for one without"),
    f("server", Text(Shape::Url), "--login-server"),
    f("operator", Text(Shape::UserName), "--operator"),
];
static STATE_FIELDS: &[Field] =
    &[f("keep", Set(Shape::AbsPath), "paths that survive the wipe at boot, beside /home and /var")];
static HEALTH_FIELDS: &[Field] = &[
    f("units", Set(Shape::UnitName), "units that must be active"),
    f("network", Flag, "the network must be up"),
    f("timeout", Int(10, 3600), "seconds to wait for all of it"),
];
static UPDATES_FIELDS: &[Field] =
    &[f("auto", Word(&["none", "security", "all"]), "what a scheduled lock --update may move")];
static INSTALL_FIELDS: &[Field] =
    &[f("on_error", Word(&["prompt", "poweroff"]), "what the installer does when it cannot go on")];
static ENCRYPT_FIELDS: &[Field] = &[
    f("unlock", Whole(Shape::Unlock), "passphrase, tpm2+pin, tpm2"),
    droppable("passphrase", Table(SECRET), "passphrase of an unattended install: { secret = \"NAME\" }"),
    droppable("pin", Table(SECRET), "PIN of an unattended install: { secret = \"NAME\" }"),
];
static DISK_FIELDS: &[Field] = &[
    f("match", Rule(RuleOf::Disk), "exactly one disk must match; no other is ever opened for writing"),
    f("existing", Word(&["refuse", "wipe", "keep-state"]), "what may happen to data; refuse unless set"),
    droppable("encrypt", Table(ENCRYPT_FIELDS), "LUKS2: { unlock = [\"passphrase\"] }"),
    f("swap", Text(Shape::Swap), "none, zram, file:16G, partition:ram"),
    f("layout", Text(Shape::Name), "named layout"),
];

/// Settings: what a module and a host may both say, and what merges.
pub static SETTINGS: &[Field] = &[
    f("packages", Packages, "apt's own syntax: name, name:i386, name/suite"),
    f("recommends_of", Set(Shape::PackageName), "packages that come with their Recommends"),
    f("debconf", Named(Shape::PackageName, &PLAINS), "debconf answers: package, question"),
    f("locale", Table(LOCALE_FIELDS), "locale, keyboard, time zone"),
    f("boot", Table(BOOT_FIELDS), "boot menu and splash"),
    f("kernel", Table(KERNEL_FIELDS), "kernel parameters and modules"),
    f("sysctl", Named(Shape::Line, &PLAIN), "sysctl keys"),
    f("env", Named(Shape::EnvName, &TEXT), "system-wide environment"),
    f("power", Table(POWER_FIELDS), "lid, governor"),
    f("theme", Table(THEME_FIELDS), "GTK theme, cursor"),
    f("network", Table(NETWORK_FIELDS), "network manager and Wi-Fi"),
    f("firewall", Table(FIREWALL_FIELDS), "packet filter"),
    f("services", Table(SERVICES_FIELDS), "units to enable, disable, mask"),
    f("units", Named(Shape::UnitName, &UNIT), "the site's own units"),
    f("ini", Named(Shape::AbsPath, &INI_FILE), "INI files: path, group, key"),
    f("files", Named(Shape::AbsPath, &FILE), "files of the system by path"),
    f("users", Named(Shape::UserName, &USER), "people"),
    f("home", Named(Shape::UserOrStar, &HOME), "homes by user; \"*\" is everybody with a login shell"),
    f("disk", Table(DISK_FIELDS), "the target disk"),
    f("mounts", Named(Shape::AbsPath, &MOUNT), "other disks: mounted, never formatted"),
    f("secrets", Named(Shape::Name, &SECRET_TABLE), "encrypted values"),
    droppable("tailnet", Table(TAILNET_FIELDS), "Tailscale"),
    f("apt", Named(Shape::Name, &APT), "foreign package repositories"),
    f("pin", Named(Shape::PackageName, &PLAIN), "pins: package = version or priority"),
    f("debs", Named(Shape::Name, &DEB), "single .debs by URL and hash"),
    f("state", Table(STATE_FIELDS), "what survives"),
    f("health", Table(HEALTH_FIELDS), "what makes a generation good"),
    f("updates", Table(UPDATES_FIELDS), "scheduled updates"),
    f("install", Table(INSTALL_FIELDS), "the installer"),
];

/// What a module may say beside [`SETTINGS`].
pub static MODULE_ONLY: &[Field] = &[
    f("imports", Whole(Shape::ModuleName), "modules that this one is stronger than"),
    f("slot", Word(&["device", "desktop", "gpu"]), "a host has at most one module of each slot"),
    f("match", Rule(RuleOf::Profile), "read only by hosts that say device = \"auto\""),
];

/// What a host may say beside [`SETTINGS`].
pub static HOST_ONLY: &[Field] = &[
    f("imports", Whole(Shape::ModuleName), "modules of this host"),
    f("device", Text(Shape::Slot), "module of the device slot, or \"auto\""),
    f("desktop", Text(Shape::Slot), "module of the desktop slot, or \"none\""),
    f("gpu", Text(Shape::Slot), "module of the gpu slot, \"auto\" or \"none\""),
    f("hostname", Text(Shape::Hostname), "the file's name unless set"),
    f("arch", Word(&["amd64"]), "Debian's name of the architecture"),
    f("match", Rule(RuleOf::Machine), "how this machine is recognised"),
];

static MIRROR_FIELDS: &[Field] = &[
    f("debian", Text(Shape::Url), "base URI of the archive"),
    f("security", Text(Shape::Url), "base URI of the security archive"),
];
static INPUT_FIELDS: &[Field] =
    &[f("git", Text(Shape::Line), "repository"), f("ref", Text(Shape::Line), "branch or tag")];
static INPUT: Kind = Table(INPUT_FIELDS);
static RECIPIENT: Kind = Text(Shape::Recipient);
static SIGNING_FIELDS: &[Field] = &[f("keys", Whole(Shape::Line), "public minisign keys, newest first")];

/// `site.toml`.
pub static SITE: &[Field] = &[
    f("schema", Int(1, 1), "this file's format: 1"),
    f("suite", Text(Shape::Suite), "Debian's suite; trixie"),
    f("components", Whole(Shape::Component), "archive components"),
    f("extra_suites", Whole(Shape::Suite), "suites used only where a package names them"),
    f("common", Whole(Shape::ModuleName), "modules that every host gets, weaker than its imports"),
    f("admins", Named(Shape::Name, &RECIPIENT), "age recipients of the people who run the site"),
    f("inputs", Named(Shape::Name, &INPUT), "other people's modules"),
    f("mirror", Table(MIRROR_FIELDS), "Debian mirrors"),
    f("signing", Table(SIGNING_FIELDS), "keys that sign generations"),
];

/// Keys of a rule over machines.
pub static MACHINE_FACTS: &[(&str, Fact)] = &[
    ("battery", Fact::Flag),
    ("virtual", Fact::Flag),
    ("hypervisor", Fact::Text),
    ("chassis", Fact::Text),
    ("vendor", Fact::Text),
    ("product", Fact::Text),
    ("serial", Fact::Text),
    ("uuid", Fact::Text),
    ("mac", Fact::Text),
    ("pci", Fact::Text),
    ("gpu", Fact::Text),
    ("firmware", Fact::Text),
    ("tpm2", Fact::Flag),
    ("memory", Fact::Size),
];

/// Keys of a rule over disks.
pub static DISK_FACTS: &[(&str, Fact)] = &[
    ("serial", Fact::Text),
    ("wwn", Fact::Text),
    ("model", Fact::Text),
    ("transport", Fact::Text),
    ("size", Fact::Size),
    ("path", Fact::Text),
    ("removable", Fact::Flag),
    ("smallest", Fact::Choice),
    ("largest", Fact::Choice),
];

/// What a rule may want of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// `true` or `false`.
    Flag,
    /// Globs.
    Text,
    /// A range of sizes.
    Size,
    /// `true`, and only at the top of a rule.
    Choice,
}

/// What kind of file the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `site.toml`.
    Site,
    /// A module of the site, or a shipped one.
    Module,
    /// `hosts/NAME.toml`.
    Host,
}

impl Role {
    /// Every key that such a file may have at its top.
    pub fn fields(self) -> Vec<&'static Field> {
        match self {
            Self::Site => SITE.iter().collect(),
            Self::Module => MODULE_ONLY.iter().chain(SETTINGS).collect(),
            Self::Host => HOST_ONLY.iter().chain(SETTINGS).collect(),
        }
    }
}
