//! Shapes of strings: what a host name, a mode or a locale looks like. Each failure says in words
//! what was expected.

use crate::host::Unlock;

/// What a string of the site must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Any,
    /// Text without line breaks or control characters.
    Line,
    /// A name of the site's own: letters, digits, `-`, `_`, `.`.
    Name,
    /// A user's or group's name.
    UserName,
    /// A user's name or `*`.
    UserOrStar,
    /// Full name: `:` and `,` separate fields of passwd(5).
    Gecos,
    /// RFC 1123 host name.
    Hostname,
    /// A module: `desktop/kde`, `builtin:desktop/kde`, `INPUT:path`.
    ModuleName,
    /// A module of a slot: `kde`.
    Slot,
    /// Absolute path without `..`.
    AbsPath,
    /// Path below `$HOME`.
    HomePath,
    /// Path below the site's folder.
    SitePath,
    /// dconf directory without slashes at its ends.
    DconfDir,
    /// A package in apt's syntax.
    Package,
    /// A package's bare name.
    PackageName,
    /// Suite of an archive.
    Suite,
    /// Component of an archive.
    Component,
    /// A URI with a scheme.
    Url,
    /// 64 hex digits.
    Sha256,
    /// Octal mode.
    Mode,
    /// `en_GB.UTF-8`.
    Lang,
    /// `LC_TIME`.
    LcName,
    /// `de(nodeadkeys)`.
    Keyboard,
    /// `Europe/London`.
    TimeZone,
    /// One word of the kernel's command line.
    KernelParam,
    /// A module of the kernel.
    KernelModule,
    /// Name of an environment variable.
    EnvName,
    /// A systemd unit, `.service` implied.
    UnitName,
    /// Name of a network interface.
    Interface,
    /// At most 32 bytes.
    Ssid,
    /// One line of `authorized_keys`.
    SshKey,
    /// `text/html`.
    MimeType,
    /// How a disk is unlocked.
    Unlock,
    /// `[disk] swap`.
    Swap,
    /// An age recipient, or an SSH key.
    Recipient,
}

/// Whether `text` has the shape; the error names what was expected.
pub fn check(shape: Shape, text: &str) -> Result<(), String> {
    if fits(shape, text) {
        return Ok(());
    }
    Err(format!("{text:?} is not {}", expected(shape)))
}

/// What a person writes there.
pub fn expected(shape: Shape) -> &'static str {
    match shape {
        Shape::Any => "a text",
        Shape::Line => "one line of text",
        Shape::Name => "a name of letters, digits, `-`, `_` and `.`",
        Shape::UserName => "a user or group name: a letter or `_`, then up to 31 of a-z 0-9 `-` `_`",
        Shape::UserOrStar => "a user's name or \"*\"",
        Shape::Gecos => "a full name: one line without `:` or `,`",
        Shape::Hostname => "a host name: up to 63 of a-z 0-9 `-`, not first or last",
        Shape::ModuleName => "a module such as \"desktop/kde\" or \"builtin:desktop/kde\"",
        Shape::Slot => "a module's name in that slot, such as \"laptop\"",
        Shape::AbsPath => "an absolute path without `..` or `//`",
        Shape::HomePath => "a path below $HOME: no leading `/` and no `..`",
        Shape::SitePath => "a path below the site's folder: no leading `/` and no `..`",
        Shape::DconfDir => "a dconf directory such as \"org/gnome/desktop/interface\"",
        Shape::Package => "a package in apt's syntax: name, name:i386, name/suite",
        Shape::PackageName => "a package's name",
        Shape::Suite => "a suite such as \"trixie\"",
        Shape::Component => "a component such as \"main\"",
        Shape::Url => "a URI such as https://example.org/debian",
        Shape::Sha256 => "a sha256 of 64 hex digits",
        Shape::Mode => "an octal mode such as \"0644\"",
        Shape::Lang => "a locale such as \"en_GB.UTF-8\"",
        Shape::LcName => {
            "one of LC_CTYPE, LC_NUMERIC, LC_TIME, LC_COLLATE, LC_MONETARY, LC_MESSAGES, LC_PAPER, LC_NAME, LC_ADDRESS, LC_TELEPHONE, LC_MEASUREMENT, LC_IDENTIFICATION"
        }
        Shape::Keyboard => "a keyboard layout such as \"gb\" or \"de(nodeadkeys)\"",
        Shape::TimeZone => "a time zone such as \"Europe/London\"",
        Shape::KernelParam => "one kernel parameter: no blanks outside quotes",
        Shape::KernelModule => "a kernel module's name",
        Shape::EnvName => "the name of an environment variable",
        Shape::UnitName => "a unit such as \"ssh\" or \"fstrim.timer\"",
        Shape::Interface => "a network interface: up to 15 characters, a `*` as its last if any",
        Shape::Ssid => "a network name of 1 to 32 bytes",
        Shape::SshKey => "a public SSH key: \"ssh-ed25519 AAAA… comment\"",
        Shape::MimeType => "a MIME type such as \"text/html\"",
        Shape::Unlock => "one of \"passphrase\", \"tpm2+pin\", \"tpm2\"",
        Shape::Swap => "\"none\", \"zram\", \"file:16G\", \"partition:16G\" or \"partition:ram\"",
        Shape::Recipient => "an age recipient (age1…) or an SSH public key",
    }
}

