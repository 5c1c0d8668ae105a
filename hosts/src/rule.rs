//! The one `match` grammar of profiles, hosts, disks and mounts.
//!
//! Plain keys are all required; `any` and `none` are lists of such tables; a list of values means
//! "one of"; strings glob (`"ThinkPad*"`); sizes are ranges such as `"400G..1100G"`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A rule as it was written: key → accepted values, with `any` and `none` beside them.
///
/// The keys that make sense depend on where the rule stands (a disk has a `size`, a machine a
/// `serial`); the schema checks them when the site is read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// At least one of these tables must match, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<Rule>,
    /// None of these tables may match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub none: Vec<Rule>,
    /// Every key here must match one of its values.
    #[serde(flatten)]
    pub keys: BTreeMap<String, Wanted>,
}

/// What a rule wants of one fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    /// The fact is a flag with this value.
    Flag(bool),
    /// The fact is this number.
    Number(i64),
    /// The fact matches this glob, size range or id pattern.
    Text(String),
    /// The fact matches one of these.
    OneOf(Vec<String>),
}
