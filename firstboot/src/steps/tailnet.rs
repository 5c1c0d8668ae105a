//! Joining the tailnet: `tailscale up` once, with the auth key as a file; a machine that is in is
//! left alone, so it is never registered twice.

use super::outcome::Outcome;
use crate::error::{Error, Result};
use crate::files;
use crate::network;
use crate::roots::Roots;
use crate::secrets::template::value;
use crate::tools::{Call, Commands, Tool};
use landfall_hosts::host::Tailnet;
use landfall_hosts::machine::Machine;
use landfall_hosts::paths;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// How long the client itself may try.
const UP_TIMEOUT: &str = "--timeout=60s";
const UP_LIMIT: Duration = Duration::from_secs(90);

/// What is read of `tailscale status --json` (ipn/ipnstate.Status of its source).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Status {
    backend_state: String,
    have_node_key: bool,
    #[serde(rename = "Self")]
    node: Option<Node>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    host_name: String,
    #[serde(rename = "TailscaleIPs")]
    addresses: Option<Vec<String>>,
}

/// One attempt.
pub fn attempt(roots: &Roots, machine: &Machine, commands: &dyn Commands) -> Result<Outcome> {
    let Some(tailnet) = &machine.tailnet else {
        return Ok(Outcome::Done("not part of a tailnet".into()));
    };
    if !commands.has(Tool::Tailscale) {
        return Ok(Outcome::Waiting("tailscale is not installed; add the package to the site".into()));
    }
    let status = match status(commands)? {
        Some(status) => status,
        None => return Ok(Outcome::Pending("waiting for tailscaled".into())),
    };
    match status.backend_state.as_str() {
        "Running" => running(machine, &status, commands),
        // Until it has read its state it says this of a machine that is long in; joining then would
        // register it a second time.
        "NoState" if status.have_node_key => Ok(Outcome::Pending("tailscaled is starting".into())),
        "NeedsLogin" | "NoState" => join(roots, machine, tailnet, commands),
        "NeedsMachineAuth" => Ok(Outcome::Waiting(
            "waiting for the machine to be approved in the tailnet's admin console".into(),
        )),
        "Stopped" => {
            Ok(Outcome::Waiting("tailscale was taken down by hand; `tailscale up` brings it back".into()))
        }
        other => Ok(Outcome::Pending(format!("tailscaled says {other}"))),
    }
}

/// None while the daemon cannot be asked.
fn status(commands: &dyn Commands) -> Result<Option<Status>> {
    let call = Call::new(Tool::Tailscale, &["status", "--json", "--peers=false"]);
    let finished = commands.run(&call)?;
    Ok(serde_json::from_slice(&finished.stdout).ok())
}

fn running(machine: &Machine, status: &Status, commands: &dyn Commands) -> Result<Outcome> {
    let node = status.node.as_ref();
    let name = node.map_or("", |node| node.host_name.as_str());
    if name != machine.hostname {
        let hostname = format!("--hostname={}", machine.hostname);
        let call = Call::new(Tool::Tailscale, &["set", &hostname]);
        commands.check(&call, "giving the tailnet this machine's name")?;
    }
    let address = node.and_then(|node| node.addresses.as_ref()?.first().cloned());
    Ok(Outcome::Done(match address {
        Some(address) => format!("in the tailnet as {} ({address})", machine.hostname),
        None => format!("in the tailnet as {}", machine.hostname),
    }))
}

fn join(roots: &Roots, machine: &Machine, tailnet: &Tailnet, commands: &dyn Commands) -> Result<Outcome> {
    let Some(key) = &tailnet.auth_key else {
        return Ok(Outcome::Waiting("waiting for an auth key".into()));
    };
    if !roots.secrets().join(&key.secret).exists() {
        return Ok(Outcome::Waiting(format!(
            "waiting for an auth key (the secret {} is not open)",
            key.secret
        )));
    }
    // The client would wait its whole time for a network, and the steps with it.
    if !network::has_default_route(roots) {
        return Ok(Outcome::Pending("waiting for the network".into()));
    }
    let file = Path::new(paths::machine::SECRETS).join(&key.secret);
    let key_file = format!("--auth-key=file:{}", file.display());
    let hostname = format!("--hostname={}", machine.hostname);
    let server = tailnet.server.as_ref().map(|uri| format!("--login-server={uri}"));
    let operator = tailnet.operator.as_ref().map(|user| format!("--operator={user}"));
    let mut args = vec!["up", "--reset", UP_TIMEOUT, &key_file, &hostname];
    args.extend(server.as_deref());
    args.extend(operator.as_deref());
    let call = Call::new(Tool::Tailscale, &args).limit(UP_LIMIT);
    commands.check(&call, "joining the tailnet").map_err(|error| without_key(error, roots, &key.secret))?;
    match status(commands)? {
        Some(status) if status.backend_state == "Running" => running(machine, &status, commands),
        _ => Ok(Outcome::Pending("tailscale is starting".into())),
    }
}

