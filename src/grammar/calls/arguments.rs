// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The arguments of a call, in formats that do not write them as one JSON object.

use serde_json::{Map, Value, json};

use super::{
    Refusal,
    writer::{Text, Writer, one_of, prepared, search},
};
use crate::{
    grammar::{
        pattern,
        schema::{Problem, Suspect, escaped},
    },
    tokenizer::output::{ToolSpec, allows_text},
};

/// How a format writes an argument.
pub struct Style {
    /// What stands around a name.
    pub name: (&'static str, &'static str),
    /// What stands between two arguments.
    pub separator: &'static str,
    /// What stands around a string; `None`: strings are JSON.
    pub string: Option<(&'static str, &'static str)>,
    /// What stands before a value, and after it.
    pub value: (&'static str, &'static str),
    /// Whether the text tells a string from other values.
    pub is_typed: bool,
    /// Whether a space may stand between the tokens of JSON.
    pub has_space: bool,
}

/// What a string may be, or another value.
enum Choice {
    Text(Text),
    Exactly(String),
    Null,
    /// One of the values of an enum.
    Listed(Value),
    Json(Value),
}

/// Keywords beside which the properties of the arguments may be listed. They say nothing about a string.
const OF_OBJECTS: [&str; 14] = [
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "additionalProperties",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "properties",
    "required",
    "title",
    "type",
];
/// Others that say nothing about a string.
const VOID: [&str; 16] = [
    "additionalItems",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "items",
    "maxItems",
    "maxProperties",
    "maximum",
    "minItems",
    "minProperties",
    "minimum",
    "multipleOf",
    "patternProperties",
    "prefixItems",
    "readOnly",
    "uniqueItems",
    "writeOnly",
];
/// References to references end here.
const MAX_DEPTH: usize = 32;

/// Writes the arguments of a function.
pub struct Arguments<'a, 't> {
    pub writer: &'a mut Writer<'t>,
    pub suspects: &'a mut Vec<Suspect>,
    pub tool: &'a ToolSpec,
    pub style: &'a Style,
}

impl Arguments<'_, '_> {
    /// All arguments, in the order of the schema.
    pub fn all(&mut self) -> Result<String, Refusal> {
        let path = format!("/{}", escaped(&self.tool.name));
        let Value::Object(root) = &self.tool.parameters else { return Ok(String::new()) };
        if let Some(keyword) = root.keys().find(|keyword| !OF_OBJECTS.contains(&keyword.as_str())) {
            return Err(unsupported(&path, keyword).into());
        }
        let mut properties = root.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        properties.retain(|_, schema| *schema != Value::Bool(false));
        let others = root.get("additionalProperties");
        if properties.is_empty() && others.is_some_and(|others| *others != Value::Bool(false)) {
            return Err(unsupported(&path, "additionalProperties").into());
        }
        let required: Vec<&str> =
            root.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if required.iter().any(|name| !properties.contains_key(*name)) {
            return Err(unsupported(&path, "required").into());
        }
        let mut all = Vec::new();
        for (name, schema) in &properties {
            let path = format!("{path}/properties/{}", escaped(name));
            if !is_plain(name) {
                return Err(Problem { path, message: "this model's calls cannot have such a name".to_owned() }.into());
            }
            let argument = self.argument(name, schema, &path)?;
            all.push((self.writer.rule(&argument), required.contains(&name.as_str())));
        }
        let separator = self.writer.literal(self.style.separator)?;
        Ok(sequence(self.writer, &all, &separator))
    }

