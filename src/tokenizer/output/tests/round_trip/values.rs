// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Schemas, and arguments that they allow.

use super::*;

pub struct Parameter {
    key: String,
    schema: Value,
    /// The schema of its values, without references and choices.
    plain: Value,
    nullable: bool,
}

pub fn tool(name: &str, parameters: &[Parameter]) -> Value {
    let properties: Map<String, Value> =
        parameters.iter().map(|each| (each.key.clone(), each.schema.clone())).collect();
    let defs: Map<String, Value> = parameters.iter().map(|each| (definition(&each.key), each.plain.clone())).collect();
    let parameters = json!({ "type": "object", "properties": properties, "$defs": defs });
    json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
}

/// The name of a definition, without the characters that pointers escape.
fn definition(key: &str) -> String {
    key.chars().map(|c| format!("{:x}", c as u32)).collect()
}

pub fn parameters(style: &Style, random: &mut Random) -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = vec![];
    for _ in 0..random.below(5) {
        let key = style.key(random);
        if parameters.iter().all(|other| other.key != key) {
            parameters.push(parameter(key, random));
        }
    }
    parameters
}

fn parameter(key: String, random: &mut Random) -> Parameter {
    let plain = match random.below(8) {
        0 => json!({ "type": "integer" }),
        1 => json!({ "type": "number" }),
        2 => json!({ "type": "boolean" }),
        3 => json!({ "type": "array", "items": {} }),
        4 => json!({ "type": "object" }),
        5 => json!({ "enum": listed(random) }),
        _ => json!({ "type": "string" }),
    };
    let nullable = random.below(3) == 0;
    let nothing = json!({ "type": "null" });
    let schema = match (random.below(6), nullable) {
        (0, true) => json!({ "anyOf": [plain, nothing] }),
        (1, true) => json!({ "oneOf": [nothing, plain] }),
        (2, true) => json!({ "anyOf": [{ "$ref": format!("#/$defs/{}", definition(&key)) }, nothing] }),
        (_, true) if plain.get("type").is_some() => json!({ "type": [plain["type"], "null"] }),
        (_, true) => json!({ "anyOf": [{ "allOf": [plain] }, nothing] }),
        (0, false) => json!({ "$ref": format!("#/$defs/{}", definition(&key)) }),
        (1, false) => json!({ "allOf": [plain], "description": "Something." }),
        (2, false) => json!({ "anyOf": [plain, plain] }),
        (_, false) => plain.clone(),
    };
    Parameter { key, schema, plain, nullable }
}

fn listed(random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!([1, 2, 3]),
        1 => json!(["1", "two", "true"]),
        2 => json!([true, "maybe"]),
        _ => json!([0.5, 7]),
    }
}

pub fn arguments(style: &Style, parameters: &[Parameter], random: &mut Random) -> Map<String, Value> {
    let mut arguments = Map::new();
    for parameter in parameters {
        if random.below(6) > 0 {
            arguments.insert(parameter.key.clone(), argument(style, parameter, random));
        }
    }
    arguments
}

fn argument(style: &Style, parameter: &Parameter, random: &mut Random) -> Value {
    if parameter.nullable && random.below(3) == 0 {
        return Value::Null;
    }
    if let Some(listed) = parameter.plain["enum"].as_array() {
        return listed[random.below(listed.len())].clone();
    }
    match parameter.plain["type"].as_str() {
        Some("integer") => integer(random),
        Some("number") => number(random),
        Some("boolean") => (random.below(2) == 0).into(),
        Some("array") => (0..random.below(4)).map(|_| value(style, 2, random)).collect(),
        Some("object") => object(style, 2, random),
        _ => loop {
            let text = string(style, random);
            let is_null = style.untyped && parameter.nullable && matches!(text.trim(), "null" | "None");
            if !is_null {
                return text.into();
            }
        },
    }
}

fn value(style: &Style, depth: usize, random: &mut Random) -> Value {
    match random.below(if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => (random.below(2) == 0).into(),
        2 => integer(random),
        3 => number(random),
        4 => string(style, random).into(),
        5 => (0..random.below(4)).map(|_| value(style, depth - 1, random)).collect(),
        _ => object(style, depth - 1, random),
    }
}

fn object(style: &Style, depth: usize, random: &mut Random) -> Value {
    let members = (0..random.below(4)).map(|_| (style.key(random), value(style, depth, random)));
    Value::Object(members.collect())
}

fn integer(random: &mut Random) -> Value {
    [0, 1, -1, 42, -70_000, 9_007_199_254_740_993, i64::MIN, i64::MAX][random.below(8)].into()
}

fn number(random: &mut Random) -> Value {
    [0.5, -0.25, 2.0, 1e-7, 1.5e21, 123_456.789, -3.0][random.below(7)].into()
}

fn string(style: &Style, random: &mut Random) -> String {
    let parts = [
        "a",
        "word ",
        " ",
        "\n",
        "\n\n",
        "\t",
        "\"",
        "'",
        "\\",
        "\\n",
        "<",
        ">",
        "&amp;",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ",",
        ":",
        "=",
        "null",
        "None",
        "true",
        "12345",
        "007",
        "1.0",
        "é",
        "漢字",
        "😀",
        "שלום",
        "</",
        "<|",
        "|>",
        "```",
        "$x",
        "{\"a\": 1}",
        "call:",
    ];
    loop {
        let mut text = String::new();
        for _ in 0..random.below(7) {
            let part = match random.below(4) {
                0 => style.tags[random.below(style.tags.len())],
                _ => parts[random.below(parts.len())],
            };
            text.push_str(part);
        }
        if !(style.is_ambiguous)(&text) {
            return text;
        }
    }
}
