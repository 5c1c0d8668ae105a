use super::*;

const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn key(text: &str) -> PackageKey {
    text.parse().expect("a key")
}

fn sample() -> Lock {
    let mut lock = Lock { suite: "trixie".into(), ..Lock::default() };
    lock.suites.insert(
        "debian/trixie".into(),
        LockedSuite { inrelease: HASH.into(), date: "2026-09-12T07:55:41Z".into() },
    );
    for name in ["libc6:amd64=2.41-12", "git:amd64=1:2.47.3-0+deb13u1"] {
        lock.packages.insert(
            key(name),
            LockedPackage {
                origin: "debian".into(),
                path: "pool/main/x.deb".into(),
                size: 7,
                sha256: HASH.into(),
            },
        );
    }
    lock.tools.insert(key("libc6:amd64=2.41-12"));
    lock.layers.insert(
        "base".into(),
        LockedLayer { packages: [key("libc6:amd64=2.41-12")].into(), ..LockedLayer::default() },
    );
    lock.layers.insert(
        "vm/packages".into(),
        LockedLayer {
            parent: Some("base".into()),
            below: Some("0123456789abcdef".into()),
            wants: ["git".into()].into(),
            packages: [key("git:amd64=1:2.47.3-0+deb13u1")].into(),
            removes: ["libc6:amd64".into()].into(),
        },
    );
    lock.ids.add_user("sshd", 101).expect("free");
    lock
}

#[test]
fn what_is_written_reads_back_and_is_byte_stable() {
    let lock = sample();
    let text = lock.to_text();
    let again = Lock::parse(&text).expect("our own text");
    assert_eq!(again, lock);
    assert_eq!(again.to_text(), text);
    assert!(text.contains(
        "\"git:amd64=1:2.47.3-0+deb13u1\" = { origin = \"debian\", path = \"pool/main/x.deb\", size = 7"
    ));
}

#[test]
fn a_chain_ends_with_the_layer_and_removals_count() {
    let lock = sample();
    assert_eq!(lock.chain("vm/packages").expect("chain"), ["base", "vm/packages"]);
    let installed = lock.installed("vm/packages").expect("chain");
    assert_eq!(installed.keys().collect::<Vec<_>>(), ["git:amd64"]);
    assert!(lock.chain("none").is_err());
}

#[test]
fn the_digest_below_changes_with_every_layer_below() {
    let mut lock = sample();
    assert_eq!(lock.below(None), Ok(None));
    let before = lock.below(Some("vm/packages")).expect("a digest");
    assert_eq!(before.as_ref().map(String::len), Some(16));
    assert_eq!(lock.below(Some("vm/packages")), Ok(before.clone()));
    lock.layers.entry("base".into()).or_default().packages.insert(key("less:amd64=668-1"));
    assert_ne!(lock.below(Some("vm/packages")), Ok(before));
    assert!(lock.below(Some("none")).is_err());
}

#[test]
fn a_newer_format_is_refused_in_words() {
    let error = Lock::parse("format = 2\nnew_key = 1\n").expect_err("newer");
    assert_eq!(error, LockError::Newer { found: 2 });
    assert!(error.to_string().contains("newer landfall"));
}

#[test]
fn contradictions_are_found() {
    let text = sample().to_text();
    let cases = [
        (text.replace("pool/main/x.deb", "../../etc/passwd"), "not one below"),
        (text.replace("pool/main/x.deb", "/etc/passwd"), "not one below"),
        (text.replace(HASH, "zz"), "sha256"),
        (text.replace("parent = \"base\"", "parent = \"nope\""), "no layer nope"),
        (text.replace("parent = \"base\"", "parent = \"vm/packages\""), "above itself"),
        (text.replace("\"sshd\" = 101", "\"sshd\" = 101\n\"ntp\" = 101"), "never reused"),
        (text.replace("\"sshd\" = 101", "\"sshd\" = 5000"), "outside"),
        (text.replace("  \"libc6:amd64=2.41-12\",\n", "  \"libc6:amd64=9\",\n"), "not in [packages]"),
        (text.replace("suite = \"trixie\"", "suit = \"trixie\""), "suit"),
        (text.replace("libc6:amd64=2.41-12", "../x:amd64=1"), "no package of the form"),
    ];
    for (broken, words) in cases {
        let error = Lock::parse(&broken).expect_err(words).to_string();
        assert!(error.contains(words), "{error} lacks {words}");
        assert!(error.contains("landfall lock"), "{error} names no remedy");
    }
}

#[test]
fn the_ledger_never_changes_or_reuses_an_id() {
    let mut ids = IdLedger::default();
    assert_eq!(ids.add_group("netdev", 103), Ok(true));
    assert_eq!(ids.add_group("netdev", 103), Ok(false));
    assert!(matches!(ids.add_group("netdev", 104), Err(LedgerError::Changed { .. })));
    assert!(matches!(ids.add_group("kvm", 103), Err(LedgerError::Taken { .. })));
    assert!(matches!(ids.add_group("kvm", 1000), Err(LedgerError::Range { .. })));
}

#[test]
fn pruning_keeps_what_is_named() {
    let mut lock = sample();
    lock.layers.remove("vm/packages");
    lock.prune();
    assert_eq!(lock.packages.len(), 1);
}