/// A client that complains may say the key; it must not get into a record or a log.
fn without_key(error: Error, roots: &Roots, secret: &str) -> Error {
    let Error::Program { doing, program, how } = error else {
        return error;
    };
    let key = files::read(&roots.secrets().join(secret));
    let hidden = key.ok().and_then(|key| {
        let key = std::str::from_utf8(value(&key)).ok()?;
        (!key.is_empty()).then(|| how.replace(key, "(the key)"))
    });
    // Without the key at hand nothing can be said to be free of it.
    let how = hidden.unwrap_or_else(|| "failed".into());
    Error::Program { doing, program, how }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{FakeCommands, finished};
    use landfall_hosts::host::SecretRef;
    use std::cell::Cell;

    fn machine(key: bool) -> Machine {
        Machine {
            hostname: "vm".into(),
            tailnet: Some(Tailnet {
                auth_key: key.then(|| SecretRef { secret: "ts".into() }),
                server: Some("http://h.example".into()),
                operator: Some("sam".into()),
            }),
            ..Machine::default()
        }
    }

    fn world() -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        std::fs::create_dir_all(roots.secrets()).unwrap();
        std::fs::write(roots.secrets().join("ts"), "tskey-abc123\n").unwrap();
        std::fs::create_dir_all(roots.proc("net")).unwrap();
        let route = "Iface\neth0 00000000 0202000A 0003 0 0 0 00000000 0 0 0\n";
        std::fs::write(roots.proc("net/route"), route).unwrap();
        (dir, roots)
    }

    const RUNNING: &str =
        r#"{"BackendState":"Running","Self":{"HostName":"vm","TailscaleIPs":["100.64.0.1"]},"New":1}"#;
    const NEEDS: &str = r#"{"BackendState":"NeedsLogin","Self":{"HostName":"vm","TailscaleIPs":null}}"#;

    #[test]
    fn a_machine_that_is_in_is_left_alone() {
        let (_dir, roots) = world();
        let commands = FakeCommands::default().answer("tailscale", 0, RUNNING);
        let outcome = attempt(&roots, &machine(true), &commands).unwrap();
        assert_eq!(outcome, Outcome::Done("in the tailnet as vm (100.64.0.1)".into()));
        assert!(!commands.called("tailscale up") && !commands.called("tailscale set"));
    }

    #[test]
    fn joins_with_the_key_as_a_file() {
        let (_dir, roots) = world();
        let mut commands = FakeCommands::default();
        let joined = Cell::new(false);
        commands.answers.push(Box::new(move |call| {
            if call.args.first() == Some(&"up") {
                joined.set(true);
            }
            Some(finished(0, if joined.get() { RUNNING } else { NEEDS }, ""))
        }));
        let outcome = attempt(&roots, &machine(true), &commands).unwrap();
        assert!(matches!(outcome, Outcome::Done(_)));
        assert!(commands.called(
            "tailscale up --reset --timeout=60s --auth-key=file:/run/secrets/ts --hostname=vm --login-server=http://h.example --operator=sam"
        ));
    }

    #[test]
    fn waits_for_a_key_and_for_the_daemon() {
        let (_dir, roots) = world();
        let needs = FakeCommands::default().answer("tailscale", 0, NEEDS);
        let outcome = attempt(&roots, &machine(false), &needs).unwrap();
        assert_eq!(outcome, Outcome::Waiting("waiting for an auth key".into()));
        std::fs::remove_file(roots.secrets().join("ts")).unwrap();
        let outcome = attempt(&roots, &machine(true), &needs).unwrap();
        assert!(matches!(outcome, Outcome::Waiting(_)));
        let down = FakeCommands::default().answer("tailscale", 1, "");
        let outcome = attempt(&roots, &machine(true), &down).unwrap();
        assert_eq!(outcome, Outcome::Pending("waiting for tailscaled".into()));
    }

    #[test]
    fn a_daemon_that_is_still_starting_is_not_asked_to_join_again() {
        let (_dir, roots) = world();
        let starting = r#"{"BackendState":"NoState","HaveNodeKey":true}"#;
        let commands = FakeCommands::default().answer("tailscale", 0, starting);
        let outcome = attempt(&roots, &machine(true), &commands).unwrap();
        assert!(matches!(outcome, Outcome::Pending(_)));
        assert!(!commands.called("tailscale up"));
    }

    #[test]
    fn the_key_never_gets_into_an_error() {
        let (_dir, roots) = world();
        let mut commands = FakeCommands::default();
        commands.answers.push(Box::new(|call| {
            let up = call.args.first() == Some(&"up");
            Some(finished(i32::from(up), NEEDS, "backend error: invalid key tskey-abc123: denied"))
        }));
        let error = attempt(&roots, &machine(true), &commands).unwrap_err().to_string();
        assert!(error.contains("denied") && !error.contains("abc123"), "{error}");
    }
}
