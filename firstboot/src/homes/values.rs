//! TOML values as the text of INI files and of dconf.

use crate::error::{Error, Result};
use toml::Value;

/// A value of an INI file; none for `{ unset = true }`.
pub fn ini(value: &Value) -> Result<Option<String>> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            items.ok_or_else(|| odd("a list of anything but strings"))?.join(",")
        }
        Value::Table(_) if is_unset(value) => return Ok(None),
        Value::Table(_) => return Err(odd("a table")),
        other => other.to_string(),
    };
    if text.contains(['\n', '\r', '\0']) {
        return Err(odd("text with a line break"));
    }
    Ok(Some(text))
}

/// A value in GVariant's text format; none for `{ unset = true }`.
/// <https://docs.gtk.org/glib/gvariant-text-format.html>
pub fn gvariant(value: &Value) -> Result<Option<String>> {
    Ok(Some(match value {
        Value::String(text) => quoted(text),
        Value::Boolean(_) | Value::Integer(_) => value.to_string(),
        Value::Float(number) if number.is_finite() => format!("{number:?}"),
        Value::Array(items) if items.is_empty() => "@as []".into(),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(quoted)).collect();
            let items = items.ok_or_else(|| odd("a list of anything but strings"))?;
            format!("[{}]", items.join(", "))
        }
        Value::Table(_) if is_unset(value) => return Ok(None),
        Value::Table(table) => match table.get("gvariant").and_then(Value::as_str) {
            Some(text) if !text.contains('\n') => text.to_owned(),
            _ => return Err(odd("a table without gvariant")),
        },
        _ => return Err(odd("a date or a number that is none")),
    }))
}

fn is_unset(value: &Value) -> bool {
    value.get("unset").and_then(Value::as_bool) == Some(true)
}

fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "'"
}

fn odd(what: &str) -> Error {
    Error::bad("a setting of a home", format!("{what} cannot be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        toml::from_str::<toml::Table>(&format!("v = {text}")).unwrap()["v"].clone()
    }

    #[test]
    fn ini_values_are_plain_text() {
        let of = |text| ini(&value(text)).unwrap();
        assert_eq!(of("false").as_deref(), Some("false"));
        assert_eq!(of("24").as_deref(), Some("24"));
        assert_eq!(of("\"Meta+Space\"").as_deref(), Some("Meta+Space"));
        assert_eq!(of("['a', 'b']").as_deref(), Some("a,b"));
        assert_eq!(of("{ unset = true }"), None);
        for bad in ["\"a\\nb=c\"", "{ x = 1 }", "[1]"] {
            assert!(ini(&value(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn gvariants_are_quoted() {
        let of = |text| gvariant(&value(text)).unwrap();
        assert_eq!(of("['<Super>q']").as_deref(), Some("['<Super>q']"));
        assert_eq!(of("[]").as_deref(), Some("@as []"));
        assert_eq!(of("\"it's\\\\\"").as_deref(), Some("'it\\'s\\\\'"));
        assert_eq!(of("1.0").as_deref(), Some("1.0"));
        assert_eq!(of("{ gvariant = 'uint32 5' }").as_deref(), Some("uint32 5"));
        assert_eq!(of("{ unset = true }"), None);
        for bad in ["{ gvariant = \"1\\n[x]\" }", "nan", "[1]", "1979-05-27"] {
            assert!(gvariant(&value(bad)).is_err(), "{bad}");
        }
    }
}
