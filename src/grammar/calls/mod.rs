// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Calls of functions in a model's own format, with arguments that follow their schemas.
//!
//! A format's grammar writes what its chat template renders, and what its parser in `tokenizer::output` reads.

mod arguments;
mod formats;
#[cfg(test)]
mod tests;
mod writer;

use serde_json::{Map, Value, json};

use self::{
    arguments::{Arguments, is_plain},
    formats::{CallForm, Form, Item, More, form},
    writer::{Text, Writer, one_of, prepared},
};
use super::schema::{Problem, Suspect, escaped};
use crate::{
    error::{Error, Result},
    tokenizer::{
        Tokenizer,
        output::{ReasoningFormat, ToolFormat, ToolSpec},
    },
};

/// Calls that an answer may consist of.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    pub format: ToolFormat,
    pub reasoning: ReasoningFormat,
    /// The functions that may be called.
    pub tools: Vec<ToolSpec>,
    pub extent: Extent,
}

/// What an answer consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Text with any number of calls.
    Any,
    /// Calls only, at least one.
    Calls,
    One,
}

/// Why an answer cannot be held to the functions' schemas.
pub(super) enum Refusal {
    Problem(Problem),
    Error(Error),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Calls {
    /// Writes the grammar in Lark; also returns what llguidance may refuse in it.
    pub(super) fn written(&self, tokenizer: &Tokenizer) -> Result<(String, Vec<Suspect>), Refusal> {
        let form = form(self.format, tokenizer.chat_template().unwrap_or_default());
        let mut writer = Writer::new(tokenizer, self.tags(form.as_ref()));
        let mut suspects = Vec::new();
        let start = match &form {
            Some(form) => self.sections(form, &mut writer, &mut suspects)?,
            None => self.harmony(&mut writer, &mut suspects)?,
        };
        Ok((writer.finish(&start), suspects))
    }

    /// What no string may contain: it would end the string, or begin something else.
    fn tags(&self, form: Option<&Form>) -> Vec<&'static str> {
        let Some(Form { call: CallForm::Listed(_, _, style, _), .. }) = form else { return Vec::new() };
        let (quote, unquote) = style.string.unwrap_or_default();
        let mut tags = self.format.value_tags();
        tags.extend([quote, unquote].into_iter().filter(|tag| !tag.is_empty()));
        tags
    }

    /// What text outside of calls may not contain: it would begin something else.
    fn text(&self) -> Text {
        let mut without: Vec<&str> = self.format.opening().into_iter().chain(self.format.bare_call()).collect();
        match self.reasoning {
            ReasoningFormat::Harmony => without.extend(self.format.markers()),
            reasoning => without.extend(reasoning.opening()),
        }
        Text { without, ..Text::default() }
    }

    fn sections(&self, form: &Form, writer: &mut Writer, suspects: &mut Vec<Suspect>) -> Result<String, Refusal> {
        let calls = self.tools.iter().map(|tool| {
            let call = call(form, writer, suspects, tool)?;
            Ok(writer.rule(&call))
        });
        let call = one_of(&calls.collect::<Result<Vec<_>, Refusal>>()?);
        let tag = self.format.opening().unwrap_or_default();
        let mut calls = call.clone();
        if let (More::Calls(separator), Extent::Any | Extent::Calls) = (&form.more, self.extent) {
            calls += &format!(" ({} {call})*", writer.literal(separator)?);
        }
        let rest = format!("{} {calls} {}", writer.literal(form.before)?, writer.literal(form.after)?);
        let rest = writer.rule(&rest);
        let section = format!("{} {rest}", writer.literal(tag)?);
        let more = match form.more {
            More::Calls(_) => String::new(),
            More::Sections("") => format!("({section})*"),
            More::Sections(separator) => format!("({}? {section})*", writer.literal(separator)?),
        };
        Ok(match self.extent {
            Extent::One => section,
            Extent::Calls => format!("{section} {more}"),
            Extent::Any => {
                let text = writer.text(&self.text(), "")?;
                let next = match writer.begins_with_control(tag)? {
                    true => format!("{text} {section}"),
                    false => format!("{} {rest}", writer.text(&self.text(), tag)?),
                };
                if form.is_last { format!("{text} | {next} {more}") } else { format!("({next})* {text}") }
            }
        })
    }

