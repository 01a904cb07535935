// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The types that a JSON schema allows, and texts read as one of them.

use serde_json::Value;

use super::values::{float, integer, loose_json, number};
use super::{ToolSpec, literal};

/// The rest of a schema with more parts, or with references in circles, is ignored.
const MAX_PARTS: usize = 256;

/// A set of types, and the values that are listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Types {
    kinds: u8,
    /// Those of which values are allowed that are not listed.
    free: u8,
    listed: Vec<Value>,
}

/// An integer is a number, too: a schema that allows numbers allows both.
const NULL: u8 = 1;
const BOOLEAN: u8 = 2;
const INTEGER: u8 = 4;
const NUMBER: u8 = 8;
const STRING: u8 = 16;
const ARRAY: u8 = 32;
const OBJECT: u8 = 64;
const ANY: u8 = 127;

impl Types {
    /// Returns the types of a function's parameter; `None` if it has no schema.
    pub fn of(tools: &[ToolSpec], function: &str, parameter: &str) -> Option<Self> {
        let root = &tools.iter().find(|tool| tool.name == function)?.parameters;
        let mut schema = Schema { root, parts: 0 };
        let property = schema.property(root, parameter)?;
        property.as_object().is_some_and(|keywords| !keywords.is_empty()).then(|| schema.types(property))
    }

    fn any() -> Self {
        Self::kinds(ANY)
    }

    fn kinds(kinds: u8) -> Self {
        Self { kinds, free: kinds, listed: vec![] }
    }

    /// Whether the schema says nothing about the type.
    pub fn are_unknown(&self) -> bool {
        self.kinds == ANY && self.listed.is_empty()
    }

    pub fn allow(&self, value: &Value) -> bool {
        self.kinds & kind_of(value) != 0
    }

    /// Reads a text as a value of these types; `None` if it is none. Where strings are allowed, it is the text itself.
    pub fn read(&self, text: &str) -> Option<Value> {
        let allows = |kinds: u8| self.kinds & kinds != 0;
        let trimmed = text.trim();
        if allows(NULL) && (trimmed.eq_ignore_ascii_case("null") || trimmed == "None") {
            return Some(Value::Null);
        }
        let is_listed = |value: &&Value| Self::kinds(kind_of(value)).read(text).as_ref() == Some(*value);
        let listed = || self.listed.iter().filter(is_listed);
        if let Some(value) = listed().find(|value| value.is_string()).or_else(|| listed().next()) {
            return Some(value.clone());
        }
        // What is none of those that are listed has another type if it can.
        let as_listed = if allows(STRING) { STRING } else { self.kinds };
        converted(text, self.free).or_else(|| converted(text, as_listed))
    }

    /// Whether only strings are allowed.
    pub fn are_string(&self) -> bool {
        self.kinds == STRING
    }

    /// What both allow.
    fn and(mut self, other: Self) -> Self {
        self.kinds &= other.kinds;
        self.free &= other.free;
        if self.listed.is_empty() {
            self.listed = other.listed;
        }
        self
    }

    /// What one of them allows.
    fn or(mut self, other: Self) -> Self {
        self.kinds |= other.kinds;
        self.free |= other.free;
        self.listed.extend(other.listed);
        self
    }
}

/// A text as a value of one of these kinds.
fn converted(text: &str, kinds: u8) -> Option<Value> {
    let allows = |of: u8| kinds & of != 0;
    let trimmed = text.trim();
    if allows(STRING) {
        return Some(text.into());
    }
    if allows(INTEGER)
        && let Some(value) = integer(trimmed)
    {
        return Some(value);
    }
    if allows(INTEGER | NUMBER)
        && let Some(value) = float(trimmed).filter(|value| allows(NUMBER) || value.fract() == 0.0)
    {
        return Some(number(value));
    }
    if allows(ARRAY | OBJECT)
        && let Some(value) = loose_json(trimmed).or_else(|| literal::parse(trimmed))
        && allows(kind_of(&value) & (ARRAY | OBJECT))
    {
        return Some(value);
    }
    match trimmed.to_lowercase().as_str() {
        "true" | "1" | "yes" | "on" if allows(BOOLEAN) => Some(true.into()),
        "false" | "0" | "no" | "off" if allows(BOOLEAN) => Some(false.into()),
        "none" | "nil" if allows(NULL) => Some(Value::Null),
        _ => None,
    }
}

