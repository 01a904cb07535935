// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from transformers (https://github.com/huggingface/transformers)
// Original: src/transformers/utils/chat_template_utils.py
// Git Tag: v5.23.0

//! Chat templates: Jinja as in transformers, for untrusted templates.

mod budget;
mod compile;
mod constants;
mod filters;
mod json;
mod methods;
mod ops;
mod strftime;
#[cfg(test)]
mod tests;
mod text;

use std::error::Error as StdError;
use std::sync::LazyLock;

use chrono::{DateTime, Local};
use minijinja::machinery::{Vm, make_string_output};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use self::budget::Exceeded;
pub use self::compile::mentions;
use self::filters::Raised;
use self::text::Text;
use super::isolate;
use crate::error::{Error, Result};
use crate::limits::text_time;
use crate::watch::limited;

/// Maximum number of instructions of one rendering; a message takes about a hundred.
const FUEL: u64 = 5_000_000;
/// Additional instructions per byte of input: some templates loop over characters.
const FUEL_PER_BYTE: u64 = 32;
/// Stack size for the parser, which recurses without bound; see [`compile`].
const STACK: usize = 64 << 20;
/// Marks the end of the message that is to be continued.
const CONTINUE_TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";
/// The names that templates use for a message's reasoning.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// The filters, tests and functions of all templates.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// Options of applying a chat template.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TemplateOptions {
    /// Ends the prompt with the start of an answer.
    pub add_generation_prompt: bool,
    /// Leaves the last message open so that the model continues it.
    pub continue_final_message: bool,
    /// JSON schemas of functions.
    pub tools: Option<Json>,
    /// Documents to answer from.
    pub documents: Option<Json>,
    /// The time that `strftime_now` writes. Default: that of the call.
    #[serde(skip)]
    pub now: Option<DateTime<Local>>,
    /// Extra variables for the template; they override all others except the messages.
    #[serde(rename = "chatTemplateArgs")]
    pub extra: Map<String, Json>,
}

/// Applies a template to messages. `variables` are those of the tokenizer.
pub fn apply(
    template: &str,
    messages: &Json,
    mut variables: Map<String, Json>,
    options: &TemplateOptions,
) -> Result<String> {
    if options.add_generation_prompt && options.continue_final_message {
        return Err(wrong("continue_final_message and add_generation_prompt cannot be combined"));
    }
    let mut messages = with_reasoning_names(messages);
    let last_text = match options.continue_final_message {
        true => Some(mark_end(&mut messages)?),
        false => None,
    };
    variables.insert("tools".to_owned(), options.tools.clone().unwrap_or_default());
    variables.insert("documents".to_owned(), options.documents.clone().unwrap_or_default());
    variables.insert("add_generation_prompt".to_owned(), options.add_generation_prompt.into());
    variables.extend(options.extra.clone());
    variables.insert("messages".to_owned(), messages);

    let rendered = render(template, &variables, options.now.unwrap_or_else(Local::now))?;
    match last_text {
        Some(text) => cut_at_end(rendered, &text),
        None => Ok(rendered),
    }
}

/// Renders a template on its own thread.
fn render(template: &str, variables: &Map<String, Json>, now: DateTime<Local>) -> Result<String> {
    let input_size = size(variables);
    let render = || {
        let source = compile::without_generation_tags(template);
        let mut out = String::new();
        let rendered = compile::compile(&source).and_then(|instructions| {
            budget::open(input_size);
            let mut env = ENVIRONMENT.clone();
            env.set_fuel(Some(FUEL + FUEL_PER_BYTE * input_size as u64));
            env.add_function("strftime_now", move |format: &str| strftime::format(now, format));
            let root = Value::from_serialize(variables);
            let blocks = std::collections::BTreeMap::new();
            let mut output = make_string_output(&mut out);
            Vm::new(&env).eval(&instructions, root, &blocks, &mut output, AutoEscape::None).map(|_| ())
        });
        rendered.map(|()| out).map_err(explain)
    };
    isolate::run(STACK, || limited(text_time(input_size), late, render)).unwrap_or_else(|panic| Err(wrong(&panic)))
}

