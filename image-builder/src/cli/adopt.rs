//! What a report says of a machine, taken into the site: its facts, and the file of a new host.

use super::failure::Failure;
use landfall_probe::Machine;
use serde_json::Value;
use std::path::Path;

/// An installation's report, or what `landfall probe --json` printed.
pub(super) struct Report {
    machine: Machine,
    host: Option<String>,
    disks: Vec<Disk>,
}

/// A disk that a host may name as its own.
struct Disk {
    path: String,
    words: String,
    /// Key and value that tell it from all others.
    identity: Option<(&'static str, String)>,
    /// It was installed to.
    is_target: bool,
    /// It can be the machine's own.
    is_fixed: bool,
}

impl Report {
    /// Reads a file; its facts stand at the top or under `facts`.
    ///
    /// # Errors
    /// If it cannot be read or holds no facts.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let bad = |why: String| {
            let remedy =
                "give a report from the stick's folder `reports`, or what `landfall probe --json` wrote";
            Failure::Invalid(format!("reading {}: {why}; {remedy}", file.display()))
        };
        let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
        let json: Value = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let machine = machine(&json).map_err(bad)?;
        let word = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
        let target = word("target");
        let disks = json.get("disks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let disks = disks.iter().filter_map(|disk| Disk::read(disk, target.as_deref())).collect();
        Ok(Self { machine, host: word("host"), disks })
    }

    /// The host that was installed.
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Writes `facts/NAME.json`: what rules ask of hardware, without what names this one piece of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn pin(&self, site: &Path, name: &str) -> Result<(), Failure> {
        let mut machine = self.machine.clone();
        (machine.serial, machine.uuid, machine.kernel_release) = (None, None, None);
        machine.mac.clear();
        machine.network.iter_mut().for_each(|nic| nic.mac = None);
        let text = format!("{:#}\n", serde_json::to_value(&machine)?);
        let file = site.join(format!("facts/{name}.json"));
        Ok(crate::secrets::replace(&file, text.as_bytes(), crate::secrets::MODE_PUBLIC)?)
    }

    /// `hosts/NAME.toml` of a machine that the site does not have yet.
    pub(super) fn host_file(&self, name: &str, device: Option<&str>) -> String {
        let machine = match self.machine.unique().first() {
            Some((key, value)) => format!("[match]\n{key} = {}\n", quoted(value)),
            None => {
                "# Its firmware names neither a serial number nor a UUID: no stick recognises it by itself.\n"
                    .to_owned()
            }
        };
        format!(
            "# {name}: what makes this machine different. What all machines have stands in common.toml.\n\
             device = {}\n\
             gpu    = \"auto\"\n\
             # desktop = \"kde\"\n\
             {machine}\
             [disk]\n\
             # Exactly one disk may match; every other disk is never opened for writing.\n\
             {}\
             # \"refuse\" leaves a disk alone that is not empty; \"wipe\" destroys what is on it.\n\
             existing = \"refuse\"\n",
            quoted(device.unwrap_or("auto")),
            self.disk()
        )
    }

    fn disk(&self) -> String {
        let fixed = || self.disks.iter().filter(|disk| disk.is_fixed).collect::<Vec<_>>();
        let target = self.disks.iter().find(|disk| disk.is_target);
        let chosen = target.or_else(|| match fixed().as_slice() {
            [only] => Some(*only),
            _ => None,
        });
        if let Some((disk, (key, value))) = chosen.and_then(|disk| Some((disk, disk.identity.as_ref()?))) {
            return format!("# {}\nmatch    = {{ {key} = {} }}\n", disk.words, quoted(value));
        }
        let mut text = String::from("# Name one of the disks that the machine has:\n");
        for disk in fixed() {
            let (key, value) = disk.identity.clone().unwrap_or(("path", disk.path.clone()));
            text.push_str(&format!("#   match = {{ {key} = {} }}   {}\n", quoted(&value), disk.words));
        }
        text + "match    = { serial = \"not chosen yet\" }\n"
    }
}

