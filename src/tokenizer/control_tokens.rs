// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from transformers (https://github.com/huggingface/transformers)
// Original: src/transformers/utils/chat_template_utils.py
// Git Tag: v5.23.0

//! Control tokens in user input. As in transformers' `sanitize_control_tokens`, they are marked before the chat
//! template is rendered, and encoded as text afterwards. Only those that the template itself writes remain tokens.

use std::collections::HashSet;

use fancy_regex::Regex;
use serde_json::Value;
use tokenizers::AddedVocabulary;

use super::Tokenizer;
use crate::error::{Error, Result};

const START: char = '\u{f0000}';
const END: char = '\u{f0001}';
const MARKERS: [char; 2] = [START, END];

/// The tokens that structure a chat.
pub struct ControlTokens {
    contents: HashSet<String>,
    pattern: Option<Regex>,
}

/// A part of a rendered template.
enum Part<'t> {
    Text(&'t str),
    /// A control token from user input.
    Marked(&'t str),
}

impl ControlTokens {
    /// Collects all special tokens, and the other tokens of `added` that are listed, or else appear in the templates.
    fn new(added: &AddedVocabulary, listed: Option<&[String]>, templates: &[&str]) -> Result<Self, String> {
        let gives_form = |token: &String| match listed {
            Some(listed) => listed.contains(token),
            None => !token.trim().is_empty() && templates.iter().any(|template| template.contains(token)),
        };
        let mut tokens: Vec<&str> = added
            .get_added_tokens_decoder()
            .values()
            .filter(|token| token.special || gives_form(&token.content))
            .map(|token| token.content.as_str())
            .collect();
        // The first match is used, so longer tokens come first.
        tokens.sort_unstable_by_key(|token| (std::cmp::Reverse(token.len()), *token));
        let alternatives: Vec<_> = tokens.iter().map(|token| fancy_regex::escape(token)).collect();
        let pattern = (!alternatives.is_empty()).then(|| Regex::new(&alternatives.join("|"))).transpose();
        let contents = tokens.into_iter().map(str::to_owned).collect();
        Ok(Self { contents, pattern: pattern.map_err(|error| error.to_string())? })
    }

    /// Whether an added token is one of them.
    pub fn contains(&self, token: &str) -> bool {
        self.contents.contains(token)
    }

    /// Divides a text into control tokens, of which it says so, and the text between them.
    pub fn split<'t>(&self, text: &'t str) -> Vec<(&'t str, bool)> {
        let (mut parts, mut from) = (vec![], 0);
        for found in self.pattern.iter().flat_map(|pattern| pattern.find_iter(text)).flatten() {
            parts.push((text.get(from..found.start()).unwrap_or_default(), false));
            parts.push((found.as_str(), true));
            from = found.end();
        }
        parts.push((text.get(from..).unwrap_or_default(), false));
        parts
    }

    /// Marks control tokens in every string of a JSON value.
    pub fn mark(&self, json: &mut Value) {
        match json {
            Value::String(text) => *text = self.marked(text),
            Value::Array(all) => all.iter_mut().for_each(|value| self.mark(value)),
            Value::Object(all) => all.values_mut().for_each(|value| self.mark(value)),
            _ => {}
        }
    }

    fn marked(&self, text: &str) -> String {
        // Markers in user input could forge a marked token.
        let text = text.replace(MARKERS, "");
        match &self.pattern {
            Some(pattern) => pattern.replace_all(&text, format!("{START}$0{END}")).into_owned(),
            None => text,
        }
    }
}

impl Tokenizer {
    /// Returns the tokens that [`Self::encode_marked`] distinguishes from text.
    pub fn control_tokens(&self) -> Result<&ControlTokens> {
        let templates: Vec<&str> =
            [&self.config.template, &self.config.tool_template].into_iter().flatten().map(String::as_str).collect();
        self.control_tokens
            .get_or_init(|| {
                let listed = self.config.chat_control_tokens.as_deref();
                ControlTokens::new(self.definition.get_added_vocabulary(), listed, &templates)
            })
            .as_ref()
            .map_err(|message| Error::ChatTemplate { message: format!("control tokens: {message}") })
    }

    /// Encodes a template that was rendered from input marked by [`ControlTokens::mark`].
    pub fn encode_marked(&self, rendered: &str) -> Result<Vec<u32>> {
        let none = AddedVocabulary::new();
        let encode = |part: &str, as_text: bool| match as_text {
            true => self.encode_knowing(&none, part, false),
            false => self.encode(part, false),
        };
        let newline = self.encode("\n", false)?;
        let mut ids = vec![];
        for (index, part) in self.parts(rendered).into_iter().enumerate() {
            let (Part::Text(text) | Part::Marked(text)) = part;
            let as_text = matches!(part, Part::Marked(_));
            if index == 0 {
                ids = encode(text, as_text)?;
                continue;
            }
            if text.is_empty() {
                continue;
            }
            // SentencePiece adds a space at the start of a text, but not after a line break.
            let behind_newline = encode(&format!("\n{text}"), as_text)?;
            let part_ids = match behind_newline.strip_prefix(newline.as_slice()) {
                Some(ids) => ids.to_vec(),
                None => encode(text, as_text)?,
            };
            if as_text && self.token_to_id(text).is_some_and(|id| part_ids.contains(&id)) {
                let message =
                    format!("'{text}' cannot be distinguished from text: the tokenizer encodes plain text to it");
                return Err(Error::ChatTemplate { message });
            }
            ids.extend(part_ids);
        }
        Ok(ids)
    }

    /// Splits at the markers, some of which a template may have separated. The first part is never marked.
    fn parts<'t>(&self, rendered: &'t str) -> Vec<Part<'t>> {
        let added = self.definition.get_added_vocabulary().get_vocab();
        let mut parts = vec![];
        let mut rest = rendered;
        while let Some((before, marker, after)) = cut(rest) {
            parts.push(Part::Text(before));
            rest = after;
            if let Some((token, END, behind)) = cut(after)
                && marker == START
                && added.contains_key(token)
            {
                parts.push(Part::Marked(token));
                rest = behind;
            }
        }
        parts.push(Part::Text(rest));
        parts
    }
}

/// Returns the text before the first marker, the marker, and the text after it.
fn cut(text: &str) -> Option<(&str, char, &str)> {
    let (at, marker) = text.char_indices().find(|(_, c)| MARKERS.contains(c))?;
    Some((text.get(..at)?, marker, text.get(at + marker.len_utf8()..)?))
}
