//! Reports: what the installer did, for the stick, the machine and the person.

use serde::{Deserialize, Serialize};

/// How an install ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// The machine is installed.
    Done,
    /// Nothing was written: why, as a slug and in words, and what to do.
    Refused {
        /// Stable slug, `no-disk-matches`.
        reason: String,
        /// For the person.
        message: String,
        /// What to do now.
        remedy: String,
    },
    /// A step failed after the first write.
    Failed {
        /// The step.
        step: String,
        /// The chain of causes.
        message: String,
    },
}

/// Seconds that one phase took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// `verify`, `probe`, `partition`, `format`, `copy`, `reread`, `esp`, `seed`.
    pub name: String,
    /// Wall time.
    pub seconds: f64,
    /// Bytes moved, where that makes sense.
    pub bytes: u64,
}

/// A plan in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanSaid {
    /// The disk: path, model, size, serial.
    pub disk: String,
    /// What is on it and would be gone.
    pub lost: String,
    /// Bytes of layers to be copied.
    pub copy_bytes: u64,
}

/// `install-report.json` on the machine, `reports/HOST-<install id>-<k>.json` on the stick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstallReport {
    /// 1.
    pub schema: u32,
    /// Host, where it was known.
    pub host: Option<String>,
    /// 16 hex digits.
    pub install_id: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The profiles that were chosen for the machine, and what decided; empty where the host's are
    /// fixed.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// The facts that the probe read.
    pub facts: serde_json::Value,
    /// The disks that were seen.
    pub disks: serde_json::Value,
    /// Target disk, where one was chosen.
    pub target: Option<String>,
    /// What was going to be done, where it came to a plan.
    #[serde(default)]
    pub plan: Option<PlanSaid>,
    /// Timings.
    pub phases: Vec<Phase>,
    /// The journal: plain lines.
    pub log: Vec<String>,
    /// The recovery key of an encrypted disk, as armored age for the admins: only from an install
    /// that nobody watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_key: Option<String>,
}