impl Disk {
    /// A disk as reports have it (what was seen around it beside), or as the probe prints it.
    fn read(json: &Value, target: Option<&str>) -> Option<Self> {
        let disk = json.get("disk").unwrap_or(json);
        let text = |key: &str| disk.get(key).and_then(Value::as_str).map(one_line).filter(|t| !t.is_empty());
        let flag = |json: &Value, key: &str| json.get(key).and_then(Value::as_bool).unwrap_or(false);
        let path = text("path")?;
        let size = disk.get("size_bytes").and_then(Value::as_i64).unwrap_or(0);
        let words = [text("model"), Some(landfall_hosts::rule::human_size(size)), text("transport")];
        let identity = ["serial", "wwn"].into_iter().find_map(|key| Some((key, text(key)?)));
        let is_other = flag(json, "is_medium") || flag(disk, "removable") || flag(disk, "read_only");
        Some(Self {
            words: words.into_iter().flatten().collect::<Vec<_>>().join(", "),
            identity,
            is_target: target == Some(path.as_str()),
            is_fixed: !is_other,
            path,
        })
    }
}

/// The facts of a report, of a probe's answer, or alone.
pub(super) fn machine(json: &Value) -> Result<Machine, String> {
    let facts = json.get("facts").unwrap_or(json);
    if facts.get("schema").is_none() {
        return Err("it holds no facts".into());
    }
    let mut machine: Machine = serde_json::from_value(facts.clone()).map_err(|error| error.to_string())?;
    machine.derive();
    Ok(machine)
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

fn quoted(text: &str) -> String {
    toml::Value::String(one_line(text)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> Report {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Report::read(file.path()).unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    const INSTALLED: &str = r#"{ "schema": 1, "host": "nb", "target": "/dev/nvme0n1",
        "facts": { "schema": 1, "serial": "PF3ABCDE", "uuid": "4c4c4544-0042-1", "chassis_type": 10,
            "power": [{ "name": "BAT0", "kind": "Battery" }], "mac": ["52:54:00:12:34:56"],
            "network": [{ "name": "eth0", "mac": "52:54:00:12:34:56" }], "kernel_release": "6.12" },
        "disks": [
            { "disk": { "path": "/dev/sda", "removable": true, "serial": "STICK" }, "is_medium": true },
            { "disk": { "path": "/dev/nvme0n1", "serial": "S4\"X", "model": "SSD", "size_bytes": 512110190592,
                "transport": "nvme" }, "is_medium": false } ] }"#;

    #[test]
    fn a_new_hosts_file_names_machine_and_disk() {
        let report = report(INSTALLED);
        assert_eq!(report.host(), Some("nb"));
        let table: toml::Table = report.host_file("nb", None).parse().unwrap();
        assert_eq!(table["device"].as_str(), Some("auto"));
        assert_eq!(table["match"]["serial"].as_str(), Some("PF3ABCDE"));
        assert_eq!(table["disk"]["match"]["serial"].as_str(), Some("S4\"X"));
        assert_eq!(table["disk"]["existing"].as_str(), Some("refuse"));
    }

    #[test]
    fn facts_in_the_site_name_the_kind_and_not_the_piece() {
        let site = tempfile::tempdir().unwrap();
        report(INSTALLED).pin(site.path(), "nb").unwrap();
        let text = std::fs::read_to_string(site.path().join("facts/nb.json")).unwrap();
        for private in ["PF3ABCDE", "4c4c4544", "52:54:00", "S4"] {
            assert!(!text.contains(private), "{private} is in {text}");
        }
        let again = machine(&serde_json::from_str(&text).unwrap()).unwrap();
        assert!(again.battery && again.chassis.as_deref() == Some("notebook"));
    }

    #[test]
    fn a_disk_is_named_only_where_one_is_meant() {
        let two = r#"{ "schema": 1, "serial": "To Be Filled By O.E.M.", "facts": { "schema": 1, "serial": "Default string",
            "uuid": "ffffffff-ffff-ffff-ffff-ffffffffffff" },
            "disks": [{ "path": "/dev/sda", "serial": "A" }, { "path": "/dev/sdb" }] }"#;
        let text = report(two).host_file("pc", Some("desktop"));
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["disk"]["match"]["serial"].as_str(), Some("not chosen yet"));
        assert!(text.contains("serial = \"A\"") && text.contains("/dev/sdb"), "{text}");
        assert!(!table.contains_key("match"));
    }

    #[test]
    fn what_holds_no_facts_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for bad in ["", "[]", "{}", "{\"facts\": 1}", "{\"facts\": {\"schema\": 1, \"power\": 3}}"] {
            std::fs::write(file.path(), bad).unwrap();
            assert!(Report::read(file.path()).is_err(), "{bad}");
        }
    }
}
