//! What a site declares, whether or not a host uses it.

use super::Site;
use std::collections::BTreeMap;

impl Site {
    /// Every `[secrets.NAME]` of any file, with its `file`; a host that uses one is told by
    /// [`Site::resolve`]. Where two files disagree, the last one in order of names counts.
    pub fn declared_secrets(&self) -> BTreeMap<String, String> {
        let tables = self.files.all.iter().filter_map(|file| file.root.get("secrets")?.node.table());
        tables
            .flatten()
            .filter_map(|(name, entry)| {
                let file = entry.node.get("file")?.node.text()?;
                Some((name.clone(), file.to_owned()))
            })
            .collect()
    }
}
