//! A home over several boots.

use super::super::order::FileOrder;
use super::*;
use std::os::unix::fs::symlink;

struct World {
    dir: tempfile::TempDir,
    record: Record,
    order: Order,
    contents: Vec<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            record: Record::default(),
            order: Order::default(),
            contents: Vec::new(),
        }
    }

    fn declare(&mut self, files: &[(&str, &str)]) {
        self.order.files = files
            .iter()
            .map(|(path, text)| FileOrder { path: (*path).into(), mode: 0o644, size: text.len() as u64 })
            .collect();
        self.contents = files.iter().map(|(_, text)| text.as_bytes().to_vec()).collect();
    }

    fn key(&mut self, value: Option<&str>) {
        let keys = BTreeMap::from([("k".to_owned(), value.map(str::to_owned))]);
        let groups = BTreeMap::from([("G".to_owned(), keys)]);
        self.order.ini = BTreeMap::from([(".config/x".to_owned(), groups)]);
    }

    fn boot(&mut self) -> Answer {
        let mut order = self.order.clone();
        order.home = self.dir.path().to_string_lossy().into_owned();
        order.date = "2026-11-22".into();
        order.record = self.record.clone();
        let contents: Vec<&[u8]> = self.contents.iter().map(Vec::as_slice).collect();
        let answer = Applier::new(order).run(&contents);
        self.record = answer.record.clone();
        answer
    }

    fn good_boot(&mut self) {
        let answer = self.boot();
        assert!(answer.problems.is_empty(), "{answer:?}");
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|_| "(none)".into())
    }
}

#[test]
fn files_come_change_and_go_with_their_folders() {
    let mut world = World::new();
    world.declare(&[(".config/app/conf", "one")]);
    world.good_boot();
    assert_eq!(world.read(".config/app/conf"), "one");
    world.declare(&[(".config/app/conf", "two")]);
    world.good_boot();
    assert_eq!(world.read(".config/app/conf"), "two");
    fs::write(world.at(".config/mine"), "mine").unwrap();
    world.declare(&[]);
    world.good_boot();
    assert!(!world.at(".config/app").exists());
    assert_eq!(world.read(".config/mine"), "mine");
}

#[test]
fn what_the_user_changed_is_kept_aside() {
    let mut world = World::new();
    world.declare(&[("f", "one")]);
    world.good_boot();
    for _ in 0..2 {
        fs::write(world.at("f"), "mine").unwrap();
        world.good_boot();
    }
    assert_eq!(world.read("f"), "one");
    assert_eq!(world.read("f.kept-by-landfall-2026-11-22"), "mine");
    assert_eq!(world.read("f.kept-by-landfall-2026-11-22-2"), "mine");
    fs::write(world.at("f"), "again").unwrap();
    world.declare(&[]);
    world.good_boot();
    assert_eq!(world.read("f"), "(none)");
    assert_eq!(world.read("f.kept-by-landfall-2026-11-22-3"), "again");
}

#[test]
fn what_stood_there_first_is_kept_aside_even_a_folder() {
    let mut world = World::new();
    fs::create_dir_all(world.at("f/deep")).unwrap();
    fs::write(world.at("parent"), "a file").unwrap();
    world.declare(&[("f", "one"), ("parent/child", "two")]);
    world.good_boot();
    assert!(world.at("f.kept-by-landfall-2026-11-22/deep").is_dir());
    assert_eq!(world.read("parent.kept-by-landfall-2026-11-22"), "a file");
    assert_eq!(world.read("parent/child"), "two");
}

#[test]
fn a_planted_link_is_never_written_through() {
    let mut world = World::new();
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target");
    fs::write(&target, "precious").unwrap();
    symlink(&target, world.at("f")).unwrap();
    symlink(&target, world.at(".f.landfall-new")).unwrap();
    world.declare(&[("f", "one")]);
    world.good_boot();
    assert_eq!(world.read("f"), "one");
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert!(fs::read_link(world.at("f.kept-by-landfall-2026-11-22")).is_ok());
}

#[test]
fn a_pipe_does_not_hold_the_boot_up() {
    let mut world = World::new();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, world.at("f"), kind, mode, 0).unwrap();
    world.declare(&[("f", "one")]);
    world.good_boot();
    assert_eq!(world.read("f"), "one");
}

