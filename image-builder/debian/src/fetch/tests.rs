use super::*;
use crate::hash::sha256;
use crate::testing::{Answer, Quiet, Server};

const BODY: &[u8] = b"0123456789abcdefghij";

struct Case {
    server: Server,
    folder: tempfile::TempDir,
}

impl Case {
    fn new(answer: Answer) -> Self {
        let case = Self { server: Server::new(), folder: tempfile::tempdir().expect("a folder") };
        case.server.put("f", answer);
        case
    }

    fn download(&self) -> Download {
        Download {
            url: format!("{}/f", self.server.base),
            to: self.folder.path().join("cache/f"),
            size: Some(BODY.len() as u64),
            sha256: sha256(BODY),
        }
    }

    fn fetch(&self) -> Result<()> {
        Fetcher::default().all("a file", &[self.download()], &Quiet)
    }

    /// Every file below the folder, by name.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("cache")).expect("the folder");
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_file_arrives_whole_under_its_name() {
    let case = Case::new(Answer::File(BODY.to_vec()));
    case.fetch().expect("fetched");
    assert_eq!(fs::read(case.download().to).expect("the file"), BODY);
    assert_eq!(case.files(), ["f"]);
}

#[test]
fn a_broken_connection_is_continued() {
    let case = Case::new(Answer::BreaksOnce(BODY.to_vec(), 7));
    case.fetch().expect("fetched");
    assert_eq!(fs::read(case.download().to).expect("the file"), BODY);
    assert_eq!(case.server.seen(), ["f", "f from 7"]);
}

#[test]
fn what_an_earlier_run_left_is_continued_and_checked() {
    let case = Case::new(Answer::File(BODY.to_vec()));
    fs::create_dir_all(case.folder.path().join("cache")).expect("a folder");
    fs::write(case.folder.path().join("cache/f.part"), &BODY[..5]).expect("a part");
    case.fetch().expect("fetched");
    assert_eq!(case.server.seen(), ["f from 5"]);
    // A part that is not of this file costs a second request, and nothing else.
    fs::remove_file(case.download().to).expect("removed");
    fs::write(case.folder.path().join("cache/f.part"), b"evil!").expect("a part");
    case.fetch().expect("fetched");
    assert_eq!(fs::read(case.download().to).expect("the file"), BODY);
    assert_eq!(case.server.seen().last().map(String::as_str), Some("f"));
}

#[test]
fn a_wrong_hash_is_an_error_and_leaves_nothing() {
    let mut evil = BODY.to_vec();
    evil[3] = b'X';
    let case = Case::new(Answer::File(evil));
    let words = case.fetch().expect_err("refused").to_string();
    assert!(words.contains("sha256") && words.contains("try again"), "{words}");
    assert!(words.contains(&case.server.base), "{words}");
    assert!(case.files().is_empty(), "{:?}", case.files());
}

#[test]
fn another_size_is_an_error_and_leaves_nothing() {
    for body in [BODY[..4].to_vec(), [BODY, b"more"].concat()] {
        let case = Case::new(Answer::File(body));
        let words = case.fetch().expect_err("refused").to_string();
        assert!(words.contains("another version"), "{words}");
        assert!(case.files().is_empty(), "{:?}", case.files());
    }
}

#[test]
fn a_server_that_never_finishes_is_given_up() {
    let case = Case::new(Answer::Stops(BODY.to_vec(), 0));
    let words = case.fetch().expect_err("given up").to_string();
    assert!(words.contains("4 times") && words.contains("[mirror]"), "{words}");
    assert!(!case.download().to.exists());
}

#[test]
fn a_missing_file_is_told_from_a_server_in_trouble() {
    let missing = Case::new(Answer::Status(404)).fetch().expect_err("missing");
    assert!(missing.is_missing(), "{missing}");
    let trouble = Case::new(Answer::Status(503)).fetch().expect_err("trouble");
    assert!(!trouble.is_missing() && trouble.to_string().contains("503"), "{trouble}");
    let refused = Fetcher::default().small("http://127.0.0.1:1/x", 10).expect_err("nobody there");
    assert!(refused.to_string().contains("http://127.0.0.1:1/x"), "{refused}");
}

#[test]
fn a_small_file_has_a_limit() {
    let case = Case::new(Answer::File(BODY.to_vec()));
    let url = case.download().url;
    assert_eq!(Fetcher::default().small(&url, 20).expect("fetched"), BODY);
    assert!(Fetcher::default().small(&url, 19).is_err());
}

#[test]
fn damaged_files_in_the_cache_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        Kept { path, size: BODY.len() as u64, sha256: sha256(BODY) }
    };
    let mut flipped = BODY.to_vec();
    flipped[0] = b'X';
    let files = [kept("whole", BODY), kept("flipped", &flipped), kept("short", &BODY[..3])];
    let lacking: Vec<_> = lacking(&files, &Quiet).expect("checked").into_iter().collect();
    assert_eq!(lacking, [folder.path().join("flipped"), folder.path().join("short")]);
}
