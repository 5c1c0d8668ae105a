//! Where Debian's archives are read from, and the one table of public host names.
//!
//! The order: the site's `[mirror]`; an apt source of this computer that says it is Debian's; the
//! country mirror of the site's locale, as Debian's installer offers it.

use crate::deb822::paragraphs;
use crate::error::{Error, Result};
use crate::fetch::Fetcher;
use landfall_hosts::host::Mirror;
use std::fs;
use std::path::Path;

/// Debian's security archive, served by Debian for everyone.
const SECURITY: &str = "http://security.debian.org/debian-security";

/// Locale's country → country code of the mirror, where it is not the same in lower case
/// (Debian's mirror list, "Primary Debian mirror sites": `ftp.<country>.debian.org`).
const COUNTRY_NAMES: &[(&str, &str)] = &[("GB", "uk")];

/// Countries with a mirror of that name (the same list).
const COUNTRIES: &[&str] = &[
    "am", "at", "au", "be", "bg", "br", "by", "ca", "ch", "cl", "cn", "cz", "de", "dk", "ee", "es", "fi",
    "fr", "gr", "hk", "hr", "hu", "ie", "is", "it", "jp", "kr", "lt", "lv", "md", "mx", "nc", "nl", "no",
    "nz", "pl", "pt", "ro", "ru", "se", "si", "sk", "tr", "tw", "uk", "us",
];

/// The country whose mirror serves where a locale names none that has one.
const DEFAULT_COUNTRY: &str = "us";

/// The base URIs to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    /// The archive.
    pub debian: String,
    /// The security archive.
    pub security: String,
    /// Where this choice comes from, for messages.
    pub chosen_by: &'static str,
}

/// Whether a base URI serves a suite of Debian, judged by the fields of its Release.
pub trait LooksLikeDebian {
    /// True if `uri/dists/suite/InRelease` is there and says `Origin: Debian`.
    fn is_debian(&self, uri: &str, suite: &str) -> bool;
}

/// The fields that tell stand in the first lines, behind the armor's header.
const PROBE_BYTES: u64 = 4096;

impl LooksLikeDebian for Fetcher {
    fn is_debian(&self, uri: &str, suite: &str) -> bool {
        let start = self.peek(&format!("{uri}/dists/{suite}/InRelease"), PROBE_BYTES);
        let start = String::from_utf8_lossy(start.as_deref().unwrap_or_default()).into_owned();
        start.lines().any(|line| line == "Origin: Debian")
    }
}

/// Chooses mirrors.
///
/// `etc_apt` is this computer's apt configuration; `locale` the site's `LANG`; `suite` the one
/// that the archive must serve.
///
/// # Errors
/// If the site's own mirror is no http or https address.
pub fn choose(
    site: &Mirror,
    etc_apt: &Path,
    locale: &str,
    suite: &str,
    probe: &dyn LooksLikeDebian,
) -> Result<Mirrors> {
    for uri in [&site.debian, &site.security].into_iter().flatten() {
        if !is_http(uri) {
            return Err(Error::Mirror(format!(
                "[mirror] in site.toml says `{uri}`, which is no http:// or https:// address; write the archive's base, as in an apt source"
            )));
        }
    }
    let (debian, chosen_by) = match &site.debian {
        Some(uri) => (trimmed(uri), "site.toml"),
        None => match from_apt(etc_apt, suite, probe) {
            Some(uri) => (uri, "this computer's apt sources"),
            None => (country_mirror(locale), "the site's locale"),
        },
    };
    let security = match &site.security {
        Some(uri) => trimmed(uri),
        None => {
            let beside = format!("{debian}-security");
            if probe.is_debian(&beside, &format!("{suite}-security")) { beside } else { SECURITY.to_owned() }
        }
    };
    Ok(Mirrors { debian, security, chosen_by })
}

/// The first apt source of this computer that serves Debian's `suite`, whatever suite it is
/// written down for.
fn from_apt(etc_apt: &Path, suite: &str, probe: &dyn LooksLikeDebian) -> Option<String> {
    let mut tried = Vec::new();
    for uri in apt_sources(etc_apt) {
        // A security or debug archive has no dists/<suite> of the main archive.
        if !is_http(&uri) || tried.contains(&uri) {
            continue;
        }
        if probe.is_debian(&uri, suite) {
            return Some(uri);
        }
        tried.push(uri);
    }
    None
}

/// The archive and the security archive that a machine uses by itself: the site's, else public
/// ones. Never those of the computer that builds, which may be nobody else's.
#[must_use]
pub fn of_machine(site: &Mirror, locale: &str) -> (String, String) {
    let own = |uri: &Option<String>| uri.as_deref().map(trimmed);
    (
        own(&site.debian).unwrap_or_else(|| country_mirror(locale)),
        own(&site.security).unwrap_or_else(|| SECURITY.to_owned()),
    )
}

fn country_mirror(locale: &str) -> String {
    let country = locale
        .split(['.', '@'])
        .next()
        .and_then(|name| name.split_once('_'))
        .map_or("", |(_, country)| country);
    let code = COUNTRY_NAMES
        .iter()
        .find(|(name, _)| *name == country)
        .map_or_else(|| country.to_ascii_lowercase(), |(_, code)| (*code).to_owned());
    let code = if COUNTRIES.contains(&code.as_str()) { code.as_str() } else { DEFAULT_COUNTRY };
    format!("http://ftp.{code}.debian.org/debian")
}

