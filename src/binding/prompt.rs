// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Prompts: what JavaScript sends becomes tokens, and decides how the answer is to be read.

use serde_json::{Map, Value, json};

use super::{model::parse, request::NativeGenerateRequest};
use crate::{
    error::{Error, Result},
    tokenizer::{
        TemplateOptions, Tokenizer,
        output::{OutputParser, ReasoningFormat, ToolFormat, ToolSpec},
    },
};

/// A prompt as it comes from JavaScript.
pub enum Prompt {
    Tokens(Vec<u32>),
    Raw { text: String, sanitize: bool },
    Text { text: String, template: TemplateRequest },
    Messages { messages: String, template: TemplateRequest },
    None,
}

/// What goes into a chat template besides the messages, as JSON.
pub struct TemplateRequest {
    tools: Option<String>,
    documents: Option<String>,
    chat_template_args: Option<String>,
    continue_final_message: bool,
    sanitize_control_tokens: bool,
    reasoning: Option<bool>,
}

/// A prompt's tokens, and what reads the answer where a chat template has set its form.
pub struct EncodedPrompt {
    pub tokens: Vec<u32>,
    pub parser: Option<OutputParser>,
}

impl Prompt {
    pub fn new(request: NativeGenerateRequest) -> Self {
        let template = TemplateRequest {
            tools: request.tools,
            documents: request.documents,
            chat_template_args: request.chat_template_args,
            continue_final_message: request.continue_final_message.unwrap_or(false),
            sanitize_control_tokens: request.sanitize_control_tokens.unwrap_or(false),
            reasoning: request.reasoning,
        };
        match (request.tokens, request.messages, request.text) {
            // A typed array belongs to JavaScript's thread: copy what is in it.
            (Some(tokens), ..) => Self::Tokens(tokens.to_vec()),
            (None, Some(messages), _) => Self::Messages { messages, template },
            (None, None, Some(text)) if request.raw == Some(true) => {
                Self::Raw { text, sanitize: template.sanitize_control_tokens }
            }
            (None, None, Some(text)) => Self::Text { text, template },
            (None, None, None) => Self::None,
        }
    }

    pub fn encode(self, tokenizer: &Tokenizer) -> Result<EncodedPrompt> {
        let plain = |tokens| EncodedPrompt { tokens, parser: None };
        match self {
            Self::Tokens(tokens) => Ok(plain(tokens)),
            Self::Raw { text, sanitize } => encode_raw(tokenizer, &text, sanitize).map(plain),
            // As mlx-lm's command line: one message of the user, where the model has a chat template.
            Self::Text { text, template } if tokenizer.chat_template().is_none() => {
                encode_raw(tokenizer, &text, template.sanitize_control_tokens).map(plain)
            }
            Self::Text { text, template } => template.encode(tokenizer, json!([{ "role": "user", "content": text }])),
            Self::Messages { messages, template } => template.encode(tokenizer, parse("messages", &messages)?),
            Self::None => Err(invalid("prompt", "is missing")),
        }
    }
}

/// As mlx-lm's `generate`: a text that begins with BOS gets no other.
fn encode_raw(tokenizer: &Tokenizer, text: &str, sanitize: bool) -> Result<Vec<u32>> {
    if sanitize {
        return tokenizer.encode_splitting(text, true, true);
    }
    let begins = tokenizer.bos_token().is_some_and(|bos| text.starts_with(bos));
    tokenizer.encode(text, !begins)
}

impl TemplateRequest {
    fn encode(&self, tokenizer: &Tokenizer, mut messages: Value) -> Result<EncodedPrompt> {
        let mut extra: Map<String, Value> = match &self.chat_template_args {
            Some(json) => parse("chatTemplateArgs", json)?,
            None => Map::new(),
        };
        if let Some(on) = self.reasoning {
            switch_reasoning(tokenizer, on, &mut extra)?;
        }
        let tools: Option<Value> = self.tools.as_deref().map(|json| parse("tools", json)).transpose()?;
        let specs: Vec<ToolSpec> =
            tools.iter().filter_map(Value::as_array).flatten().filter_map(ToolSpec::from_json).collect();
        let mut options = TemplateOptions {
            add_generation_prompt: !self.continue_final_message,
            continue_final_message: self.continue_final_message,
            tools,
            documents: self.documents.as_deref().map(|json| parse("documents", json)).transpose()?,
            extra,
            ..TemplateOptions::default()
        };
        if self.sanitize_control_tokens {
            let control_tokens = tokenizer.control_tokens()?;
            let more = options.tools.iter_mut().chain(&mut options.documents).chain(options.extra.values_mut());
            more.chain([&mut messages]).for_each(|value| control_tokens.mark(value));
        }
        let prompt = tokenizer.apply_chat_template(&messages, &options)?;
        // A model that was offered no function cannot call one: what it writes about calls is text.
        let tool_format = if specs.is_empty() { ToolFormat::None } else { tokenizer.tool_format() };
        let mut parser = OutputParser::new(tool_format, tokenizer.reasoning_format(), &specs);
        if begins_in_reasoning(tokenizer, &messages, &options, &prompt)? {
            parser = parser.starting_in_reasoning();
        }
        let tokens = match self.sanitize_control_tokens {
            true => tokenizer.encode_marked(&prompt)?,
            false => tokenizer.encode(&prompt, false)?,
        };
        Ok(EncodedPrompt { tokens, parser: Some(parser) })
    }
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
