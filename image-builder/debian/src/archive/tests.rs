use super::*;
use crate::testing::{Answer, Quiet, Server, Signer, release, release_date};
use std::io::Write;
use std::path::Path;

const MADE: i64 = 1_700_000_000;
const PACKAGES: &str = "Package: hello\nVersion: 2.10-1\nArchitecture: amd64\nEssential: yes\n\
    Filename: pool/h.deb\nSize: 3\nSHA256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\n\
    Package: hello\nVersion: 2.9-1\nArchitecture: amd64\n";

struct Case {
    server: Server,
    signer: Signer,
    folder: tempfile::TempDir,
}

fn xz(text: &str) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(text.as_bytes()).expect("compressed");
    encoder.finish().expect("compressed")
}

impl Case {
    fn new() -> Self {
        let case = Self {
            server: Server::new(),
            signer: Signer::new(MADE),
            folder: tempfile::tempdir().expect("a folder"),
        };
        case.publish("trixie", "");
        case
    }

    /// Puts a suite on the server; `more` are further lines of its Release.
    fn publish(&self, codename: &str, more: &str) {
        let packed = xz(PACKAGES);
        let path = "main/binary-amd64/Packages";
        let files: [(&str, &[u8]); 2] = [(path, PACKAGES.as_bytes()), (&format!("{path}.xz"), &packed)];
        let text =
            release(codename, UnixSeconds::now(), &files).replace("SHA256:", &format!("{more}SHA256:"));
        self.server.file("dists/trixie/InRelease", self.signer.sign(text.trim_end()));
        let by_hash = format!("dists/trixie/main/binary-amd64/by-hash/SHA256/{}", hash::sha256(&packed));
        self.server.file(&by_hash, packed);
    }

    fn repository(&self) -> Repository {
        Repository {
            origin: "debian".into(),
            uri: self.server.base.clone(),
            suite: "trixie".into(),
            components: vec!["main".into()],
            keyring: Keyring::parse("a test key", self.signer.armored().as_bytes()).expect("a key"),
            priority: None,
        }
    }

    fn open(&self, freshness: Freshness<'_>) -> Result<Archive> {
        self.open_at(&self.repository(), freshness)
    }

    fn open_at(&self, repository: &Repository, freshness: Freshness<'_>) -> Result<Archive> {
        let (cache, fetcher) = (Cache::new(self.folder.path()), Fetcher::default());
        let opener = Opener { cache: &cache, fetcher: &fetcher, progress: &Quiet, now: UnixSeconds::now() };
        opener.open(std::slice::from_ref(repository), &["amd64".into()], freshness)
    }

    fn refusal(&self) -> String {
        self.open(Freshness::Refresh).expect_err("refused").to_string()
    }

    fn kept(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("indices"));
        let names = entries.map(|entries| {
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        });
        names.unwrap_or_default()
    }
}

#[test]
fn an_archive_opens_and_gives_its_newest() {
    let case = Case::new();
    let archive = case.open(Freshness::Refresh).expect("opened");
    let found = archive.newest("hello", "amd64").expect("hello");
    assert_eq!(found.package.version(), "2.10-1");
    assert_eq!(found.pooled().expect("pooled").path, "pool/h.deb");
    assert!(archive.newest("hello", "i386").is_none());
    let locked = archive.locked_suites();
    assert_eq!(locked.keys().collect::<Vec<_>>(), ["debian/trixie"]);
    let key = "hello:amd64=2.9-1".parse().expect("a key");
    assert_eq!(archive.exact(&key).expect("the older").package.version(), "2.9-1");
}

#[test]
fn the_locked_state_serves_where_the_mirror_does_not_answer() {
    let case = Case::new();
    let locked = case.open(Freshness::Refresh).expect("opened").locked_suites();
    case.server.put("dists/trixie/InRelease", Answer::Status(503));
    let archive = case.open(Freshness::Locked(&locked)).expect("opened again");
    assert_eq!(archive.locked_suites(), locked);
    // The lock is of another state than the cache's.
    let mut other = locked.clone();
    for suite in other.values_mut() {
        suite.inrelease = "0".repeat(64);
    }
    let words = case.open(Freshness::Locked(&other)).expect_err("nothing serves").to_string();
    assert!(words.contains("does not answer"), "{words}");
    // What the mirror says now is newer, and counts.
    case.publish("trixie", "Version: 2\n");
    let archive = case.open(Freshness::Locked(&locked)).expect("opened anew");
    assert_ne!(archive.locked_suites(), locked);
    // A bad answer is no missing one.
    case.server.file("dists/trixie/InRelease", "<html>");
    assert!(case.open(Freshness::Locked(&locked)).is_err());
}

