// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! JSON schemas on their way to llguidance: what it cannot hold is found, with its place, and what it could is put into
//! words that it knows.

use serde_json::{Map, Value, json};

use super::pattern;

/// What llguidance cannot hold.
#[derive(Debug, PartialEq)]
pub struct Problem {
    /// A JSON pointer.
    pub path: String,
    pub message: String,
}

/// What llguidance refuses, without its place, and what it says then.
pub struct Suspect {
    pub problem: Problem,
    pub clue: String,
}

/// Keywords that llguidance refuses.
const UNSUPPORTED: [&str; 12] = [
    "$dynamicRef",
    "$recursiveRef",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "not",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
];
/// Values of `format` that llguidance holds.
const FORMATS: [&str; 10] =
    ["date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"];
/// What llguidance takes for a date or time, and validators do not: the 29th of February of any year, and the second 60.
const DATE: &str = r"^(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29|\d{4}-(?:0[13-9]|1[0-2])-..|\d{4}-02-(?:[01]\d|2[0-8]))";
const TIME: &str = ".{6}[0-5]";
/// Where a schema has other schemas: as the value, in a list, or by name.
const SCHEMAS: [&str; 3] = ["additionalItems", "additionalProperties", "items"];
const LISTS: [&str; 5] = ["allOf", "anyOf", "items", "oneOf", "prefixItems"];
const NAMED: [&str; 4] = ["$defs", "definitions", "patternProperties", "properties"];
/// Keywords beside which the properties of an object may be listed in several places.
const COMBINING: [&str; 4] = ["$ref", "allOf", "anyOf", "oneOf"];
const BOUNDS: [&str; 4] = ["exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"];
/// The least integer that JavaScript has without gaps.
const LEAST: i64 = -9_007_199_254_740_991;
/// Each pair is checked for names that both match.
const MAX_PATTERN_PROPERTIES: usize = 32;
/// A space, or a line break and an indent. Without a limit, a model at a loss writes white space forever.
const WHITESPACE: &str = r"[ ]|\r?\n[ \t]{0,64}";

/// Prepares a schema. Suspects matter only if llguidance refuses it: the definition that they are in may be unused.
///
/// # Errors
/// For what llguidance would take and not hold.
pub fn prepare(mut schema: Value) -> Result<(Value, Vec<Suspect>), Problem> {
    let closes = !combines(&schema);
    let (mut suspects, mut wrong) = (Vec::new(), None);
    visit(&mut schema, "", &mut |schema, path| {
        name_properties(schema);
        remove_void(schema);
        suspect(schema, path, &mut suspects);
        tighten(schema);
        let problem = |(keyword, message)| Problem { path: format!("{path}/{}", escaped(keyword)), message };
        wrong = wrong.take().or(translate_all(schema).map_err(problem).err());
        if closes {
            close(schema);
        }
    });
    if let Value::Object(schema) = &mut schema {
        schema.insert("x-guidance".to_owned(), json!({ "whitespace_pattern": WHITESPACE }));
    }
    wrong.map_or(Ok((schema, suspects)), Err)
}

/// Calls `f` for a schema and all within, the outer ones first.
fn visit(schema: &mut Value, path: &str, f: &mut impl FnMut(&mut Map<String, Value>, &str)) {
    let Value::Object(schema) = schema else { return };
    f(schema, path);
    for (keyword, value) in schema {
        let path = format!("{path}/{}", escaped(keyword));
        match value {
            Value::Array(all) if LISTS.contains(&keyword.as_str()) => {
                all.iter_mut().enumerate().for_each(|(index, one)| visit(one, &format!("{path}/{index}"), f));
            }
            Value::Object(all) if NAMED.contains(&keyword.as_str()) => {
                all.iter_mut().for_each(|(name, one)| visit(one, &format!("{path}/{}", escaped(name)), f));
            }
            value if SCHEMAS.contains(&keyword.as_str()) => visit(value, &path, f),
            _ => {}
        }
    }
}

/// Whether the properties of some object may be listed in several places.
fn combines(schema: &Value) -> bool {
    let mut combines = false;
    visit(&mut schema.clone(), "", &mut |schema, _| {
        let parts = COMBINING.iter().filter(|keyword| schema.contains_key(**keyword)).count();
        let all_of = schema.get("allOf").and_then(Value::as_array).map_or(0, Vec::len);
        combines |= all_of > 1 || parts > 1 || (parts > 0 && schema.contains_key("properties"));
    });
    combines
}

fn suspect(schema: &mut Map<String, Value>, path: &str, suspects: &mut Vec<Suspect>) {
    let mut add = |keyword: &str, message: String, clue: String| {
        let path = format!("{path}/{}", escaped(keyword));
        suspects.push(Suspect { problem: Problem { path, message }, clue });
    };
    for keyword in UNSUPPORTED.iter().filter(|keyword| schema.contains_key(**keyword)) {
        add(keyword, format!("{keyword} is not supported"), format!("{keyword:?}"));
    }
    if let Some(format) = schema.get("format").and_then(Value::as_str)
        && !FORMATS.contains(&format)
    {
        let clue = format!("Unknown format: {format}");
        add("format", format!("the format '{format}' is not supported"), clue);
        if schema.contains_key("pattern") {
            // Which says more: the name is a note.
            schema.shift_remove("format");
        }
    }
}

/// Adds what a format asks for beyond what llguidance does, unless a pattern says more.
fn tighten(schema: &mut Map<String, Value>) {
    let pattern = match schema.get("format").and_then(Value::as_str) {
        Some("date") => DATE.to_owned(),
        Some("date-time") => format!("{DATE}T{TIME}"),
        Some("time") => format!("^{TIME}"),
        _ => return,
    };
    schema.entry("pattern").or_insert(Value::String(pattern));
}

