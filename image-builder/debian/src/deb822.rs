//! The `Field: value` paragraphs of Release, Packages, control and `.sources` files
//! (deb822(5), Debian policy 5.1).

/// One paragraph, borrowed from its file.
#[derive(Debug, Clone, Copy)]
pub struct Paragraph<'a> {
    text: &'a str,
}

impl<'a> Paragraph<'a> {
    /// A paragraph whose bounds are known already.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// The paragraph as it stands in its file, without the blank line after it.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// A field's value; further lines of a multi-line value keep their line breaks.
    /// Field names compare without case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.fields().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Every field in order. Comment lines (`#`) and lines without a colon are passed over.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let text = self.text;
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
                let mut end = line_end(rest);
                if !rest.starts_with('#') {
                    while rest.get(end..).is_some_and(|next| next.starts_with([' ', '\t'])) {
                        end += line_end(rest.get(end..).unwrap_or_default());
                    }
                }
                at += end;
                let field = rest.get(..end).unwrap_or_default();
                if field.starts_with('#') {
                    continue;
                }
                if let Some((name, value)) = field.split_once(':') {
                    return Some((name.trim(), value.trim()));
                }
            }
        })
    }
}

/// Length of the first line with its line break.
fn line_end(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |end| end + 1)
}

/// The paragraphs of a file, with the offset at which each stands.
pub fn paragraphs(text: &str) -> impl Iterator<Item = (usize, Paragraph<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let skipped = rest.len() - rest.trim_start_matches(['\n', '\r']).len();
            at += skipped;
            let rest = rest.get(skipped..)?;
            if rest.is_empty() {
                return None;
            }
            let end = rest.find("\n\n").map_or(rest.len(), |end| end + 1);
            let start = at;
            at += end;
            let paragraph = rest.get(..end)?;
            if !paragraph.trim().is_empty() {
                return Some((start, Paragraph::new(paragraph)));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Paragraph, paragraphs};

    #[test]
    fn fields_may_go_over_lines() {
        let paragraph = Paragraph::new("# c\nPackage: a\nTag: x,\n y\nDepends: b (>= 1:2)\n");
        assert_eq!(paragraph.field("package"), Some("a"));
        assert_eq!(paragraph.field("Tag"), Some("x,\n y"));
        assert_eq!(paragraph.field("Depends"), Some("b (>= 1:2)"));
        assert_eq!(paragraph.field("None"), None);
    }

    #[test]
    fn paragraphs_know_their_place() {
        let text = "\n\nA: 1\n\n\n\nB: 2\nC: 3";
        let found: Vec<_> = paragraphs(text).map(|(at, paragraph)| (at, paragraph.text())).collect();
        assert_eq!(found, [(2, "A: 1\n"), (10, "B: 2\nC: 3")]);
    }

    #[test]
    fn hostile_text_ends() {
        for text in ["", "\n", ":", " : \n ", "a\nb\n\n\n", "é: ü\n é", "\r\n\r\n"] {
            for (_, paragraph) in paragraphs(text) {
                let _ = paragraph.fields().count();
            }
        }
    }
}
