//! What a test asks a running machine: named scripts, run as root through the guest agent.

use crate::error::{Doing, Error, Result};
use crate::guest::Guest;
use crate::tailnet::debian_package;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::time::Duration;

/// Name and script. A script that fails is noted with its status, for the test to judge.
pub type Script = (&'static str, &'static str);

/// What every boot is asked.
pub const EVERY_BOOT: &[Script] = &[
    ("running", "systemctl is-system-running --wait"),
    ("failed", "systemctl --failed --no-legend --plain"),
    (
        "secure-boot",
        "od -An -tu1 -j4 -N1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
    ),
    // Blessing comes after boot-complete.target, which the agent does not wait for.
    (
        "entries",
        "for i in $(seq 60); do ls /efi/loader/entries | grep -q + || break; sleep 1; done; ls /efi/loader/entries",
    ),
    ("hostname", "hostname"),
    ("machine-id", "cat /etc/machine-id"),
    ("ssh-keys", "sha256sum /etc/ssh/ssh_host_*_key"),
    ("root", "findmnt -no FSTYPE,OPTIONS /"),
    ("etc", "findmnt -no FSTYPE,OPTIONS /etc"),
    ("var", "findmnt -no FSTYPE /var"),
    ("home", "findmnt -no FSTYPE /home"),
    (
        "esp",
        "findmnt -no FSTYPE,OPTIONS /efi; systemctl status --no-pager systemd-bless-boot.service | head -20 >&2",
    ),
    ("boot-ids", "journalctl --list-boots --no-pager | wc -l"),
    ("secrets", "find /run/secrets -type f -exec stat -c '%n %U %G %a' {} +"),
    ("secrets-fs", "findmnt -no FSTYPE -T /run/secrets"),
    ("shadow", "getent shadow sam | cut -d: -f2 | cut -c1-3"),
    ("password", "echo landfall | runuser -u nobody -- su sam -c 'id -un'"),
    ("git", "runuser -u sam -- git config --global user.name"),
    ("identity", "stat -c %a /run/landfall/data/landfall/state/identity.key 2>/dev/null || echo sealed"),
    ("status", "/usr/lib/landfall/bin/landfall-machine status --json"),
    ("analyze", "systemd-analyze time; systemd-analyze blame | head -15"),
    ("redone", "systemctl list-jobs --no-legend; systemctl is-active systemd-firstboot.service"),
    ("tailscale", "tailscale status --peers=false"),
    ("hello", "command -v hello"),
    ("lost", "/usr/lib/landfall/bin/landfall-machine lost"),
];

/// Leaves marks in places that stay and in places that go.
pub const MARKS: &str = "set -e; echo mark > /home/sam/lf-kept; echo mark > /var/lib/lf-kept; \
    echo mark > /usr/local/lf-gone; echo mark > /etc/lf-gone; useradd lfuser; \
    mkdir -p /root; echo mark > /root/lf-root";

/// What became of the marks.
pub const MARKS_LATER: &[Script] = &[
    ("kept", "cat /home/sam/lf-kept /var/lib/lf-kept"),
    ("gone", "ls /usr/local/lf-gone /etc/lf-gone; id lfuser"),
    ("kept-root", "cat /root/lf-root"),
];

/// Runs scripts and returns what they said, by name; a bad status ends the text.
pub fn ask(guest: &mut Guest, scripts: &[Script]) -> Result<BTreeMap<String, String>> {
    let mut said = BTreeMap::new();
    for (name, script) in scripts {
        let answer = guest.shell(script, Duration::from_secs(240))?;
        let mut text = answer.stdout.trim().to_owned();
        if answer.status != 0 {
            text.push_str(&format!("[status {}: {}]", answer.status, answer.stderr.trim()));
        }
        said.insert((*name).to_owned(), text);
    }
    Ok(said)
}

/// `apt install hello` from a repository in the guest: the package is made here, so that nothing outside is asked.
/// Its script adds a system user, as many packages' do.
pub fn install_hello(guest: &mut Guest) -> Result<String> {
    let folder = tempfile::tempdir().doing("creating a folder in", &std::env::temp_dir())?;
    let deb = folder.path().join("hello.deb");
    let packages = debian_package::hello(&deb)?;
    let bytes = std::fs::read(&deb).doing("reading", &deb)?;
    let encode = |bytes: &[u8]| STANDARD.encode(bytes);
    let script = format!(
        "set -e; mkdir -p /tmp/repo; cd /tmp/repo; echo {} | base64 -d > hello.deb; echo {} | base64 -d > Packages; \
         echo 'deb [trusted=yes] file:/tmp/repo ./' > /tmp/repo.list; \
         export DEBIAN_FRONTEND=noninteractive; \
         apt='apt-get -q -y -o Dir::Etc::sourcelist=/tmp/repo.list -o Dir::Etc::sourceparts=/dev/null'; \
         $apt update; $apt install hello; hello",
        encode(&bytes),
        encode(packages.as_bytes())
    );
    let said = guest.root(&script)?;
    match said.trim_end().ends_with("Hello, world!") {
        true => Ok(said),
        false => Err(Error::Unexpected(format!("hello did not greet: {said}"))),
    }
}