    fn argument(&mut self, name: &str, schema: &Value, path: &str) -> Result<String, Refusal> {
        let (before, after) = self.style.name;
        let (open, close) = self.style.value;
        let head = self.writer.literal(&format!("{before}{name}{after}{open}"))?;
        let choices = match self.style.string {
            Some(_) if allows_text(self.tool, name) => self.choices(schema, path, 0)?,
            _ => vec![Choice::Json(schema.clone())],
        };
        let is_text = |choice: &Choice| matches!(choice, Choice::Text(_) | Choice::Exactly(_));
        let has_text = choices.iter().any(is_text);
        let mut all = Vec::new();
        for choice in choices {
            let (quote, unquote) = self.style.string.unwrap_or_default();
            all.push(match choice {
                Choice::Text(text) => {
                    let text = self.writer.text(&text, &format!("{unquote}{close}"))?;
                    format!("{} {text}", self.writer.literal(quote)?)
                }
                Choice::Exactly(text) => self.writer.literal(&format!("{quote}{text}{unquote}{close}"))?,
                Choice::Null => self.writer.literal(&format!("null{close}"))?,
                // Between tags, it would be read as a string.
                Choice::Json(_) if has_text && !self.style.is_typed => continue,
                Choice::Listed(schema) | Choice::Json(schema) => {
                    format!("{} {}", self.json(schema, path)?, self.writer.literal(close)?)
                }
            });
        }
        Ok(format!("{head} {}", one_of(&all)))
    }

    fn json(&mut self, schema: Value, path: &str) -> Result<String, Problem> {
        let mut schema = if schema == Value::Bool(true) { json!({}) } else { schema };
        if let (Value::Object(schema), Value::Object(root)) = (&mut schema, &self.tool.parameters) {
            for keyword in ["$defs", "definitions"] {
                if let Some(definitions) = root.get(keyword) {
                    schema.entry(keyword).or_insert_with(|| definitions.clone());
                }
            }
        }
        let mut schema = prepared(schema, self.suspects, path)?;
        if !self.style.has_space
            && let Value::Object(schema) = &mut schema
        {
            schema.insert("x-guidance".to_owned(), json!({ "whitespace_flexible": false }));
        }
        Ok(self.writer.json(&schema))
    }

    /// What a schema allows that allows strings.
    fn choices(&self, schema: &Value, path: &str, depth: usize) -> Result<Vec<Choice>, Problem> {
        let Value::Object(schema) = schema else { return Ok(vec![Choice::Text(self.string())]) };
        if depth > MAX_DEPTH {
            return Err(unsupported(path, "$ref"));
        }
        let check = |allowed: &[&str]| {
            let known = [&OF_OBJECTS[..], &VOID, allowed].concat();
            let is_known = |keyword: &&String| known.contains(&keyword.as_str());
            schema.keys().find(|keyword| !is_known(keyword)).map_or(Ok(()), |keyword| Err(unsupported(path, keyword)))
        };
        if let Some(Value::String(reference)) = schema.get("$ref") {
            check(&["$ref"])?;
            let target = reference.strip_prefix('#').and_then(|pointer| self.tool.parameters.pointer(pointer));
            return self.choices(target.ok_or_else(|| unsupported(path, "$ref"))?, path, depth + 1);
        }
        if schema.contains_key("enum") || schema.contains_key("const") {
            check(&["enum", "const"])?;
            return self.listed(schema, path);
        }
        for keyword in ["anyOf", "oneOf", "allOf"] {
            let Some(Value::Array(parts)) = schema.get(keyword) else { continue };
            check(&[keyword])?;
            let mut all = Vec::new();
            let mut with_text = 0;
            for (index, part) in parts.iter().enumerate() {
                let part = self.choices(part, &format!("{path}/{keyword}/{index}"), depth + 1)?;
                with_text += usize::from(part.iter().any(|choice| matches!(choice, Choice::Text(_))));
                all.extend(part);
            }
            // A text must match one of them alone, or all.
            if (keyword == "oneOf" && with_text > 1) || (keyword == "allOf" && parts.len() > 1) {
                return Err(unsupported(path, keyword));
            }
            return Ok(all);
        }
        self.typed(schema, path, &check)
    }

