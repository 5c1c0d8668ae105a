use super::*;

/// A root that has this computer's programs by a bind: its own root as a layer would hold the
/// other directories of the overlay, and in a user namespace its mounts are locked.
fn root_of_this_computer(scratch: &Path) -> Option<(Sandbox, RootDirs)> {
    let sandbox = Sandbox::new(1_700_000_000, scratch).ok()?;
    let (below, upper) = (scratch.join("below"), scratch.join("upper"));
    for place in [&below, &upper] {
        std::fs::create_dir(place).unwrap();
    }
    for link in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), below.join(link)).unwrap();
    }
    Some((sandbox, RootDirs { lower: vec![below], upper: Some(upper) }))
}

fn shell(script: &str) -> RootCommand {
    RootCommand {
        argv: ["sh", "-c", script].map(Into::into).to_vec(),
        binds: vec![Bind { source: "/usr".into(), target: "/usr".into(), writable: false }],
        capture: true,
        ..RootCommand::default()
    }
}

/// Whether this computer allows namespaces at all. Only a refusal by the kernel is a reason to skip,
/// and then the test says so, loudly.
fn usable(sandbox: &Sandbox, dirs: &RootDirs) -> bool {
    match sandbox.run(dirs, shell("true")) {
        Ok(_) => true,
        Err(RunError::Setup { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("SKIPPED: this computer forbids namespaces: {source}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_program_sees_its_root_and_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let Some((sandbox, dirs)) = root_of_this_computer(scratch.path()) else {
        eprintln!("SKIPPED: this test needs root or a user namespace");
        return;
    };
    if !usable(&sandbox, &dirs) {
        return;
    }
    let script = "echo $$ $LC_ALL $TZ $SOURCE_DATE_EPOCH $(umask) $(hostname); env | grep -c ^SECRET; \
        ls /proc | grep -c '^[0-9]*$' ; ls /tmp; touch /made; ls /dev; cat /proc/net/dev | wc -l";
    let output = String::from_utf8(sandbox.run(&dirs, shell(script)).unwrap()).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert!(lines[0].ends_with("C.UTF-8 UTC 1700000000 0022 localhost"), "{output}");
    assert_eq!(lines[1], "0");
    assert!(output.contains("urandom") && !output.contains("vda") && !output.contains("sda"), "{output}");
    assert!(scratch.path().join("upper/made").exists());
    assert!(!Path::new("/made").exists());
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "mount points and work directories are gone: {left:?}");
}

#[test]
fn a_failure_brings_the_tail_of_the_log() {
    let scratch = tempfile::tempdir().unwrap();
    let Some((sandbox, dirs)) = root_of_this_computer(scratch.path()) else {
        eprintln!("SKIPPED: this test needs root or a user namespace");
        return;
    };
    if !usable(&sandbox, &dirs) {
        return;
    }
    let error = sandbox.run(&dirs, shell("echo the reason >&2; exit 7")).unwrap_err().to_string();
    assert!(error.contains("exit status 7") && error.contains("the reason"), "{error}");
    let error = sandbox.run(&dirs, shell("kill -9 $$")).unwrap_err().to_string();
    assert!(error.contains("signal 9"), "{error}");
    let missing = RootCommand { argv: vec!["no-such-program".into()], ..RootCommand::default() };
    let error = sandbox.run(&dirs, missing).unwrap_err().to_string();
    assert!(error.contains("starting the program"), "{error}");
}

#[test]
fn binds_are_read_only_unless_asked() {
    let scratch = tempfile::tempdir().unwrap();
    let Some((sandbox, dirs)) = root_of_this_computer(scratch.path()) else {
        eprintln!("SKIPPED: this test needs root or a user namespace");
        return;
    };
    if !usable(&sandbox, &dirs) {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("a"), "seen").unwrap();
    for (writable, wanted) in [(false, "seen no\n"), (true, "seen yes\n")] {
        let mut command = shell("echo $(cat /run/x/a) $(touch /run/x/b 2>/dev/null && echo yes || echo no)");
        command.binds.push(Bind { source: outside.path().into(), target: "/run/x".into(), writable });
        let output = sandbox.run(&dirs, command).unwrap();
        assert_eq!(String::from_utf8(output).unwrap(), wanted);
    }
}

#[test]
fn overlay_options_escape_what_would_split_them() {
    let text = overlay_options(
        &["/a:b".into(), "/c,d".into()],
        Path::new("/u"),
        Path::new("/w"),
        Mode::UserNamespace,
    );
    assert!(text.starts_with("lowerdir=/a\\:b:/c\\,d,upperdir=/u,workdir=/w,"), "{text}");
    assert!(text.ends_with(",volatile,userxattr"), "{text}");
}

#[test]
fn deletions_become_whiteouts_of_the_neutral_form() {
    use crate::tree::{Kind, OPAQUE, walk};
    let scratch = tempfile::tempdir().unwrap();
    let Some((sandbox, dirs)) = root_of_this_computer(scratch.path()) else {
        eprintln!("SKIPPED: this test needs root or a user namespace");
        return;
    };
    let below = scratch.path().join("below");
    for name in ["gone", "made-anew/old"] {
        std::fs::create_dir_all(below.join("x").join(name).parent().unwrap()).unwrap();
        std::fs::write(below.join("x").join(name), "").unwrap();
    }
    if !usable(&sandbox, &dirs) {
        return;
    }
    let script = "rm /x/gone; rm -r /x/made-anew; mkdir /x/made-anew; echo new >/x/made-anew/new";
    sandbox.run(&dirs, shell(script)).unwrap();
    let entries = walk(&scratch.path().join("upper/x"), 0).unwrap();
    let names: Vec<_> =
        entries.iter().map(|entry| String::from_utf8_lossy(&entry.path).into_owned()).collect();
    assert_eq!(names, ["", "gone", "made-anew", "made-anew/new"]);
    assert!(entries[1].is_whiteout());
    assert_eq!(entries[2].xattrs.get(OPAQUE).map(Vec::as_slice), Some(b"y".as_slice()));
    assert!(entries.iter().all(|entry| entry.xattrs.keys().all(|name| name == OPAQUE)), "{entries:?}");
    assert!(matches!(entries[3].kind, Kind::File(_)));
}

#[test]
fn what_the_kernel_refuses_comes_with_a_remedy() {
    let refused = io::Error::from_raw_os_error(rustix::io::Errno::PERM.raw_os_error());
    let invalid = io::Error::from_raw_os_error(rustix::io::Errno::INVAL.raw_os_error());
    assert!(hint("mounting proc", &refused, Mode::UserNamespace).contains("apparmor_restrict"));
    assert!(hint("mounting proc", &refused, Mode::Root).contains("CAP_SYS_ADMIN"));
    assert!(hint("mounting overlay at /x", &invalid, Mode::Root).contains("XDG_CACHE_HOME"));
    assert_eq!(hint("mounting proc", &invalid, Mode::Root), "");
}
