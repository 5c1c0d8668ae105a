//! An archive's Release file: which index files there are, with which hashes, until when
//! (Debian's wiki, DebianRepository/Format, "Release files").

use crate::clock::UnixSeconds;
use crate::deb822::Paragraph;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// A Release file whose signature was checked.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its text, as it was signed.
    pub text: String,
    /// Who publishes it: `Debian`.
    pub origin: String,
    /// `trixie-security`.
    pub codename: String,
    /// `stable-security`.
    pub suite: String,
    /// When it was made.
    pub date: UnixSeconds,
    /// Until when it may be used.
    pub valid_until: Option<UnixSeconds>,
    /// Whether index files can be had by their hash, so that a mirror in mid-update still serves
    /// the set that belongs together.
    pub by_hash: bool,
    /// Whether it has packages for `all` in files of their own only.
    pub all_apart: bool,
    /// Path → size and sha256 (hex).
    pub files: BTreeMap<String, IndexFile>,
}

/// One file that a Release lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// Bytes.
    pub size: u64,
    /// sha256, hex.
    pub sha256: String,
}

/// A mirror's Release may be dated ahead of this computer's clock by this much.
const CLOCK_SKEW_SECONDS: i64 = 24 * 3600;

impl Release {
    /// Reads verified text; `what` names it in errors.
    ///
    /// # Errors
    /// If fields that every archive has are missing or wrong.
    pub fn parse(what: &str, text: String) -> Result<Self> {
        let paragraph = Paragraph::new(&text);
        let field = |name: &str| paragraph.field(name).unwrap_or_default().to_owned();
        let date = |name: &str| match paragraph.field(name) {
            None => Ok(None),
            Some(value) => UnixSeconds::parse_release(value)
                .map(Some)
                .ok_or_else(|| Error::parse(what, format!("its {name} `{value}` is no date"))),
        };
        let made = date("Date")?.ok_or_else(|| Error::parse(what, "it has no Date"))?;
        let files = paragraph
            .field("SHA256")
            .ok_or_else(|| Error::parse(what, "it lists no SHA256 hashes"))
            .and_then(|list| parse_files(what, list))?;
        Ok(Self {
            origin: field("Origin"),
            codename: field("Codename"),
            suite: field("Suite"),
            date: made,
            valid_until: date("Valid-Until")?,
            by_hash: field("Acquire-By-Hash") == "yes",
            all_apart: field("No-Support-for-Architecture-all") != "Packages"
                && field("Architectures").split_whitespace().any(|arch| arch == "all"),
            files,
            text,
        })
    }

    /// Refuses an expired Release: someone may be replaying an old, vulnerable state. One dated a
    /// little ahead is this computer's clock, not an attack.
    ///
    /// # Errors
    /// If `now` is past Valid-Until, or far before Date.
    pub fn check_time(&self, what: &str, now: UnixSeconds) -> Result<()> {
        if let Some(end) = self.valid_until.filter(|end| now > *end) {
            return Err(Error::Untrusted {
                what: what.to_owned(),
                reason: format!("it expired at {end} and it is {now} now"),
                remedy: "the mirror is no longer updated (or this computer's clock is wrong): check `date`, or set another [mirror] in site.toml".into(),
            });
        }
        if self.date.0 > now.0 + CLOCK_SKEW_SECONDS {
            return Err(Error::Untrusted {
                what: what.to_owned(),
                reason: format!("it is dated {} and it is {now} now", self.date),
                remedy: "set this computer's clock and try again".into(),
            });
        }
        Ok(())
    }

    /// Whether the file calls itself by this name, as codename or suite: else an honest signature
    /// over another suite would pass for this one.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.codename == name || self.suite == name
    }
}

fn parse_files(what: &str, list: &str) -> Result<BTreeMap<String, IndexFile>> {
    let mut files = BTreeMap::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let wrong = || Error::parse(what, format!("its line `{line}` is no hash, size and path"));
        let mut words = line.split_whitespace();
        let (sha256, size, path) = (
            words.next().ok_or_else(wrong)?,
            words.next().ok_or_else(wrong)?,
            words.next().ok_or_else(wrong)?,
        );
        if !crate::hash::is_sha256(sha256) || words.next().is_some() || !is_below(path) {
            return Err(wrong());
        }
        let file = IndexFile { size: size.parse().map_err(|_| wrong())?, sha256: sha256.to_owned() };
        files.insert(path.to_owned(), file);
    }
    Ok(files)
}

/// Whether a relative path stays below where it starts.
pub(crate) fn is_below(path: &str) -> bool {
    !path.starts_with('/')
        && !path.contains(['\0', '\\', '?', '#'])
        && path.split('/').all(|part| !part.is_empty() && part != "..")
}

#[cfg(test)]
mod tests {
    use super::Release;
    use crate::clock::UnixSeconds;

    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn text() -> String {
        format!(
            "Origin: Debian\nSuite: stable-security\nCodename: trixie-security\n\
             Date: Sat, 21 Nov 2026 00:53:03 UTC\nValid-Until: Sat, 28 Nov 2026 00:53:03 UTC\n\
             Acquire-By-Hash: yes\nSHA256:\n {HASH} 12 main/binary-amd64/Packages.xz\n"
        )
    }

    #[test]
    fn fields_and_files_are_read() {
        let release = Release::parse("a Release", text()).expect("valid");
        assert!(release.by_hash);
        assert!(release.is_called("trixie-security") && release.is_called("stable-security"));
        assert!(!release.is_called("trixie"));
        let file = release.files.get("main/binary-amd64/Packages.xz").expect("listed");
        assert_eq!((file.size, file.sha256.as_str()), (12, HASH));
    }

    #[test]
    fn it_is_valid_only_in_its_time() {
        let release = Release::parse("a Release", text()).expect("valid");
        let day = |days: i64| UnixSeconds(release.date.0 + days * 86_400 + 1);
        assert!(release.check_time("a Release", day(0)).is_ok());
        // This computer's clock may be some hours behind.
        assert!(release.check_time("a Release", UnixSeconds(release.date.0 - 3600)).is_ok());
        let late = release.check_time("a Release", day(7)).expect_err("expired").to_string();
        assert!(late.contains("expired at 2026-11-28T00:53:03Z") && late.contains("[mirror]"), "{late}");
        let early = release.check_time("a Release", day(-9)).expect_err("future").to_string();
        assert!(early.contains("clock"), "{early}");
    }

    #[test]
    fn wrong_lines_are_refused() {
        for (from, to) in [
            ("Date: Sat, 21 Nov 2026 00:53:03 UTC\n", ""),
            ("Date: Sat,", "Date: x"),
            ("SHA256:", "SHA512:"),
            ("main/binary-amd64/Packages.xz", "../../../etc/passwd"),
            ("main/binary-amd64/Packages.xz", "/etc/passwd"),
            (" 12 ", " 99999999999999999999999 "),
            (" 12 ", " -1 "),
            (HASH, "abc"),
        ] {
            let broken = text().replacen(from, to, 1);
            assert!(Release::parse("a Release", broken).is_err(), "{from} → {to}");
        }
    }
}