    /// Any string that can be written.
    fn string(&self) -> Text {
        let Style { string, value: (open, _), .. } = self.style;
        let is_inline = *string == Some(("", "")) && !open.ends_with('\n');
        Text { is_inline, without: self.writer.tags().to_vec(), ..Text::default() }
    }

    fn listed(&self, schema: &Map<String, Value>, path: &str) -> Result<Vec<Choice>, Problem> {
        let types = types(schema);
        let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        let mut all = Vec::new();
        for value in schema.get("const").map_or_else(|| listed.collect(), |value| vec![value]) {
            match value {
                Value::String(text) if has_type(&types, "string") => {
                    let string = self.string();
                    let has_own_line = text.len() > 1 && text.starts_with('\n') && text.ends_with('\n');
                    if (string.is_inline && has_own_line) || string.without.iter().any(|tag| text.contains(tag)) {
                        return Err(Problem {
                            path: path.to_owned(),
                            message: format!("this model's calls cannot have the string {value}"),
                        });
                    }
                    all.push(Choice::Exactly(text.clone()));
                }
                Value::String(_) => {}
                Value::Null => all.push(Choice::Null),
                value => all.push(Choice::Listed(json!({ "const": value }))),
            }
        }
        Ok(all)
    }

    fn typed(
        &self,
        schema: &Map<String, Value>,
        path: &str,
        check: &impl Fn(&[&str]) -> Result<(), Problem>,
    ) -> Result<Vec<Choice>, Problem> {
        let types = types(schema);
        let mut all = Vec::new();
        if has_type(&types, "string") {
            check(&["minLength", "maxLength", "pattern"])?;
            let length = |keyword| schema.get(keyword).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            let pattern = schema.get("pattern").and_then(Value::as_str).map(pattern::translate).transpose();
            let problem = |message| Problem { path: format!("{path}/pattern"), message };
            all.push(Choice::Text(Text {
                min: length("minLength").unwrap_or(0),
                max: length("maxLength"),
                pattern: pattern.map_err(problem)?.map(|pattern| search(&pattern)),
                ..self.string()
            }));
        }
        if has_type(&types, "null") && !types.is_empty() {
            all.push(Choice::Null);
        }
        let others: Vec<&String> = types.iter().filter(|kind| !["string", "null"].contains(&kind.as_str())).collect();
        if !others.is_empty() {
            let mut schema = schema.clone();
            schema.insert("type".to_owned(), json!(others));
            all.push(Choice::Json(Value::Object(schema)));
        }
        Ok(all)
    }
}

/// The types that a schema lists; none: all are allowed.
fn types(schema: &Map<String, Value>) -> Vec<String> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind.clone()],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn has_type(types: &[String], kind: &str) -> bool {
    types.is_empty() || types.iter().any(|each| each == kind)
}

/// Arguments of which some may be left out, in their order.
fn sequence(writer: &mut Writer, all: &[(String, bool)], separator: &str) -> String {
    // What follows an argument, and what follows none.
    let (mut after_one, mut at_start) = (String::new(), String::new());
    for (argument, is_required) in all.iter().rev() {
        let first = writer.rule(&format!("{argument} {after_one}"));
        let next = if separator.is_empty() { first.clone() } else { writer.rule(&format!("{separator} {first}")) };
        (after_one, at_start) = match is_required {
            true => (next, first),
            false => (
                writer.rule(&format!("{next} | {}", or_nothing(&after_one))),
                writer.rule(&format!("{first} | {}", or_nothing(&at_start))),
            ),
        };
    }
    at_start
}

fn or_nothing(rule: &str) -> &str {
    if rule.is_empty() { "\"\"" } else { rule }
}

/// Whether a name can stand in a call as it is.
pub fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_@$#.:/-".contains(c))
}

fn unsupported(path: &str, keyword: &str) -> Problem {
    let path = format!("{path}/{}", escaped(keyword));
    Problem { path, message: format!("{keyword} is not supported here in this model's format of calls") }
}
