//! The commands `landfall secret` and `landfall host` as a person runs them, on a site in a
//! temporary folder.

use age::secrecy::ExposeSecret;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const MARK: &str = "plaintext-that-must-not-be-seen";

struct Site {
    folder: tempfile::TempDir,
    key: PathBuf,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = age::x25519::Identity::generate();
        let key = folder.path().join("admin.txt");
        std::fs::write(&key, identity.to_string().expose_secret()).unwrap();
        let site = folder.path().join("site");
        let write = |name: &str, text: &str| {
            let path = site.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let admin = identity.to_public();
        write(
            "site.toml",
            &format!("schema = 1\nsuite = \"trixie\"\ncommon = [\"common\"]\n[admins]\nsam = \"{admin}\"\n"),
        );
        write(
            "common.toml",
            "[users.sam]\nuid = 1000\ngroups = [\"sudo\"]\npassword = { secret = \"pw\" }\n\
             [secrets.pw]\nfile = \"secrets/pw.age\"\n[secrets.key]\nfile = \"secrets/key.age\"\n",
        );
        let disk = "[disk]\nmatch = { transport = \"virtio\" }\n";
        write(
            "hosts/vm.toml",
            &format!("device = \"vm\"\n{disk}[tailnet]\nauth_key = {{ secret = \"key\" }}\n"),
        );
        write("hosts/spare.toml", &format!("device = \"vm\"\n{disk}"));
        Self { folder, key }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    fn run(&self, args: &[&str], stdin: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .arg("--site")
            .arg(self.path())
            .args(args)
            .env("HOME", self.folder.path())
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses does not read its input.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn ok(&self, args: &[&str], stdin: &str) -> String {
        let out = self.run(args, stdin);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{args:?}: {said}");
        assert!(!said.contains(MARK), "{args:?} says the secret");
        String::from_utf8(out.stdout).unwrap()
    }

    fn with_key<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        args.iter().copied().chain(["--identity", self.key.to_str().unwrap()]).collect()
    }
}

fn all_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all_files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn secrets_go_in_and_come_out_for_their_readers_alone() {
    let site = Site::new();
    site.ok(&["host", "add", "vm"], "");
    site.ok(&["secret", "set", "key"], &format!("{MARK}\n"));
    site.ok(&["secret", "set", "pw", "--password"], MARK);
    assert_eq!(site.ok(&site.with_key(&["secret", "show", "key"]), ""), MARK);
    assert!(site.ok(&site.with_key(&["secret", "show", "pw"]), "").starts_with("$y$"));

    let list: serde_json::Value = serde_json::from_str(&site.ok(&["secret", "ls", "--json"], "")).unwrap();
    let rows = list["secrets"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["names"][0] == name).unwrap();
    assert_eq!(row("key")["hosts"], serde_json::json!(["vm"]));
    assert_eq!(row("pw")["hosts"], serde_json::json!(["spare", "vm"]));
    assert_eq!(row("pw")["without_identity"], serde_json::json!(["spare"]));

    // A host that joins later gets its secrets with its identity.
    site.ok(&site.with_key(&["host", "add", "spare"]), "");
    let list = site.ok(&["secret", "ls", "--json"], "");
    assert!(!list.contains("differs") && !list.contains("unknown"), "{list}");

    let mut files = Vec::new();
    all_files(&site.path(), &mut files);
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(MARK) && !text.contains("AGE-SECRET-KEY"), "{}", path.display());
    }
}

#[test]
fn refusals_say_what_to_do_and_have_their_exit_status() {
    let site = Site::new();
    let said = |args: &[&str]| {
        let out = site.run(args, MARK);
        let words = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!words.contains(MARK), "{words}");
        (out.status.code().unwrap(), words)
    };
    let (code, words) = said(&["secret", "show", "key"]);
    assert_eq!(code, 1);
    assert!(words.contains("landfall secret set") || words.contains("--identity"), "{words}");
    let (code, words) = said(&["host", "rm", "vm"]);
    assert_eq!((code, words.contains("--yes")), (3, true), "{words}");
    let (code, words) = said(&["host", "add", "../x"]);
    assert_eq!((code, words.contains("a-z")), (1, true), "{words}");
    std::fs::write(site.path().join("hosts/bad.toml"), "pakages = []\n").unwrap();
    let (code, words) = said(&["secret", "set", "key"]);
    assert_eq!((code, words.contains("hosts/bad.toml")), (2, true), "{words}");
    assert!(!site.path().join("secrets/key.age").exists());
}

#[test]
fn check_says_when_recipients_are_not_the_readers() {
    let site = Site::new();
    let warns = || String::from_utf8_lossy(&site.run(&["check"], "").stderr).contains("secret rekey");
    site.ok(&["host", "add", "vm"], "");
    site.ok(&["secret", "set", "key"], MARK);
    site.ok(&["secret", "set", "pw", "--password"], MARK);
    assert!(!warns());
    site.ok(&["host", "add", "spare"], "");
    assert!(warns());
    site.ok(&site.with_key(&["secret", "rekey"]), "");
    assert!(!warns());
}

#[test]
fn a_signing_key_is_made_once_and_its_public_half_is_in_the_site() {
    let site = Site::new();
    let public = site.ok(&["secret", "signing-key"], "");
    let text = std::fs::read_to_string(site.path().join("site.toml")).unwrap();
    assert!(text.contains(&format!("[signing]\nkeys = [\"{}\"]", public.trim())), "{text}");
    assert!(site.path().join("signing/site.age").is_file());
    site.ok(&["host", "ls"], "");
    assert_eq!(site.run(&["secret", "signing-key"], "").status.code(), Some(1));
}