/// The URIs of binary archives in an apt configuration, in apt's order (sources.list(5)).
#[must_use]
pub fn apt_sources(etc_apt: &Path) -> Vec<String> {
    let mut uris = Vec::new();
    if let Ok(text) = fs::read_to_string(etc_apt.join("sources.list")) {
        uris.extend(one_line_uris(&text));
    }
    let mut files: Vec<_> = fs::read_dir(etc_apt.join("sources.list.d"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => uris.extend(one_line_uris(&text)),
            Some("sources") => uris.extend(deb822_uris(&text)),
            _ => {}
        }
    }
    uris
}

/// `deb [options] uri suite component…`
fn one_line_uris(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next().unwrap_or_default();
            let rest = line.trim().strip_prefix("deb")?;
            let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
            let rest = match rest.strip_prefix('[') {
                Some(options) => options.split_once(']')?.1,
                None => rest,
            };
            rest.split_whitespace().next().map(trimmed)
        })
        .collect()
}

/// The same as deb822 paragraphs.
fn deb822_uris(text: &str) -> Vec<String> {
    paragraphs(text)
        .map(|(_, paragraph)| paragraph)
        .filter(|paragraph| paragraph.field("Enabled").is_none_or(|value| value != "no"))
        .filter(|paragraph| {
            paragraph.field("Types").unwrap_or_default().split_whitespace().any(|kind| kind == "deb")
        })
        .flat_map(|paragraph| paragraph.field("URIs").unwrap_or_default().split_whitespace())
        .map(trimmed)
        .collect()
}

/// Without the slash at the end; the local part of a URI never needs it here.
fn trimmed(uri: &str) -> String {
    uri.trim_end_matches('/').to_owned()
}

fn is_http(uri: &str) -> bool {
    let rest = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::{LooksLikeDebian, choose};
    use landfall_hosts::host::Mirror;
    use std::fs;
    use std::path::Path;

    /// Says yes to `uri suite` pairs.
    struct Serves(&'static [(&'static str, &'static str)]);

    impl LooksLikeDebian for Serves {
        fn is_debian(&self, uri: &str, suite: &str) -> bool {
            self.0.contains(&(uri, suite))
        }
    }

    fn apt(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("sources.list.d")).expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        folder
    }

    fn chosen(etc: &Path, locale: &str, serves: Serves) -> (String, String) {
        let mirrors = choose(&Mirror::default(), etc, locale, "trixie", &serves).expect("a mirror");
        (mirrors.debian, mirrors.security)
    }

    #[test]
    fn the_site_comes_first() {
        let site = Mirror { debian: Some("https://m.example/debian/".into()), security: None };
        let mirrors =
            choose(&site, Path::new("/nonexistent"), "C", "trixie", &Serves(&[])).expect("a mirror");
        assert_eq!(mirrors.debian, "https://m.example/debian");
        assert_eq!(mirrors.security, super::SECURITY);
        let wrong = Mirror { debian: Some("ftp://m.example".into()), security: None };
        let error =
            choose(&wrong, Path::new("/nonexistent"), "C", "trixie", &Serves(&[])).expect_err("no http");
        assert!(error.to_string().contains("ftp://m.example"));
    }

    #[test]
    fn this_computers_source_serves_whatever_its_suite_is() {
        let folder = apt(&[
            (
                "sources.list",
                "# deb http://off.example/debian sid main\ndeb-src http://src.example/d x\ndeb cdrom:[x]/ x y\n",
            ),
            (
                "sources.list.d/a.list",
                "deb [arch=amd64 signed-by=/x] http://other.example/apt/ stable main # c\n",
            ),
            (
                "sources.list.d/b.sources",
                "Types: deb deb-src\nURIs: http://m.example/debian/\nSuites: bookworm\n\nTypes: deb\nEnabled: no\nURIs: http://no.example\n",
            ),
        ]);
        let serves = Serves(&[
            ("http://m.example/debian", "trixie"),
            ("http://m.example/debian-security", "trixie-security"),
        ]);
        let expected = ("http://m.example/debian".to_owned(), "http://m.example/debian-security".to_owned());
        assert_eq!(chosen(folder.path(), "C.UTF-8", serves), expected);
        // A source that is not Debian's is not taken; the security archive is Debian's then.
        let (debian, security) = chosen(folder.path(), "en_GB.UTF-8", Serves(&[]));
        assert!(debian.contains("ftp.uk."), "{debian}");
        assert_eq!(security, super::SECURITY);
    }

    #[test]
    fn the_locale_gives_the_country() {
        for (locale, code) in [
            ("de_AT.UTF-8@euro", "at"),
            ("en_GB.UTF-8", "uk"),
            ("fr_FR", "fr"),
            ("C.UTF-8", "us"),
            ("xx_ZZ.UTF-8", "us"),
            ("de_../../x", "us"),
        ] {
            let (debian, _) = chosen(Path::new("/nonexistent"), locale, Serves(&[]));
            assert!(debian.contains(&format!("ftp.{code}.")), "{locale}: {debian}");
        }
    }
}
