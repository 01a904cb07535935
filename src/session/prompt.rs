// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Prompts become tokens here, which also decides how the answer is read.

use std::{mem::take, time::Instant};

use serde_json::{Map, Value, json};

use super::parse;
use crate::{
    error::{Error, Result},
    generate::Request,
    options::{Reasoning, RunOptions},
    tokenizer::{
        TemplateOptions, Tokenizer,
        output::{OutputParser, ReasoningFormat, ToolFormat, ToolSpec},
    },
};

/// What a run continues.
#[derive(Debug, Clone)]
pub enum Prompt {
    /// Token ids, used as they are.
    Tokens(Vec<u32>),
    /// A text that does not go through the chat template.
    Raw(String),
    /// One user message, or a raw text if the model has no chat template, as in mlx-lm's command line.
    Text(String),
    /// Messages, as a JSON array.
    Messages(String),
}

/// Tokenizes a prompt, and prepares what reads the answer. `eos_token_ids`: the model's; `created`: when the caller asked.
///
/// # Errors
/// What is wrong with the prompt, the template or an option.
pub fn encode_request(
    tokenizer: &Tokenizer,
    prompt: Prompt,
    mut options: RunOptions,
    eos_token_ids: Vec<u32>,
    created: Instant,
) -> Result<Request> {
    if options.xtc_probability > 0.0 {
        // As mlx-lm's command line: an answer can always end, and so can a line.
        options.xtc_special_tokens = tokenizer.encode("\n", true)?;
        options.xtc_special_tokens.extend(&eos_token_ids);
    }
    let (prompt, parser) = match prompt {
        Prompt::Tokens(tokens) => (tokens, None),
        Prompt::Raw(text) => (encode_raw(tokenizer, &text, options.sanitize_control_tokens)?, None),
        Prompt::Text(text) if tokenizer.chat_template().is_none() => {
            (encode_raw(tokenizer, &text, options.sanitize_control_tokens)?, None)
        }
        Prompt::Text(text) => encode_chat(tokenizer, json!([{ "role": "user", "content": text }]), &mut options)?,
        Prompt::Messages(messages) => encode_chat(tokenizer, parse("messages", &messages)?, &mut options)?,
    };
    let closing = tokenizer.reasoning_format().closing().filter(|_| parser.is_some());
    let end_of_reasoning = match (options.reasoning_budget(), closing) {
        (Some(_), Some(closing)) => tokenizer.encode(&closing, false)?,
        _ => Vec::new(),
    };
    let detokenizer = tokenizer.detokenizer();
    Ok(Request { prompt, options, eos_token_ids, detokenizer, parser, end_of_reasoning, created })
}

/// As mlx-lm's `generate`: a text that begins with BOS gets no other.
fn encode_raw(tokenizer: &Tokenizer, text: &str, sanitize: bool) -> Result<Vec<u32>> {
    if sanitize {
        return tokenizer.encode_splitting(text, true, true);
    }
    let begins = tokenizer.bos_token().is_some_and(|bos| text.starts_with(bos));
    tokenizer.encode(text, !begins)
}

/// Renders and tokenizes messages. Takes the template's part out of the options.
fn encode_chat(
    tokenizer: &Tokenizer,
    mut messages: Value,
    options: &mut RunOptions,
) -> Result<(Vec<u32>, Option<OutputParser>)> {
    let mut extra = take(&mut options.chat_template_args);
    if let Some(reasoning) = options.reasoning {
        switch_reasoning(tokenizer, reasoning != Reasoning::Switch(false), &mut extra)?;
    }
    let tools = options.tools.take();
    let specs: Vec<ToolSpec> =
        tools.iter().filter_map(Value::as_array).flatten().filter_map(ToolSpec::from_json).collect();
    let mut template = TemplateOptions {
        add_generation_prompt: !options.continue_final_message,
        continue_final_message: options.continue_final_message,
        tools,
        documents: options.documents.take(),
        extra,
        ..TemplateOptions::default()
    };
    if options.sanitize_control_tokens {
        let control_tokens = tokenizer.control_tokens()?;
        let more = template.tools.iter_mut().chain(&mut template.documents).chain(template.extra.values_mut());
        more.chain([&mut messages]).for_each(|value| control_tokens.mark(value));
    }
    let prompt = tokenizer.apply_chat_template(&messages, &template)?;
    // A model that was offered no function cannot call one: what it writes about calls is text.
    let tool_format = if specs.is_empty() { ToolFormat::None } else { tokenizer.tool_format() };
    let mut parser = OutputParser::new(tool_format, tokenizer.reasoning_format(), &specs);
    if begins_in_reasoning(tokenizer, &messages, &template, &prompt)? {
        parser = parser.starting_in_reasoning();
    }
    let tokens = match options.sanitize_control_tokens {
        true => tokenizer.encode_marked(&prompt)?,
        false => tokenizer.encode(&prompt, false)?,
    };
    Ok((tokens, Some(parser)))
}

/// Whether the template itself opens the reasoning, or the message that is to be continued does. Only what comes behind
/// the other messages tells: these may hold anything.
fn begins_in_reasoning(
    tokenizer: &Tokenizer,
    messages: &Value,
    options: &TemplateOptions,
    prompt: &str,
) -> Result<bool> {
    let format = tokenizer.reasoning_format();
    if options.continue_final_message {
        let open = messages.as_array().and_then(|all| all.last()?.get("content")?.as_str());
        return Ok(open.is_some_and(|text| format.starts_in_reasoning(text)));
    }
    if !options.add_generation_prompt || !format.starts_in_reasoning(prompt) {
        return Ok(false);
    }
    let options = TemplateOptions { add_generation_prompt: false, ..options.clone() };
    let without = tokenizer.apply_chat_template(messages, &options)?;
    let common = prompt.char_indices().zip(without.chars()).take_while(|((_, a), b)| a == b).last();
    let end = common.map_or(0, |((at, c), _)| at + c.len_utf8());
    Ok(format.starts_in_reasoning(prompt.get(end..).unwrap_or_default()))
}

/// Sets the template's variable, where it has one.
fn switch_reasoning(tokenizer: &Tokenizer, on: bool, variables: &mut Map<String, Value>) -> Result<()> {
    let reasons = tokenizer.reasoning_format() != ReasoningFormat::None;
    match tokenizer.reasoning_switch() {
        Some(variable) => {
            variables.insert(variable.to_owned(), on.into());
            Ok(())
        }
        None if on && !reasons => Err(invalid("reasoning", "this model does not reason")),
        None if !on && reasons => Err(invalid("reasoning", "this model's reasoning cannot be switched off")),
        None => Ok(()),
    }
}

fn invalid(name: &str, message: &str) -> Error {
    Error::InvalidArgValue { name: name.to_owned(), message: message.to_owned() }
}
