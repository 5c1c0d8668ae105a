//! `new`, `check`, `show` and `schema` as a person types them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn landfall(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("USER", "sam")
        .output()
        .expect("landfall starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_new_site_is_valid_and_whole() {
    let home = tempfile::tempdir().expect("a folder");
    let dir = home.path().join("machines");
    let site = dir.to_str().expect("text");
    let made = landfall(home.path(), &["new", site, "--yes", "--timezone", "Europe/London"]);
    assert!(made.status.success(), "{}", text(&made.stderr));

    let identity = home.path().join(".config/landfall/identity.txt");
    let mode = std::fs::metadata(&identity).expect("a key was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let checked = landfall(home.path(), &["--site", site, "check"]);
    assert_eq!(text(&checked.stdout), "1 host: 0 errors, 0 warnings, 0 notes\n", "{}", text(&checked.stderr));
    assert_eq!(checked.status.code(), Some(0));

    let shown = landfall(home.path(), &["--site", site, "show", "vm", "--json"]);
    let host: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(host["schema"], 1);
    assert_eq!(host["locale"]["timezone"], "Europe/London");
    assert_eq!(host["users"]["sam"]["uid"], 1000);

    // The password is known to the admin, and what is in the site is its hash.
    let password = landfall(home.path(), &["--site", site, "secret", "show", "sam-password-plain"]);
    assert_eq!(text(&password.stdout).trim().len(), 20, "{}", text(&password.stderr));

    let again = landfall(home.path(), &["new", site, "--yes"]);
    assert_eq!(again.status.code(), Some(2), "a folder with files in it is left alone");
}

#[test]
fn a_second_site_takes_the_same_key_and_a_bad_answer_leaves_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let (one, two, bad) = (path("one"), path("two"), path("bad"));
    assert!(landfall(home.path(), &["new", &one, "--yes"]).status.success());
    let identity = home.path().join(".config/landfall/identity.txt");
    let key = std::fs::read(&identity).expect("a key");
    assert!(
        landfall(home.path(), &["new", &two, "--yes", "--device", "laptop", "--host", "lap"])
            .status
            .success()
    );
    assert_eq!(std::fs::read(&identity).expect("a key"), key, "a key is never replaced");
    let refused = landfall(home.path(), &["new", &bad, "--yes", "--user", "Not A User"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!Path::new(&bad).exists());
    let left: Vec<_> = std::fs::read_dir(home.path())
        .expect("a folder")
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".landfall-new-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn errors_have_a_place_and_a_status() {
    let home = tempfile::tempdir().expect("a folder");
    let dir = home.path().join("machines");
    let site = dir.to_str().expect("text");
    assert!(landfall(home.path(), &["new", site, "--yes"]).status.success());
    std::fs::write(dir.join("hosts/vm.toml"), "pacakges = []\n[disk]\nmatch = { serial = \"x\" }\n")
        .expect("written");

    let checked = landfall(home.path(), &["--site", site, "check"]);
    assert_eq!(checked.status.code(), Some(2));
    let told = text(&checked.stderr);
    assert!(told.contains("hosts/vm.toml:1:1: error: unknown key `pacakges`"), "{told}");
    assert!(told.contains("did you mean `packages`?"), "{told}");

    let json = landfall(home.path(), &["--site", site, "check", "--json"]);
    let problems: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(problems["errors"], 1);
    assert_eq!(problems["problems"][0]["line"], 1);

    let shown = landfall(home.path(), &["--site", site, "show", "vm"]);
    assert_eq!(shown.status.code(), Some(2));
    let nowhere = landfall(home.path(), &["--site", home.path().to_str().expect("text"), "check"]);
    assert_eq!(nowhere.status.code(), Some(2));
}

#[test]
fn the_schema_is_json_schema() {
    let home = tempfile::tempdir().expect("a folder");
    for kind in ["host", "module", "site"] {
        let schema = landfall(home.path(), &["schema", kind]);
        let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).expect("JSON");
        assert_eq!(schema["additionalProperties"], false);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ended = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .arg("schema")
        .stdout(writer)
        .output()
        .expect("landfall starts");
    assert_eq!((ended.status.code(), text(&ended.stderr)), (Some(141), String::new()));
}
