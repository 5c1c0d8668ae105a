//! The schema as JSON Schema, for editors that complete and check TOML.

use super::schema::{DISK_FACTS, Dialect, Fact, Field, Kind, MACHINE_FACTS, Role, RuleOf};
use super::shape;
use serde_json::{Map, Value, json};

/// The JSON Schema (draft 2020-12) of one kind of file.
pub fn of(role: Role) -> Value {
    let title = match role {
        Role::Site => "Landfall: site.toml",
        Role::Module => "Landfall: a module",
        Role::Host => "Landfall: hosts/NAME.toml",
    };
    let mut schema = table(role.fields().into_iter());
    if let Some(object) = schema.as_object_mut() {
        object.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        object.insert("title".into(), title.into());
        if role == Role::Site {
            object.insert("required".into(), json!(["schema"]));
        }
    }
    schema
}

fn table<'a>(fields: impl Iterator<Item = &'a Field>) -> Value {
    let mut properties = Map::new();
    for field in fields {
        let mut schema = kind(&field.kind);
        if field.droppable {
            schema = or_false(schema);
        }
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".into(), field.doc.into());
        }
        properties.insert(field.name.into(), schema);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn or_false(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "const": false, "description": "takes it away" }] })
}

fn kind(of: &Kind) -> Value {
    match of {
        Kind::Text(shape) => json!({ "type": "string", "title": shape::expected(*shape) }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Int(least, greatest) => json!({ "type": "integer", "minimum": least, "maximum": greatest }),
        Kind::Plain => json!({ "type": ["string", "integer", "number", "boolean"] }),
        Kind::Set(shape) | Kind::Ordered(shape) => strings(&format!(
            "{}; \"-NAME\" takes one away, \"-*\" all that weaker files gave",
            shape::expected(*shape)
        )),
        Kind::Packages => strings(shape::expected(shape::Shape::Package)),
        Kind::Whole(shape) => strings(shape::expected(*shape)),
        Kind::Ports => {
            let port = json!({ "type": "integer", "minimum": 1, "maximum": 65_535 });
            let removal = json!({ "type": "string", "pattern": "^-([0-9]+|\\*)$" });
            json!({ "type": "array", "items": { "anyOf": [port, removal] } })
        }
        Kind::Rule(of) => rule(*of, true),
        Kind::Setting(dialect) => setting(*dialect),
        Kind::Table(fields) => table(fields.iter()),
        Kind::Named(shape, value) => {
            let mut inner = kind(value);
            if super::validate::is_droppable(value) {
                inner = or_false(inner);
            }
            json!({ "type": "object", "title": shape::expected(*shape), "additionalProperties": inner })
        }
    }
}

fn strings(title: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string", "title": title } })
}

fn setting(dialect: Dialect) -> Value {
    let unset = json!({
        "type": "object", "properties": { "unset": { "const": true } },
        "required": ["unset"], "additionalProperties": false
    });
    let plain = json!({ "type": ["string", "integer", "number", "boolean"] });
    match dialect {
        Dialect::Ini => json!({ "anyOf": [plain, unset] }),
        Dialect::Dconf => {
            let list = json!({ "type": "array", "items": { "type": "string" } });
            let gvariant = json!({
                "type": "object", "properties": { "gvariant": { "type": "string" } },
                "required": ["gvariant"], "additionalProperties": false
            });
            json!({ "anyOf": [plain, list, gvariant, unset] })
        }
    }
}

fn rule(of: RuleOf, top: bool) -> Value {
    let facts = match of {
        RuleOf::Disk => DISK_FACTS,
        RuleOf::Machine | RuleOf::Profile => MACHINE_FACTS,
    };
    let mut properties = Map::new();
    for (name, fact) in facts {
        let text = json!({ "type": "string" });
        let schema = match fact {
            Fact::Flag => json!({ "type": "boolean" }),
            Fact::Choice if !top => continue,
            Fact::Choice => json!({ "const": true }),
            Fact::Text => json!({ "anyOf": [text, { "type": "array", "items": text, "minItems": 1 }] }),
            Fact::Size => json!({ "type": "string", "title": "a range such as \"400G..1100G\"" }),
        };
        properties.insert((*name).into(), schema);
    }
    if top {
        for word in ["any", "none"] {
            let list = json!({ "type": "array", "minItems": 1, "items": rule(of, false) });
            properties.insert(word.into(), list);
        }
        if of == RuleOf::Profile {
            properties.insert("rank".into(), json!({ "type": "integer" }));
        }
    }
    json!({ "type": "object", "minProperties": 1, "properties": properties, "additionalProperties": false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_file_has_a_closed_schema() {
        for role in [Role::Site, Role::Module, Role::Host] {
            let schema = of(role);
            assert_eq!(schema["additionalProperties"], false);
            assert!(!schema["properties"].as_object().unwrap().is_empty());
        }
        let host = of(Role::Host);
        assert_eq!(host["properties"]["boot"]["properties"]["quiet"]["type"], "boolean");
        assert!(host["properties"]["disk"]["properties"]["match"]["properties"]["size"].is_object());
    }
}
