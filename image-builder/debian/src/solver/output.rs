//! What `apt-get --simulate` says (apt-get(8), `-s`).

use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// What a layer adds and takes away.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// (name, architecture, version).
    pub adds: BTreeSet<(String, String, String)>,
    /// `name:arch` with the native architecture where apt gives none.
    pub removes: BTreeSet<String>,
}

/// How much of apt's explanation is shown.
const REASON_LINES: usize = 24;

/// Reads `Inst` and `Remv` lines:
/// `Inst name[:arch] [old version] (version origin… [arch]) …`, `Remv name[:arch] [version] …`.
pub(super) fn parse(layer: &str, text: &str, native: &str) -> Result<Answer> {
    let mut answer = Answer::default();
    for line in text.lines() {
        let wrong = || Error::parse(format!("apt's answer for {layer}"), format!("cannot make out `{line}`"));
        if let Some(rest) = line.strip_prefix("Inst ") {
            let (name, rest) = rest.split_once(' ').ok_or_else(wrong)?;
            let (_, inside) = rest.split_once('(').ok_or_else(wrong)?;
            let (inside, _) = inside.split_once(')').ok_or_else(wrong)?;
            let (version, _) = inside.split_once(' ').ok_or_else(wrong)?;
            let arch =
                inside.rsplit_once('[').and_then(|(_, arch)| arch.strip_suffix(']')).ok_or_else(wrong)?;
            let name = name.split(':').next().unwrap_or(name);
            answer.adds.insert((name.to_owned(), arch.to_owned(), version.to_owned()));
        } else if let Some(rest) = line.strip_prefix("Remv ") {
            let name = rest.split(' ').next().filter(|name| !name.is_empty()).ok_or_else(wrong)?;
            let slot = if name.contains(':') { name.to_owned() } else { format!("{name}:{native}") };
            answer.removes.insert(slot);
        }
    }
    Ok(answer)
}

/// apt's explanation of a failure, without its chatter.
pub(super) fn reason(stdout: &str, stderr: &str) -> String {
    let explanation = stdout
        .lines()
        .skip_while(|line| !line.starts_with("The following packages have unmet dependencies"))
        .take_while(|line| !line.trim().is_empty());
    let errors = stderr.lines().filter(|line| !line.starts_with("W:") && !line.starts_with("N:"));
    let lines: Vec<&str> = explanation.chain(errors).take(REASON_LINES).collect();
    if lines.is_empty() {
        return "apt-get failed and said nothing".into();
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{parse, reason};

    #[test]
    fn the_lines_of_a_simulation_are_read() {
        let text = "Reading package lists...\n\
            Inst libc6 (2.41-12+deb13u4 Debian:13.7/stable [amd64]) []\n\
            Inst libc6:i386 (2.41-12+deb13u4 Debian:13.7/stable, Debian-Security:13/stable-security [i386])\n\
            Inst git [1:2.1] (1:2.47.3-0 Debian:13.7/stable [amd64])\n\
            Inst tzdata (2026c-0 Debian:13.7/stable [all])\n\
            Conf git (1:2.47.3-0 Debian:13.7/stable [amd64])\n\
            Remv ntpsec [1.2]\nRemv libx:i386 [1]\n";
        let answer = parse("vm", text, "amd64").expect("read");
        let adds: Vec<String> =
            answer.adds.iter().map(|(name, arch, version)| format!("{name}:{arch}={version}")).collect();
        assert_eq!(
            adds,
            [
                "git:amd64=1:2.47.3-0",
                "libc6:amd64=2.41-12+deb13u4",
                "libc6:i386=2.41-12+deb13u4",
                "tzdata:all=2026c-0"
            ]
        );
        assert_eq!(answer.removes.iter().collect::<Vec<_>>(), ["libx:i386", "ntpsec:amd64"]);
    }

    #[test]
    fn other_lines_are_errors_not_guesses() {
        for text in ["Inst git", "Inst git (1", "Inst git (1)", "Inst git (1 x)", "Remv "] {
            assert!(parse("vm", text, "amd64").is_err(), "{text}");
        }
    }

    #[test]
    fn the_reason_is_apts() {
        let shown = reason(
            "Reading package lists...\nThe following packages have unmet dependencies:\n a : Depends: b\n\nmore",
            "W: x\nE: Unable to correct problems\n",
        );
        assert_eq!(
            shown,
            "The following packages have unmet dependencies:\n a : Depends: b\nE: Unable to correct problems"
        );
    }
}