struct Schema<'a> {
    root: &'a Value,
    parts: usize,
}

impl<'a> Schema<'a> {
    /// Counts another part; `None` if there are too many.
    fn count(&mut self) -> Option<()> {
        self.parts += 1;
        (self.parts <= MAX_PARTS).then_some(())
    }

    fn target(&self, schema: &Value) -> Option<&'a Value> {
        self.root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
    }

    /// Finds the schema of an object's property.
    fn property(&mut self, schema: &'a Value, name: &str) -> Option<&'a Value> {
        self.count()?;
        if let Some(property) = schema.get("properties").and_then(|properties| properties.get(name)) {
            return Some(property);
        }
        if let Some(property) = self.target(schema).and_then(|target| self.property(target, name)) {
            return Some(property);
        }
        for part in ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|key| list(schema, key)) {
            if let Some(property) = self.property(part, name) {
                return Some(property);
            }
        }
        schema.get("additionalProperties").filter(|more| more.is_object())
    }

    /// Returns what a schema allows: all of its keywords must be met.
    fn types(&mut self, schema: &'a Value) -> Types {
        let mut types = Types::any();
        if self.count().is_none() {
            return types;
        }
        match schema.get("type") {
            Some(Value::String(kind)) => types.kinds &= kind_named(kind),
            Some(Value::Array(kinds)) => {
                types.kinds &= kinds.iter().filter_map(Value::as_str).map(kind_named).fold(0, |all, kind| all | kind);
            }
            _ => {
                let hints =
                    [("properties", OBJECT), ("patternProperties", OBJECT), ("items", ARRAY), ("prefixItems", ARRAY)];
                let kinds =
                    hints.iter().filter(|(name, _)| schema.get(name).is_some()).fold(0, |all, (_, kind)| all | kind);
                types.kinds &= if kinds == 0 { ANY } else { kinds };
            }
        }
        types.free = types.kinds;
        if schema.get("nullable") == Some(&Value::Bool(true)) {
            types.kinds |= NULL;
        }
        let listed: Vec<Value> = list(schema, "enum").chain(schema.get("const")).cloned().collect();
        if !listed.is_empty() {
            types.kinds &= listed.iter().map(kind_of).fold(0, |all, kind| all | kind);
            types.free = 0;
            types.listed = listed;
        }
        if let Some(target) = self.target(schema) {
            types = types.and(self.types(target));
        }
        for part in list(schema, "allOf") {
            types = types.and(self.types(part));
        }
        for key in ["anyOf", "oneOf"] {
            let choices = list(schema, key).map(|choice| self.types(choice));
            if let Some(choices) = choices.reduce(Types::or) {
                types = types.and(choices);
            }
        }
        // Nothing fits a schema that contradicts itself.
        if types.kinds == 0 { Types::any() } else { types }
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Returns a type's kinds, also for the names of other languages.
fn kind_named(name: &str) -> u8 {
    let name = name.trim().to_lowercase();
    let begins_with = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    match name.as_str() {
        "null" | "none" => NULL,
        "string" | "str" | "text" | "varchar" | "char" | "enum" => STRING,
        "boolean" | "bool" | "binary" => BOOLEAN,
        "object" => OBJECT,
        "array" | "arr" => ARRAY,
        _ if begins_with(&["int", "uint", "long", "short", "unsigned"]) => INTEGER,
        _ if begins_with(&["num", "float", "double"]) => INTEGER | NUMBER,
        _ if begins_with(&["dict"]) => OBJECT,
        _ if begins_with(&["list"]) => ARRAY,
        _ => ANY,
    }
}

fn kind_of(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOLEAN,
        Value::Number(number) if number.is_f64() => NUMBER,
        Value::Number(_) => INTEGER,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}