/// The words that a shape consists of, where it does.
pub fn words(shape: Shape) -> impl Iterator<Item = &'static str> + Clone {
    let all: &[(&str, Unlock)] = if shape == Shape::Unlock { &Unlock::WORDS } else { &[] };
    all.iter().map(|(word, _)| *word)
}

fn fits(shape: Shape, text: &str) -> bool {
    match shape {
        Shape::Any => !text.contains('\0'),
        Shape::Line => line(text),
        Shape::Name => name(text),
        Shape::UserName => user_name(text),
        Shape::UserOrStar => text == "*" || user_name(text),
        Shape::Gecos => line(text) && !text.contains([':', ',']),
        Shape::Hostname => hostname(text),
        Shape::ModuleName => module_name(text),
        Shape::Slot => !text.contains(':') && module_path(text),
        Shape::AbsPath => text.starts_with('/') && clean_path(text.trim_start_matches('/')),
        Shape::HomePath | Shape::SitePath | Shape::DconfDir => clean_path(text),
        Shape::Package => package(text),
        Shape::PackageName => package_name(text),
        Shape::Suite => path_words(text, "-_."),
        Shape::Component => path_words(text, "-_."),
        Shape::Url => url(text),
        Shape::Sha256 => text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()),
        Shape::Mode => matches!(text.len(), 3 | 4) && text.bytes().all(|b| (b'0'..=b'7').contains(&b)),
        Shape::Lang => lang(text),
        Shape::LcName => LC_NAMES.contains(&text),
        Shape::Keyboard => keyboard(text),
        Shape::TimeZone => path_words(text, "-_+") && text.starts_with(|c: char| c.is_ascii_alphabetic()),
        Shape::KernelParam => kernel_param(text),
        Shape::KernelModule => some(text, |c| c.is_ascii_alphanumeric() || "-_".contains(c)),
        Shape::EnvName => {
            some(text, |c| c.is_ascii_alphanumeric() || c == '_')
                && !text.starts_with(|c: char| c.is_ascii_digit())
        }
        Shape::UnitName => {
            some(text, |c| c.is_ascii_alphanumeric() || "-_.@:\\".contains(c))
                && !text.starts_with(['-', '.'])
        }
        Shape::Interface => interface(text),
        Shape::Ssid => (1..=32).contains(&text.len()) && line(text),
        Shape::SshKey => ssh_key(text),
        Shape::MimeType => text.split('/').count() == 2 && path_words(text, "-+._*"),
        Shape::Unlock => words(shape).any(|word| word == text),
        Shape::Swap => swap(text),
        Shape::Recipient => recipient(text),
    }
}

const LC_NAMES: [&str; 12] = [
    "LC_CTYPE",
    "LC_NUMERIC",
    "LC_TIME",
    "LC_COLLATE",
    "LC_MONETARY",
    "LC_MESSAGES",
    "LC_PAPER",
    "LC_NAME",
    "LC_ADDRESS",
    "LC_TELEPHONE",
    "LC_MEASUREMENT",
    "LC_IDENTIFICATION",
];

fn some(text: &str, ok: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(ok)
}

fn line(text: &str) -> bool {
    some(text, |c| !c.is_control())
}

