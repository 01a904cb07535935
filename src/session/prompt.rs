// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Prompts become tokens here, which also decides how the answer is read.

use std::{mem::take, time::Instant};

use serde_json::{Map, Value, json};

use super::parse;
use crate::{
    error::{Error, Result},
    generate::{Begins, Constraint, Frame, Request},
    grammar::{Calls, Extent, Grammars, Source},
    limits::prompt_characters,
    options::{Reasoning, RunOptions, ToolChoice},
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

/// A prompt, and how its answer is read: all of it is text without a parser.
struct Encoded {
    tokens: Vec<u32>,
    parser: Option<OutputParser>,
    /// How the model calls the functions that it was offered.
    tool_format: ToolFormat,
    tools: Vec<ToolSpec>,
}

impl Encoded {
    fn raw(tokens: Vec<u32>) -> Self {
        Self { tokens, parser: None, tool_format: ToolFormat::None, tools: Vec::new() }
    }
}

/// Tokenizes a prompt, and prepares what reads the answer. `created`: when the caller asked. A text that could not fit the
/// context is not tokenized.
///
/// # Errors
/// What is wrong with the prompt, the template or an option.
pub fn encode_request(
    tokenizer: &Tokenizer,
    grammars: &Grammars,
    prompt: Prompt,
    mut options: RunOptions,
    context_length: usize,
    created: Instant,
) -> Result<Request> {
    let eos_token_ids = grammars.eos_token_ids().to_vec();
    let source = source(&mut options)?;
    if options.xtc_probability > 0.0 {
        // As mlx-lm's command line: an answer can always end, and so can a line.
        options.xtc_special_tokens = tokenizer.encode("\n", true)?;
        options.xtc_special_tokens.extend(&eos_token_ids);
    }
    let encoded = match prompt {
        Prompt::Tokens(tokens) => Encoded::raw(tokens),
        Prompt::Raw(text) => encode_raw(tokenizer, &text, &options, context_length)?,
        Prompt::Text(text) if tokenizer.chat_template().is_none() => {
            encode_raw(tokenizer, &text, &options, context_length)?
        }
        Prompt::Text(text) => {
            let messages = json!([{ "role": "user", "content": text }]);
            encode_chat(tokenizer, messages, &mut options, context_length)?
        }
        Prompt::Messages(messages) => {
            encode_chat(tokenizer, parse("messages", &messages)?, &mut options, context_length)?
        }
    };
    let calls = calls(tokenizer, source.as_ref(), &encoded, &options)?;
    let holds_calls = calls.is_some();
    let constraint = match (source, calls) {
        (None, None) => None,
        (source, calls) => Some(constrain(tokenizer, grammars, source, calls, &encoded, &options)?),
    };
    let Encoded { tokens: prompt, mut parser, .. } = encoded;
    if holds_calls {
        // Calls in the reasoning are not held to anything.
        parser = parser.map(OutputParser::without_calls_in_reasoning);
    }
    let closing = tokenizer.reasoning_format().closing().filter(|_| parser.is_some());
    let end_of_reasoning = match (options.reasoning_budget(), closing) {
        (Some(_), Some(closing)) => tokenizer.encode(&closing, false)?,
        _ => Vec::new(),
    };
    let detokenizer = tokenizer.detokenizer();
    Ok(Request { prompt, options, eos_token_ids, detokenizer, parser, end_of_reasoning, constraint, created })
}

/// Takes what the answer must follow out of the options.
fn source(options: &mut RunOptions) -> Result<Option<Source>> {
    let sources = [
        options.schema.take().map(Source::Schema),
        options.regex.take().map(Source::Regex),
        options.grammar.take().map(Source::Lark),
    ];
    let mut sources = sources.into_iter().flatten();
    let source = sources.next();
    let name = source.as_ref().map(Source::name);
    if let Some(name) = name.filter(|_| sources.next().is_some()) {
        return Err(invalid(name, "schema, regex and grammar cannot be combined with each other"));
    }
    if let Some(name) = name.filter(|_| options.forces_call()) {
        return Err(invalid("toolChoice", &format!("a call that must come cannot be combined with {name}")));
    }
    let held = name.or(options.holds_calls());
    if let Some(name) = held.filter(|_| options.speculative.is_some()) {
        return Err(invalid("speculative", &format!("cannot be combined with {name}")));
    }
    match held {
        Some(name) if options.ignore_eos => Err(invalid("ignoreEos", &format!("cannot be combined with {name}"))),
        _ => Ok(source),
    }
}

/// The calls that the answer is held to, if it is.
fn calls(
    tokenizer: &Tokenizer,
    source: Option<&Source>,
    encoded: &Encoded,
    options: &RunOptions,
) -> Result<Option<Calls>> {
    let Some(option) = options.holds_calls() else { return Ok(None) };
    let Encoded { tool_format: format, tools, .. } = encoded;
    if tools.is_empty() {
        let missing = "needs tools, and a prompt that goes through the chat template";
        return if options.forces_call() { Err(invalid(option, missing)) } else { Ok(None) };
    }
    if *format == ToolFormat::None {
        return Err(invalid(option, "this model has no format of calls that is known"));
    }
    let mut tools = tools.clone();
    let extent = match &options.tool_choice {
        ToolChoice::Named { name } => {
            tools.retain(|tool| tool.name == *name);
            Extent::One
        }
        ToolChoice::Auto if source.is_none() => Extent::Any,
        _ => Extent::Calls,
    };
    if tools.is_empty() {
        return Err(invalid("toolChoice.name", "none of the tools has this name"));
    }
    Ok(Some(Calls { format: *format, reasoning: tokenizer.reasoning_format(), tools, extent }))
}

/// Prepares what the answer must follow, and where in it that begins.
fn constrain(
    tokenizer: &Tokenizer,
    grammars: &Grammars,
    source: Option<Source>,
    calls: Option<Calls>,
    encoded: &Encoded,
    options: &RunOptions,
) -> Result<Constraint> {
    let format = tokenizer.reasoning_format();
    let begins = match &encoded.parser {
        Some(parser) if parser.is_reasoning() => Begins::InReasoning,
        Some(_) if options.continue_final_message || options.reasoning == Some(Reasoning::Switch(false)) => {
            Begins::WithAnswer
        }
        Some(_) if format == ReasoningFormat::Harmony => Begins::WithReasoning,
        Some(_) if format != ReasoningFormat::None => Begins::WithChoice,
        _ => Begins::WithAnswer,
    };
    let encode = |text: &str| if text.is_empty() { Ok(Vec::new()) } else { tokenizer.encode(text, false) };
    let call = opening_of_calls(tokenizer, encoded.tool_format)?;
    if let (Some(source), None, true) = (&source, call, encoded.tool_format != ToolFormat::None) {
        let name = source.name();
        return Err(invalid(
            "tools",
            &format!("cannot be combined with {name}: this model's calls have no token of their own"),
        ));
    }
    let gap = match (&source, format) {
        // The calls' grammar chooses the channel.
        (None, ReasoningFormat::Harmony) => "<|start|>assistant",
        _ => format.gap(),
    };
    let frame = Frame {
        opening: encode(format.opening().unwrap_or_default())?,
        gap: encode(gap)?,
        call,
        eos: grammars.eos_token_ids().to_vec(),
    };
    let compile = |source: Option<Source>| source.map(|source| grammars.compile(source)).transpose();
    let (value, calls) = (compile(source)?, compile(calls.map(Source::Calls))?);
    Ok(Constraint::new(value, calls, begins, frame, grammars.vocab_size()))
}

/// The token that tells a call from other text, if there is one and the model was offered functions.
fn opening_of_calls(tokenizer: &Tokenizer, format: ToolFormat) -> Result<Option<u32>> {
    let tokens = format.opening().map_or_else(|| Ok(Vec::new()), |tag| tokenizer.encode(tag, false))?;
    Ok(match tokens.as_slice() {
        [token] => Some(*token),
        _ => None,
    })
}

/// As mlx-lm's `generate`: a text that begins with BOS gets no other.
fn encode_raw(tokenizer: &Tokenizer, text: &str, options: &RunOptions, context_length: usize) -> Result<Encoded> {
    check_length(text, context_length)?;
    if options.sanitize_control_tokens {
        return tokenizer.encode_splitting(text, true, true).map(Encoded::raw);
    }
    let begins = tokenizer.bos_token().is_some_and(|bos| text.starts_with(bos));
    tokenizer.encode(text, !begins).map(Encoded::raw)
}

/// Refuses a text that cannot fit, before anybody spends seconds on tokenizing it.
fn check_length(text: &str, context_length: usize) -> Result<()> {
    let character_limit = prompt_characters(context_length);
    if text.len() <= character_limit {
        return Ok(());
    }
    match text.chars().count() {
        characters if characters <= character_limit => Ok(()),
        characters => Err(Error::PromptTooLong { characters, character_limit, limit: context_length }),
    }
}

/// Renders and tokenizes messages. Takes the template's part out of the options.
fn encode_chat(
    tokenizer: &Tokenizer,
    mut messages: Value,
    options: &mut RunOptions,
    context_length: usize,
) -> Result<Encoded> {
    let mut extra = take(&mut options.chat_template_args);
    if let Some(reasoning) = options.reasoning {
        switch_reasoning(tokenizer, reasoning != Reasoning::Switch(false), &mut extra)?;
    }
    let tools = options.tools.take().filter(|_| options.tool_choice != ToolChoice::None);
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
    check_length(&prompt, context_length)?;
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
    Ok(Encoded { tokens, parser: Some(parser), tool_format, tools: specs })
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