/// Puts the patterns into Rust's syntax. The error has a keyword and a message.
fn translate_all(schema: &mut Map<String, Value>) -> Result<(), (&'static str, String)> {
    if let Some(Value::String(pattern)) = schema.get_mut("pattern") {
        *pattern = pattern::translate(pattern).map_err(|message| ("pattern", message))?;
    }
    if let Some(Value::Object(patterns)) = schema.get_mut("patternProperties") {
        if patterns.len() > MAX_PATTERN_PROPERTIES {
            return Err(("patternProperties", format!("has more than {MAX_PATTERN_PROPERTIES} patterns")));
        }
        let translated =
            std::mem::take(patterns).into_iter().map(|(name, schema)| Ok((pattern::translate(&name)?, schema)));
        *patterns = translated.collect::<Result<_, _>>().map_err(|message| ("patternProperties", message))?;
    }
    // The same name twice is one property.
    if schema.get("minProperties").and_then(Value::as_u64) > Some(1) && may_repeat(schema) {
        return Err(("minProperties", "above 1 it is supported only where all properties are named".to_owned()));
    }
    Ok(())
}

/// Replaces conditions on the names of properties by the names.
fn name_properties(schema: &mut Map<String, Value>) {
    let names = schema.get("propertyNames").and_then(Value::as_object);
    let Some(names) = names.filter(|names| names.keys().all(|key| ["type", "enum", "pattern"].contains(&key.as_str())))
    else {
        return;
    };
    if names.get("type").is_some_and(|kind| kind != "string") || schema.contains_key("patternProperties") {
        return;
    }
    let others = schema.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
    let (keyword, named): (_, Map<String, Value>) = match (names.get("enum"), names.get("pattern")) {
        (None, None) => {
            schema.shift_remove("propertyNames");
            return;
        }
        (Some(Value::Array(names)), None) if !schema.contains_key("properties") => (
            "properties",
            names.iter().filter_map(Value::as_str).map(|name| (name.to_owned(), others.clone())).collect(),
        ),
        (None, Some(Value::String(pattern))) if !schema.contains_key("properties") => {
            ("patternProperties", Map::from_iter([(pattern.clone(), others)]))
        }
        _ => return,
    };
    schema.shift_remove("propertyNames");
    schema.insert(keyword.to_owned(), Value::Object(named));
    schema.insert("additionalProperties".to_owned(), Value::Bool(false));
}

/// Removes keywords that ask for nothing.
fn remove_void(schema: &mut Map<String, Value>) {
    let has = |keyword| schema.contains_key(keyword);
    let (decides, contains) = (has("if") && (has("then") || has("else")), has("contains"));
    schema.retain(|keyword, value| match keyword.as_str() {
        // Options of llguidance's own.
        "x-guidance" | "$dynamicAnchor" | "$recursiveAnchor" => false,
        "uniqueItems" => *value != Value::Bool(false),
        "propertyNames" | "unevaluatedItems" | "unevaluatedProperties" => *value != Value::Bool(true),
        "else" | "if" | "then" => decides,
        "maxContains" | "minContains" => contains,
        _ => true,
    });
}

/// Whether an object may have properties that are not named.
fn may_repeat(schema: &Map<String, Value>) -> bool {
    schema.get("additionalProperties") != Some(&Value::Bool(false)) || schema.contains_key("patternProperties")
}

/// Leaves out of an object what its schema does not name, unless it asks for that: a model would go on forever.
fn close(schema: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = schema.get("properties") else { return };
    let names = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_named = |name: &Value| name.as_str().is_some_and(|name| properties.contains_key(name));
    let wanted = schema.get("minProperties").and_then(Value::as_u64).unwrap_or(0);
    if !properties.is_empty()
        && names.iter().all(is_named)
        && wanted <= properties.len() as u64
        && !schema.contains_key("additionalProperties")
        && !schema.contains_key("patternProperties")
    {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
}

/// Keeps numbers of any size from having an exponent, which might make them larger than a call can have.
pub fn without_exponents(mut schema: Value) -> Value {
    visit(&mut schema, "", &mut |schema, _| {
        let is_number = |kind: &Value| kind == "number";
        let kinds = schema.get("type");
        let has_number = kinds
            .is_some_and(|kinds| is_number(kinds) || kinds.as_array().is_some_and(|all| all.iter().any(is_number)));
        if has_number && !BOUNDS.iter().any(|keyword| schema.contains_key(*keyword)) {
            schema.insert("minimum".to_owned(), LEAST.into());
        }
    });
    schema
}

/// A part of a JSON pointer.
pub fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

/// llguidance's reason for refusing a schema, with the keyword in front, where it is known.
pub fn named(reason: &str) -> String {
    let reason = reason.split("\n  while processing").next().unwrap_or_default();
    let quoted = reason.split('\'').nth(1).unwrap_or_default();
    let (_, last) = reason.rsplit_once(": ").unwrap_or(("", reason));
    match reason.split_once(' ').map_or(reason, |(first, _)| first) {
        "oneOf" => "oneOf: what tells its schemas apart is not clear enough; use anyOf".to_owned(),
        "Anchor" | "Pointer" | "Resource" => format!("$ref: '{quoted}' is not part of the schema"),
        "Failed" if reason.contains(" range: ") => format!("minimum, maximum: {last}"),
        "Unimplemented" => format!("$ref: it leads to unsupported keywords: {last}"),
        "Unknown" => format!("format: '{last}' is not supported"),
        "Value" => format!("{quoted}: {last} has too many digits"),
        "patternProperty" => format!("patternProperties: {}", reason.trim_start_matches("patternProperty ")),
        _ => reason.to_owned(),
    }
}