fn name(text: &str) -> bool {
    text.len() <= 64
        && some(text, |c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !text.starts_with(['-', '.'])
}

// useradd(8): names start with a lower-case letter or an underscore, and have 32 characters at most.
fn user_name(text: &str) -> bool {
    text.len() <= 32
        && some(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
}

fn hostname(text: &str) -> bool {
    text.len() <= 63
        && some(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn module_name(text: &str) -> bool {
    match text.split_once(':') {
        Some((input, path)) => name(input) && module_path(path),
        None => module_path(text),
    }
}

fn module_path(text: &str) -> bool {
    clean_path(text) && path_words(text, "-_.+")
}

fn path_words(text: &str, extra: &str) -> bool {
    text.split('/').all(|part| some(part, |c| c.is_ascii_alphanumeric() || extra.contains(c)))
}

fn clean_path(text: &str) -> bool {
    line(text) && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

// Debian Policy 5.6.1: at least two characters of a-z 0-9 + - . and a letter or digit first.
fn package_name(text: &str) -> bool {
    text.len() >= 2
        && some(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn package(text: &str) -> bool {
    let (rest, suite) = match text.split_once('/') {
        Some((rest, suite)) => (rest, Some(suite)),
        None => (text, None),
    };
    let (bare, arch) = match rest.split_once(':') {
        Some((bare, arch)) => (bare, Some(arch)),
        None => (rest, None),
    };
    package_name(bare)
        && arch.is_none_or(|a| some(a, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
        && suite.is_none_or(|s| some(s, |c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
}

fn url(text: &str) -> bool {
    let known = ["https://", "http://", "file:///"];
    known.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
        && some(text, |c| !c.is_whitespace() && !c.is_control())
}

fn lang(text: &str) -> bool {
    if matches!(text, "C" | "POSIX" | "C.UTF-8") {
        return true;
    }
    let (base, modifier) = match text.split_once('@') {
        Some((base, modifier)) => (base, Some(modifier)),
        None => (text, None),
    };
    let Some((place, charset)) = base.split_once('.') else {
        return false;
    };
    let Some((language, country)) = place.split_once('_') else {
        return false;
    };
    matches!(language.len(), 2 | 3)
        && some(language, |c| c.is_ascii_lowercase())
        && country.len() == 2
        && some(country, |c| c.is_ascii_uppercase())
        && charset == "UTF-8"
        && modifier.is_none_or(|m| some(m, |c| c.is_ascii_alphanumeric()))
}

fn keyboard(text: &str) -> bool {
    let word = |part: &str| some(part, |c| c.is_ascii_alphanumeric() || "-_".contains(c));
    match text.split_once('(') {
        Some((layout, variant)) => word(layout) && variant.strip_suffix(')').is_some_and(word),
        None => word(text),
    }
}

fn kernel_param(text: &str) -> bool {
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_control() => return false,
            c if c.is_whitespace() && !quoted => return false,
            _ => {}
        }
    }
    !text.is_empty() && !quoted
}

// Linux's IFNAMSIZ is 16 with the NUL; nftables takes a trailing `*` as a wildcard.
fn interface(text: &str) -> bool {
    let bare = text.strip_suffix('*').unwrap_or(text);
    text.len() <= 15 && some(bare, |c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

const SSH_KEY_TYPES: [&str; 8] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss",
];

fn ssh_key(text: &str) -> bool {
    let base64 = |part: &str| {
        part.starts_with("AAAA") && some(part, |c| c.is_ascii_alphanumeric() || "+/=".contains(c))
    };
    let words: Vec<&str> = text.split(' ').collect();
    // Options may stand in front of the type (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
    line(text)
        && words
            .windows(2)
            .any(|pair| matches!(pair, [kind, key] if SSH_KEY_TYPES.contains(kind) && base64(key)))
}

fn swap(text: &str) -> bool {
    text.parse::<crate::swap::Swap>().is_ok()
}

fn recipient(text: &str) -> bool {
    let age = text
        .strip_prefix("age1")
        .is_some_and(|rest| rest.len() >= 40 && some(rest, |c| c.is_ascii_lowercase() || c.is_ascii_digit()));
    age || ((text.starts_with("ssh-ed25519 ") || text.starts_with("ssh-rsa ")) && ssh_key(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_take_what_is_good_and_refuse_what_is_not() {
        let cases: &[(Shape, &[&str], &[&str])] = &[
            (
                Shape::Package,
                &["git", "libc6:i386", "hyprland/trixie-backports", "g++"],
                &["", "Git", "a", "x y", "a:/b", "../x"],
            ),
            (Shape::SitePath, &["files/x", "a"], &["/x", "../x", "a/../b", "", "a//b", "./a", "a\nb"]),
            (Shape::AbsPath, &["/etc/x"], &["etc", "/etc/../x", "/", "/a/"]),
            (Shape::Mode, &["0644", "755"], &["", "0x1", "888", "06444", "rw"]),
            (
                Shape::Lang,
                &["en_GB.UTF-8", "C.UTF-8", "ca_ES.UTF-8@valencia"],
                &["english", "en_GB", "en_gb.UTF-8", "en_GB.utf8"],
            ),
            (Shape::Keyboard, &["gb", "de(nodeadkeys)"], &["", "de(", "d e", "de()"]),
            (Shape::TimeZone, &["UTC", "Europe/London", "Etc/GMT+5"], &["", "../x", "Europe/", "/etc"]),
            (Shape::Hostname, &["vm", "a-1"], &["-a", "a-", "A", "a.b", ""]),
            (Shape::UserName, &["sam", "_apt"], &["Sam", "1sam", "", "a:b"]),
            (
                Shape::KernelParam,
                &["quiet", "console=ttyS0,115200", "x=\"a b\""],
                &["", "a b", "x=\"a", "a\nb"],
            ),
            (Shape::Swap, &["zram", "file:16G", "partition:ram"], &["16G", "file:", "file:ram", "disk:1G"]),
            (
                Shape::SshKey,
                &["ssh-ed25519 AAAAC3Nz sam"],
                &["ssh-ed25519", "AAAA", "ssh-ed25519 AAAA\nssh-rsa AAAA"],
            ),
            (
                Shape::Recipient,
                &["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
                &["age1x", "AGE-SECRET-KEY-1"],
            ),
            (
                Shape::ModuleName,
                &["common", "desktop/kde", "builtin:desktop/kde"],
                &["", "/x", "a/../b", ":x", "a:b:c"],
            ),
        ];
        for (shape, good, bad) in cases {
            for text in *good {
                assert_eq!(check(*shape, text), Ok(()), "{shape:?}");
            }
            for text in *bad {
                assert!(check(*shape, text).is_err(), "{shape:?} {text:?}");
            }
        }
    }
}