#[test]
fn paths_that_reach_out_are_refused_even_from_a_record() {
    let mut world = World::new();
    world.record.files.insert("../victim".into(), "x".into());
    world.record.links.insert("/etc/x".into(), "y".into());
    world.declare(&[("../evil", "one")]);
    let answer = world.boot();
    assert_eq!(answer.problems.len(), 3, "{answer:?}");
    assert!(!world.dir.path().with_file_name("evil").exists());
}

#[test]
fn links_come_and_go() {
    let mut world = World::new();
    world.order.links.insert("a/l".into(), "t1".into());
    world.good_boot();
    world.order.links.insert("a/l".into(), "t2".into());
    world.good_boot();
    assert_eq!(fs::read_link(world.at("a/l")).unwrap(), Path::new("t2"));
    world.order.links.clear();
    world.good_boot();
    assert!(!world.at("a").exists());
}

#[test]
fn keys_become_what_they_were() {
    let mut world = World::new();
    fs::create_dir_all(world.at(".config")).unwrap();
    fs::write(world.at(".config/x"), "# c\n[G]\nk=old\nother=1\n").unwrap();
    world.key(Some("new"));
    world.good_boot();
    world.good_boot();
    assert_eq!(world.read(".config/x"), "# c\n[G]\nk=new\nother=1\n");
    world.order.ini.clear();
    world.good_boot();
    assert_eq!(world.read(".config/x"), "# c\n[G]\nk=old\nother=1\n");
    assert!(world.record.ini.is_empty());
}

#[test]
fn a_key_that_the_user_changed_since_stays_when_it_is_declared_no_more() {
    let mut world = World::new();
    world.key(Some("new"));
    world.good_boot();
    assert_eq!(world.read(".config/x"), "[G]\nk=new\n");
    fs::write(world.at(".config/x"), "[G]\nk=theirs\n").unwrap();
    world.order.ini.clear();
    world.good_boot();
    assert_eq!(world.read(".config/x"), "[G]\nk=theirs\n");
}

#[test]
fn a_file_that_was_only_our_keys_goes_with_them() {
    let mut world = World::new();
    world.key(Some("new"));
    world.good_boot();
    world.order.ini.clear();
    world.good_boot();
    assert!(!world.at(".config/x").exists());
}

#[test]
fn unset_takes_a_key_away_and_gives_it_back() {
    let mut world = World::new();
    fs::create_dir_all(world.at(".config")).unwrap();
    fs::write(world.at(".config/x"), "[G]\nk=old\nz=1\n").unwrap();
    world.key(None);
    world.good_boot();
    assert_eq!(world.read(".config/x"), "[G]\nz=1\n");
    world.order.ini.clear();
    world.good_boot();
    assert!(world.read(".config/x").contains("k=old"));
}

#[test]
fn a_linked_dotfile_is_edited_where_it_is() {
    let mut world = World::new();
    fs::create_dir_all(world.at("dots")).unwrap();
    fs::create_dir_all(world.at(".config")).unwrap();
    fs::write(world.at("dots/x"), "[G]\nk=old\n").unwrap();
    symlink("../dots/x", world.at(".config/x")).unwrap();
    world.key(Some("new"));
    world.good_boot();
    assert_eq!(world.read("dots/x"), "[G]\nk=new\n");
    assert!(fs::read_link(world.at(".config/x")).is_ok());
}

#[test]
fn the_skeleton_comes_once_and_over_nothing() {
    let mut world = World::new();
    let skeleton = tempfile::tempdir().unwrap();
    fs::write(skeleton.path().join(".bashrc"), "skel").unwrap();
    fs::write(skeleton.path().join(".profile"), "skel").unwrap();
    fs::write(world.at(".profile"), "mine").unwrap();
    world.order.skeleton = Some(skeleton.path().to_string_lossy().into_owned());
    world.good_boot();
    assert_eq!((world.read(".bashrc"), world.read(".profile")), ("skel".into(), "mine".into()));
    fs::remove_file(world.at(".bashrc")).unwrap();
    world.good_boot();
    assert!(!world.at(".bashrc").exists());
}