/// # Errors
/// `ChatTemplateLimit` for a template that would not be rendered because of its length.
pub fn check_length(template: &str) -> Result<()> {
    compile::check_length(template).map_err(explain)
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_formatter(emit);
    env.set_unknown_method_callback(methods::call);
    filters::register(&mut env);
    ops::register(&mut env);
    env.add_function("raise_exception", filters::raise_exception);
    env
}

fn emit(out: &mut Output, _: &State, value: &Value) -> Result<(), minijinja::Error> {
    let mut text = Text::default();
    text.push(value)?;
    out.write_str(&text.into_string()).map_err(minijinja::Error::from)
}

/// Converts an error for the caller: the template's exception, a limit, or a failure with its location.
fn explain(error: minijinja::Error) -> Error {
    let first: &(dyn StdError + 'static) = &error;
    let causes = || std::iter::successors(Some(first), |&error| error.source());
    if let Some(raised) = causes().find_map(|cause| cause.downcast_ref::<Raised>()) {
        return wrong(&raised.0);
    }
    if let Some(exceeded) = causes().find_map(|cause| cause.downcast_ref::<Exceeded>()) {
        return limit(&exceeded.to_string());
    }
    if error.kind() == ErrorKind::OutOfFuel {
        return late();
    }
    let deep = causes().any(|cause| cause.to_string().contains("recursion limit"));
    if deep {
        return limit("the template recurses too deeply");
    }
    wrong(&error.to_string())
}

/// The error of a template that takes too long.
fn late() -> Error {
    limit("the template takes too long")
}

fn wrong(message: &str) -> Error {
    Error::ChatTemplate { message: message.to_owned() }
}

fn limit(message: &str) -> Error {
    Error::ChatTemplateLimit { message: message.to_owned() }
}

fn size(variables: &Map<String, Json>) -> usize {
    fn of(json: &Json) -> usize {
        match json {
            Json::String(text) => text.len() + 32,
            Json::Array(elements) => elements.iter().map(of).sum::<usize>() + 32,
            Json::Object(map) => size(map) + 32,
            _ => 32,
        }
    }
    variables.iter().map(|(key, value)| key.len() + of(value)).sum()
}

/// Returns the messages, with their reasoning under each of its names.
fn with_reasoning_names(messages: &Json) -> Json {
    let mut messages = messages.clone();
    for message in messages.as_array_mut().into_iter().flatten() {
        let Some(message) = message.as_object_mut() else { continue };
        let reasoning = REASONING.iter().find_map(|name| message.get(*name).filter(|reasoning| !reasoning.is_null()));
        if let Some(reasoning) = reasoning.cloned() {
            message.entry("thinking").or_insert_with(|| reasoning.clone());
            message.insert("reasoning_content".to_owned(), reasoning);
        }
    }
    messages
}

/// Marks the end of the last message's text. Returns the text.
fn mark_end(messages: &mut Json) -> Result<String> {
    let last = messages.as_array_mut().and_then(|all| all.last_mut());
    let content = last.and_then(|message| message.get_mut("content"));
    let text = match content {
        Some(Json::Array(parts)) => parts.iter_mut().rev().find_map(|part| part.get_mut("text")),
        content => content,
    };
    match text {
        Some(Json::String(text)) => {
            let before = text.clone();
            text.push_str(CONTINUE_TAG);
            Ok(before)
        }
        _ => Err(wrong("the final message has no text to continue")),
    }
}

/// Cuts the prompt off after the last message's text.
fn cut_at_end(mut rendered: String, text: &str) -> Result<String> {
    let end = rendered.rfind(CONTINUE_TAG.trim_end());
    let end = end.filter(|_| rendered.contains(text.trim()));
    let end = end.ok_or_else(|| wrong("the rendered text does not contain the final message"))?;
    let keeps_space = rendered.get(end..).is_some_and(|tail| tail.starts_with(CONTINUE_TAG));
    rendered.truncate(end);
    if !keeps_space {
        rendered.truncate(rendered.trim_end().len());
    }
    Ok(rendered)
}