    /// The prompt has begun the message.
    fn harmony(&self, writer: &mut Writer, suspects: &mut Vec<Suspect>) -> Result<String, Refusal> {
        let calls = self.tools.iter().map(|tool| {
            let header = writer.literal(&format!("{} <|constrain|>json<|message|>", plain_name(tool)?))?;
            Ok(format!("{header} {}", object(writer, suspects, tool)?))
        });
        let calls = one_of(&calls.collect::<Result<Vec<_>, Refusal>>()?);
        let call = format!("{} {calls}", writer.literal("<|channel|>commentary to=functions.")?);
        if self.extent != Extent::Any {
            return Ok(call);
        }
        let preamble = writer.text(&self.text(), "<|end|><|start|>assistant")?;
        let answer = writer.text(&self.text(), "")?;
        Ok(format!(
            "({} {preamble})* ({call} | {} {answer})",
            writer.literal("<|channel|>commentary<|message|>")?,
            writer.literal("<|channel|>final<|message|>")?
        ))
    }
}

fn call(form: &Form, writer: &mut Writer, suspects: &mut Vec<Suspect>, tool: &ToolSpec) -> Result<String, Refusal> {
    match &form.call {
        CallForm::Json => {
            let head = writer.literal(&format!("{{\"name\": {}, \"arguments\": ", Value::from(tool.name.as_str())))?;
            Ok(format!("{head} {} \"}}\"", object(writer, suspects, tool)?))
        }
        CallForm::Headed(before, items, separator) => {
            let mut call = writer.literal(&format!("{before}{}", plain_name(tool)?))?;
            for item in *items {
                let item = match item {
                    Item::Literal(text) => writer.literal(text)?,
                    Item::Pattern(pattern) => format!("/{pattern}/"),
                };
                call += &format!(" {item}");
            }
            Ok(format!("{call} {} {}", writer.literal(separator)?, object(writer, suspects, tool)?))
        }
        CallForm::Listed(before, between, style, after) => {
            let head = writer.literal(&format!("{before}{}{between}", plain_name(tool)?))?;
            let arguments = Arguments { writer, suspects, tool, style }.all()?;
            Ok(format!("{head} {arguments} {}", writer.literal(after)?))
        }
    }
}

/// Arguments as one JSON object.
fn object(writer: &mut Writer, suspects: &mut Vec<Suspect>, tool: &ToolSpec) -> Result<String, Refusal> {
    let schema = match &tool.parameters {
        Value::Object(schema) if !is_without_arguments(schema) => {
            let mut schema = schema.clone();
            schema.entry("type").or_insert_with(|| "object".into());
            Value::Object(schema)
        }
        _ => json!({ "type": "object", "properties": {}, "additionalProperties": false }),
    };
    let schema = prepared(schema, suspects, &format!("/{}", escaped(&tool.name)))?;
    Ok(writer.json(&schema))
}

/// Whether a schema of arguments names none, as that of a function without parameters.
fn is_without_arguments(schema: &Map<String, Value>) -> bool {
    schema.iter().all(|(keyword, value)| match keyword.as_str() {
        "properties" => value.as_object().is_none_or(Map::is_empty),
        "required" => value.as_array().is_none_or(Vec::is_empty),
        "additionalProperties" => *value == Value::Bool(false),
        keyword => ["type", "title", "description", "$schema", "$defs", "definitions"].contains(&keyword),
    })
}

fn plain_name(tool: &ToolSpec) -> Result<&str, Problem> {
    let message = "this model's calls cannot have such a name".to_owned();
    match is_plain(&tool.name) {
        true => Ok(&tool.name),
        false => Err(Problem { path: format!("/{}", escaped(&tool.name)), message }),
    }
}
