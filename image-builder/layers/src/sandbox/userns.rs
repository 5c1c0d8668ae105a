//! Becoming root in a user namespace: how an ordinary user builds the same layers.
//!
//! Id 0 inside is the user, 1–65535 are the user's subordinate ids (subuid(5), subgid(5),
//! newuidmap(1)). The whole process moves, so that the code which walks and writes trees is the
//! same in both modes.

use super::SandboxError;
use rustix::thread::UnshareFlags;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How this process may change owners and mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Root of the computer.
    Root,
    /// Root of a user namespace.
    UserNamespace,
}

impl Mode {
    /// What this process is now, if it can run sandboxes at all.
    pub fn current() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let fields: Vec<&str> = map.split_whitespace().collect();
        Some(if fields == ["0", "0", "4294967295"] { Self::Root } else { Self::UserNamespace })
    }
}

/// How many ids a namespace needs: Debian's `nobody` is 65534.
const IDS: u64 = 65536;

/// Makes this process root where it is not: in a user namespace of its own.
///
/// Call it first thing in `main`: the kernel refuses it to a process that has threads.
pub fn become_root() -> Result<Mode, SandboxError> {
    if let Some(mode) = Mode::current() {
        return Ok(mode);
    }
    let user = current_user()?;
    let uids = range(Path::new("/etc/subuid"), &user)?;
    let gids = range(Path::new("/etc/subgid"), &user)?;
    let tools = [find("newuidmap", &user)?, find("newgidmap", &user)?];
    let pid = std::process::id();
    // The helper must be there before the namespace is: what a process inside starts has no
    // rights over the ids outside, even if the program is setuid.
    let script =
        "read -r go && \"$1\" \"$3\" 0 \"$4\" 1 1 \"$5\" 65535 && \"$2\" \"$3\" 0 \"$6\" 1 1 \"$7\" 65535";
    let mut helper = Command::new("/bin/sh")
        .args(["-c", script, "sh"])
        .args(&tools)
        .arg(pid.to_string())
        .args([user.uid, uids.start, user.gid, gids.start].map(|id| id.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| SandboxError::Io { doing: "starting newuidmap".into(), source })?;
    if let Err(errno) = crate::sys::unshare(UnshareFlags::NEWUSER) {
        let _ = helper.kill();
        let _ = helper.wait();
        return Err(SandboxError::NoNamespaces { reason: why_no_user_namespace(errno) });
    }
    let io = |source| SandboxError::Io { doing: "mapping ids with newuidmap".into(), source };
    if let Some(mut stdin) = helper.stdin.take() {
        stdin.write_all(b"go\n").map_err(io)?;
    }
    let output = helper.wait_with_output().map_err(io)?;
    if output.status.success() && Mode::current().is_some() {
        return Ok(Mode::UserNamespace);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(SandboxError::NoNamespaces { reason: format!("newuidmap could not map the subordinate ids: {said}") })
}

struct User {
    name: Option<String>,
    uid: u64,
    gid: u64,
}

fn current_user() -> Result<User, SandboxError> {
    let uid = u64::from(rustix::process::getuid().as_raw());
    let gid = u64::from(rustix::process::getgid().as_raw());
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    Ok(User { name, uid, gid })
}

#[derive(Debug, PartialEq)]
struct Range {
    start: u64,
}

fn range(file: &Path, user: &User) -> Result<Range, SandboxError> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    find_range(&text, user.name.as_deref(), user.uid).ok_or_else(|| {
        let who = user.name.clone().unwrap_or_else(|| user.uid.to_string());
        let option = if file.ends_with("subuid") { "--add-subuids" } else { "--add-subgids" };
        SandboxError::NoNamespaces {
            reason: format!(
                "{} gives {who} no range of {IDS} ids. Add one: sudo usermod {option} 524288-589823 {who}",
                file.display()
            ),
        }
    })
}

/// The first range of a subuid(5) file that is the user's and large enough.
fn find_range(text: &str, name: Option<&str>, uid: u64) -> Option<Range> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        let start = fields.next()?.parse().ok()?;
        let count: u64 = fields.next()?.parse().ok()?;
        let mine = Some(who) == name || who.parse() == Ok(uid);
        (mine && count >= IDS - 1).then_some(Range { start })
    })
}

fn find(tool: &str, user: &User) -> Result<PathBuf, SandboxError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin".into(), "/bin".into()])
        .map(|folder| folder.join(tool))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| SandboxError::NoNamespaces {
            reason: format!(
                "{tool} is not installed (uid {} is not root, so ids must be mapped). Install it: sudo apt install uidmap",
                user.uid
            ),
        })
}

/// The switches by which a computer forbids user namespaces, and how to turn each.
fn why_no_user_namespace(errno: rustix::io::Errno) -> String {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    if read("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return "the sysctl kernel.unprivileged_userns_clone is 0. Allow them: sudo sysctl kernel.unprivileged_userns_clone=1".into();
    }
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return "AppArmor restricts user namespaces (Ubuntu's default). Allow them: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run as root".into();
    }
    if read("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        return "the sysctl user.max_user_namespaces is 0. Allow them: sudo sysctl user.max_user_namespaces=15000".into();
    }
    match errno {
        rustix::io::Errno::INVAL => {
            "this process already has threads, or the kernel lacks CONFIG_USER_NS".into()
        }
        other => format!(
            "the kernel refused a user namespace: {other}. In a container, run it as root with CAP_SYS_ADMIN, or outside"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subuid_lines_by_name_or_number() {
        let text = "# a comment\nann:100000:65536\n\nbob:165536:1000\n1001:300000:65536\nbad:x:y\n";
        assert_eq!(find_range(text, Some("ann"), 1000), Some(Range { start: 100000 }));
        assert_eq!(find_range(text, Some("bob"), 1002), None, "too small");
        assert_eq!(find_range(text, None, 1001), Some(Range { start: 300000 }));
        assert_eq!(find_range("::::\n\0\nann\n", Some("ann"), 1), None);
    }
}