#[test]
fn an_expired_release_is_refused() {
    let case = Case::new();
    let past = release_date(UnixSeconds(UnixSeconds::now().0 - 60));
    case.publish("trixie", &format!("Valid-Until: {past}\n"));
    let words = case.refusal();
    assert!(words.contains("expired at") && words.contains(&case.server.base), "{words}");
    assert!(case.kept().is_empty(), "{:?}", case.kept());
}

#[test]
fn an_honest_release_of_another_suite_is_refused() {
    let case = Case::new();
    case.publish("bookworm", "");
    let words = case.refusal();
    assert!(words.contains("`bookworm`") && words.contains("`trixie`"), "{words}");
}

#[test]
fn a_wrong_key_is_refused_and_nothing_is_kept() {
    let case = Case::new();
    let text = release("trixie", UnixSeconds::now(), &[]);
    case.server.file("dists/trixie/InRelease", Signer::new(MADE).sign(text.trim_end()));
    let words = case.refusal();
    assert!(words.contains("no valid signature"), "{words}");
    assert!(case.kept().is_empty(), "{:?}", case.kept());
}

#[test]
fn a_truncated_release_is_refused() {
    let case = Case::new();
    let text = case.signer.sign(release("trixie", UnixSeconds::now(), &[]).trim_end());
    case.server.file("dists/trixie/InRelease", &text.as_bytes()[..text.len() / 2]);
    let words = case.refusal();
    assert!(words.contains("cut short"), "{words}");
}

#[test]
fn an_index_with_other_bytes_is_refused_and_not_kept() {
    let case = Case::new();
    let mut packed = xz(PACKAGES);
    let by_hash = format!("dists/trixie/main/binary-amd64/by-hash/SHA256/{}", hash::sha256(&packed));
    let last = packed.len() - 1;
    packed[last] ^= 1;
    case.server.file(&by_hash, packed);
    let words = case.refusal();
    assert!(words.contains("sha256"), "{words}");
    assert!(case.kept().iter().all(|name| name.ends_with(".InRelease")), "{:?}", case.kept());
}

#[test]
fn a_server_without_by_hash_serves_plain_names() {
    let case = Case::new();
    let packed = xz(PACKAGES);
    let by_hash = format!("dists/trixie/main/binary-amd64/by-hash/SHA256/{}", hash::sha256(&packed));
    case.server.put(&by_hash, Answer::Status(404));
    case.server.file("dists/trixie/main/binary-amd64/Packages.xz", packed);
    case.open(Freshness::Refresh).expect("opened");
}

#[test]
fn a_missing_component_is_told() {
    let case = Case::new();
    let mut repository = case.repository();
    repository.components = vec!["contrib".into()];
    let words = case.open_at(&repository, Freshness::Refresh).expect_err("missing").to_string();
    assert!(words.contains("contrib") && words.contains("components main"), "{words}");
}

#[test]
fn a_damaged_index_in_the_cache_is_not_used() {
    let case = Case::new();
    case.open(Freshness::Refresh).expect("opened");
    let name = case.kept().into_iter().find(|name| name.ends_with(".Packages")).expect("an index");
    fs::write(case.folder.path().join("indices").join(name), "Package: evil\n").expect("written");
    assert!(case.refusal().contains("damaged"));
    case.open(Freshness::Refresh).expect("opened again");
}

#[test]
fn a_flat_repository_opens() {
    let case = Case::new();
    let text = release("", UnixSeconds::now(), &[("Packages", PACKAGES.as_bytes())])
        .replace("Acquire-By-Hash: yes\n", "")
        .replace("Suite: \nCodename: \n", "");
    case.server.file("flat/InRelease", case.signer.sign(text.trim_end()));
    case.server.file("flat/Packages", PACKAGES);
    let repository = Repository { suite: "flat/".into(), components: Vec::new(), ..case.repository() };
    let archive = case.open_at(&repository, Freshness::Refresh).expect("opened");
    assert!(archive.newest("hello", "amd64").is_some());
    assert_eq!(repository.key(), "debian/flat");
    let top = Repository { suite: "./".into(), ..repository };
    assert_eq!(top.folder(), case.server.base);
    assert!(Path::new(&top.key()).starts_with("debian"));
}
