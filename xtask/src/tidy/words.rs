//! Words that must not stand in the repo: the hosts of this computer's package registries and this checkout's own path.
//! They are read from the computer's settings, so that the repo does not have to name them to forbid them.

use super::Complaint;
use std::path::Path;
use std::process::Command;

/// The forbidden words of this computer.
pub fn forbidden(root: &Path) -> Vec<String> {
    let mut words: Vec<String> = apt_uris().iter().chain(&go_proxies()).filter_map(|uri| host(uri)).collect();
    words.retain(|word| !is_public(word));
    // A path of two parts or more is this computer's; "/src" alone would be a word of any text.
    if root.components().count() > 2 {
        words.push(format!("{}/", root.display()));
    }
    words.sort();
    words.dedup();
    words
}

/// Every line that holds one of the words.
pub fn scan(file: &str, text: &str, words: &[String]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for word in words.iter().filter(|word| line.contains(word.as_str())) {
            let text =
                format!("names {word}, which belongs to this computer: read it from the settings instead");
            complaints.push(Complaint { file: file.to_owned(), line: index + 1, text });
        }
    }
    complaints
}

/// Names that any computer may have and the mirror table must have.
fn is_public(host: &str) -> bool {
    let country = host.strip_prefix("ftp.").and_then(|rest| rest.strip_suffix(".debian.org"));
    country.is_some() || ["security.debian.org", "pkgs.tailscale.com", "localhost"].contains(&host)
}

fn apt_uris() -> Vec<String> {
    let folder = Path::new("/etc/apt/sources.list.d");
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> =
        listed.filter(|path| path.extension().is_some_and(|end| end == "sources" || end == "list")).collect();
    files.push("/etc/apt/sources.list".into());
    let texts = files.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    texts.flat_map(|text| uris(&text)).collect()
}

/// Everything that looks like a URI outside comments.
fn uris(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines
        .flat_map(|line| line.split_whitespace())
        .filter(|word| word.contains("://"))
        .map(str::to_owned)
        .collect()
}

fn go_proxies() -> Vec<String> {
    let Ok(output) = Command::new("go").args(["env", "GOPROXY"]).output() else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout).replace([',', '|'], " ");
    uris(&text)
}

fn host(uri: &str) -> Option<String> {
    let (_, rest) = uri.split_once("://")?;
    let host = rest.split(['/', ':']).next()?;
    (!host.is_empty()).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_uris_of_both_apt_styles() {
        let text = "# http://comment.example\nURIs: http://a.example/debian\ndeb [x=y] https://b.example:8/d trixie main\n";
        let hosts: Vec<_> = uris(text).iter().filter_map(|uri| host(uri)).collect();
        assert_eq!(hosts, ["a.example", "b.example"]);
    }

    #[test]
    fn public_mirrors_may_stand() {
        assert!(is_public("ftp.uk.debian.org") && !is_public("mirror.example"));
    }
}
