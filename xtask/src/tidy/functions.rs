//! A plain scanner that finds functions and counts their lines. It knows strings, characters and comments, no more.

/// A function that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of `fn`, counted from 1.
    pub line: usize,
    /// From the line of `fn` to its closing brace.
    pub lines: usize,
}

/// Finds every function with a body, nested ones too.
pub fn find(text: &str) -> Vec<Function> {
    let code = blank_literals(text);
    let mut found = Vec::new();
    for (offset, _) in code.match_indices("fn ") {
        let before = code[..offset].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[offset + 3..];
        let name: String =
            rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() {
            continue;
        }
        if let Some(length) = body_length(rest) {
            let line = code[..offset].matches('\n').count() + 1;
            let lines = rest[..length].matches('\n').count() + 1;
            found.push(Function { name, line, lines });
        }
    }
    found
}

/// The length up to the closing brace of the body; none for a declaration without one.
fn body_length(rest: &str) -> Option<usize> {
    let (mut depth, mut brackets) = (0usize, 0usize);
    for (index, character) in rest.char_indices() {
        match character {
            '(' | '[' if depth == 0 => brackets += 1,
            ')' | ']' if depth == 0 => brackets = brackets.saturating_sub(1),
            ';' if depth == 0 && brackets == 0 => return None,
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The same text with strings, characters and comments made blank; lines stay where they are.
fn blank_literals(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let length = literal_length(&characters[at..], characters[..at].last().copied());
        if length == 0 {
            out.push(characters[at]);
            at += 1;
            continue;
        }
        let end = (at + length).min(characters.len());
        out.extend(characters[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// How many characters of a literal or comment stand here; 0 if it is code.
fn literal_length(rest: &[char], before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match rest {
        ['/', '/', ..] => rest.iter().take_while(|c| **c != '\n').count(),
        ['/', '*', ..] => until(rest, 2, &['*', '/']),
        ['r', '"' | '#', ..] if !in_word => raw_string(rest, 1),
        ['b', 'r', '"' | '#', ..] if !in_word => raw_string(rest, 2),
        ['"', ..] => quoted(rest, '"'),
        ['\'', '\\', ..] => quoted(rest, '\''),
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

fn until(rest: &[char], from: usize, end: &[char]) -> usize {
    (from..rest.len()).find(|at| rest[*at..].starts_with(end)).map_or(rest.len(), |at| at + end.len())
}

fn raw_string(rest: &[char], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    if rest.get(prefix + hashes) != Some(&'"') {
        return 0;
    }
    let mut end = vec!['"'];
    end.resize(hashes + 1, '#');
    until(rest, prefix + hashes + 1, &end)
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_fn_to_the_closing_brace() {
        let text = "// fn no() {\nfn yes(\n    a: [u8; 3],\n) {\n    let s = \"}\";\n    let c = '}';\n}\n";
        assert_eq!(find(text), [Function { name: "yes".into(), line: 2, lines: 6 }]);
    }

    #[test]
    fn knows_raw_strings_and_declarations() {
        let text = "trait T { fn declared(&self); }\nfn raw() { r#\"}\"# ; }\nfn life<'a>(x: &'a str) {\n}\n";
        let names: Vec<_> = find(text).into_iter().map(|f| (f.name, f.lines)).collect();
        assert_eq!(names, [("raw".to_owned(), 1), ("life".to_owned(), 2)]);
    }
}
