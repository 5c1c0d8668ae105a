//! Editing INI files as KDE and git write them: one key at a time, all other lines, their order
//! and comments as they were.

/// A file, line by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IniFile {
    lines: Vec<String>,
}

impl IniFile {
    /// Any text is a file; lines that are no key and no header are left alone.
    pub fn parse(text: &str) -> Self {
        Self { lines: text.lines().map(str::to_owned).collect() }
    }

    /// The text again.
    pub fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    /// True when no key and no comment is left.
    pub fn is_bare(&self) -> bool {
        self.lines.iter().all(|line| line.trim().is_empty() || is_header(line))
    }

    /// The value of a key.
    pub fn get(&self, group: &str, key: &str) -> Option<String> {
        let line = self.lines.get(self.find(group, key)?)?;
        let (_, value) = line.split_once('=')?;
        Some(value.trim().to_owned())
    }

    /// Sets a key, in the line where it stands or at the end of its group.
    pub fn set(&mut self, group: &str, key: &str, value: &str) {
        if let Some(at) = self.find(group, key) {
            if let Some(line) = self.lines.get_mut(at) {
                *line = format!("{}{value}", before_value(line));
            }
            return;
        }
        let line = format!("{key}{}{value}", self.separator());
        let line = format!("{}{line}", self.indent());
        match self.end_of(group) {
            Some(at) => self.lines.insert(at, line),
            None => {
                if self.lines.last().is_some_and(|last| !last.trim().is_empty()) {
                    self.lines.push(String::new());
                }
                self.lines.push(header(group));
                self.lines.push(line);
            }
        }
    }

    /// Takes a key away, wherever it stands in its group.
    pub fn remove(&mut self, group: &str, key: &str) {
        while let Some(at) = self.find(group, key) {
            self.lines.remove(at);
        }
    }

    /// The last line that sets the key, as for those who read the file.
    fn find(&self, group: &str, key: &str) -> Option<usize> {
        let wanted = header(group);
        let mut inside = group.is_empty();
        let mut found = None;
        for (at, line) in self.lines.iter().enumerate() {
            if is_header(line) {
                inside = line.trim() == wanted;
            } else if inside && key_of(line) == Some(key) {
                found = Some(at);
            }
        }
        found
    }

    /// The place behind the last line of a group that says something; none if there is no group.
    fn end_of(&self, group: &str) -> Option<usize> {
        let wanted = header(group);
        let mut inside = group.is_empty();
        let mut end = group.is_empty().then_some(0);
        for (at, line) in self.lines.iter().enumerate() {
            if is_header(line) {
                inside = line.trim() == wanted;
            }
            if inside && !line.trim().is_empty() {
                end = Some(at + 1);
            }
        }
        end
    }

    /// As the file's first key has it.
    fn separator(&self) -> &'static str {
        let first = self.lines.iter().find(|line| key_of(line).is_some());
        match first {
            Some(line) if line.contains(" = ") => " = ",
            _ => "=",
        }
    }

    fn indent(&self) -> &str {
        let first = self.lines.iter().find(|line| key_of(line).is_some());
        first.map_or("", |line| &line[..line.len() - line.trim_start().len()])
    }
}

/// A group that begins with `[` is the header as it stands in the file.
fn header(group: &str) -> String {
    if group.starts_with('[') { group.to_owned() } else { format!("[{group}]") }
}

fn is_header(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('[') && line.ends_with(']')
}

fn key_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if line.starts_with(['#', ';']) {
        return None;
    }
    line.split_once('=').map(|(key, _)| key.trim_end())
}

/// Up to the value, with the blanks that stand in front of it.
fn before_value(line: &str) -> &str {
    let Some(equals) = line.find('=') else {
        return line;
    };
    let after = &line[equals + 1..];
    let blanks = after.len() - after.trim_start().len();
    &line[..equals + 1 + blanks]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KDE: &str = "# mine\n[General]\nName=x\n\n[PlasmaViews][Panel 2]\nfloating=0\n; note\n\n[Libinput][1267][ETD2303:00 04F3:3083 Touchpad]\nTapToClick=false\n";

    #[test]
    fn nothing_else_moves() {
        let mut file = IniFile::parse(KDE);
        file.set("[PlasmaViews][Panel 2]", "floating", "1");
        assert_eq!(file.text(), KDE.replace("floating=0", "floating=1"));
        file.set("[PlasmaViews][Panel 2]", "floating", "0");
        file.set("General", "Other", "y");
        assert_eq!(file.text(), KDE.replace("Name=x\n", "Name=x\nOther=y\n"));
        file.remove("General", "Other");
        assert_eq!(file.text(), KDE);
    }

    #[test]
    fn a_header_is_taken_as_it_stands() {
        let file = IniFile::parse(KDE);
        let touchpad = "[Libinput][1267][ETD2303:00 04F3:3083 Touchpad]";
        assert_eq!(file.get(touchpad, "TapToClick").as_deref(), Some("false"));
        assert_eq!(file.get("Libinput", "TapToClick"), None);
        assert_eq!(file.get("General", "floating"), None);
    }

    #[test]
    fn gits_own_style_is_kept() {
        let mut file = IniFile::parse("[user]\n\tname = Sam\n");
        file.set("user", "email", "sam@example.org");
        file.set("user", "name", "Sam Example");
        file.set("init", "defaultBranch", "main");
        assert_eq!(
            file.text(),
            "[user]\n\tname = Sam Example\n\temail = sam@example.org\n\n[init]\n\tdefaultBranch = main\n"
        );
    }

    #[test]
    fn an_empty_file_gets_its_group() {
        let mut file = IniFile::parse("");
        file.set("KDE", "SingleClick", "false");
        assert_eq!(file.text(), "[KDE]\nSingleClick=false\n");
        assert!(!file.is_bare());
        file.remove("KDE", "SingleClick");
        assert!(file.is_bare());
        file.set("", "root", "1");
        assert!(file.text().starts_with("root=1\n"));
    }

    #[test]
    fn odd_lines_are_left_alone() {
        let odd = "=\n[\n]\n[a\n===\nkey\n\u{0}\n#[x]\n";
        let mut file = IniFile::parse(odd);
        file.set("x", "y", "z");
        file.remove("x", "y");
        assert!(file.text().starts_with(odd));
        assert_eq!(file.get("x", "y"), None);
        let mut twice = IniFile::parse("[g]\na=1\n[h]\n[g]\na=2\n");
        assert_eq!(twice.get("g", "a").as_deref(), Some("2"));
        twice.remove("g", "a");
        assert_eq!(twice.get("g", "a"), None);
    }
}
