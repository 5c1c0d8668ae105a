//! The report on the medium.

use super::medium::{Released, mount_esp};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::probe::Partition;
use crate::tree;
use landfall_hosts::report::InstallReport;
use rustix::mount::MountFlags;
use std::path::Path;

/// Folder of reports on a medium's ESP.
const FOLDER: &str = "reports";

/// Writes the report to the ESP of a medium that is in use.
pub fn save(context: &Context, esp: &Partition, report: &InstallReport) -> Result<String> {
    let (mount, folder) = mount_esp(context, esp, MountFlags::empty())?;
    let name = put(&folder, report)?;
    mount.close()?;
    Ok(name)
}

/// Writes the report to the ESP of a medium that is finished.
pub fn save_released(context: &Context, medium: &Released, report: &InstallReport) -> Result<String> {
    let (mount, folder) = medium.esp_for_writing(context)?;
    let name = put(&folder, report)?;
    mount.close()?;
    Ok(name)
}

/// `reports/HOST-<install id>-<k>.json`, with the first `k` that is free.
fn put(folder: &Path, report: &InstallReport) -> Result<String> {
    let reports = folder.join(FOLDER);
    crate::mounts::make_folder(&reports)?;
    let host = report.host.as_deref().unwrap_or("unknown");
    let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let text = json(report)?;
    for number in 1..1000 {
        let name = format!("{host}-{}-{number}.json", report.install_id);
        let path = reports.join(&name);
        if !path.exists() {
            tree::write(&path, text.as_bytes(), 0o644)?;
            return Ok(format!("{FOLDER}/{name}"));
        }
    }
    Err(Error::Words(format!("writing a report to {}: there are a thousand already", reports.display())))
}

/// The report's text.
pub fn json(report: &InstallReport) -> Result<String> {
    let mut text = serde_json::to_string_pretty(report).map_err(|error| Error::parse("the report", error))?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_hosts::report::Outcome;

    #[test]
    fn reports_are_numbered() {
        let top = tempfile::tempdir().unwrap();
        let report = InstallReport {
            schema: 1,
            host: Some("../vm".into()),
            install_id: "0011".into(),
            outcome: Outcome::Done,
            profiles: vec![],
            facts: serde_json::Value::Null,
            disks: serde_json::Value::Null,
            target: None,
            plan: None,
            phases: vec![],
            log: vec![],
            recovery_key: None,
        };
        assert_eq!(put(top.path(), &report).unwrap(), "reports/vm-0011-1.json");
        assert_eq!(put(top.path(), &report).unwrap(), "reports/vm-0011-2.json");
        let text = std::fs::read_to_string(top.path().join("reports/vm-0011-1.json")).unwrap();
        assert!(text.contains("\"outcome\": \"done\""));
    }
}
