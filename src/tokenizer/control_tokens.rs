// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from transformers (https://github.com/huggingface/transformers)
// Original: src/transformers/utils/chat_template_utils.py
// Git Tag: v5.23.0

//! Control tokens in user input. As in transformers' `sanitize_control_tokens`, they are marked before the chat
//! template is rendered, and encoded as text afterwards. Only those that the template itself writes remain tokens.

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;
use tokenizers::AddedVocabulary;

use super::{Tokenizer, chat_template, late};
use crate::error::{Error, Result};
use crate::limits::text_time;
use crate::watch::{is_over, limited};

const START: char = '\u{f0000}';
const END: char = '\u{f0001}';
const MARKERS: [char; 2] = [START, END];
/// Tokens that a template may have, with those that are parts of others.
const MAX_FOUND: usize = 1 << 22;

/// The tokens that structure a chat.
pub struct ControlTokens {
    contents: HashSet<String>,
    pattern: Option<AhoCorasick>,
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
        let (special, others): (Vec<_>, Vec<_>) =
            added.get_added_tokens_decoder().values().partition(|token| token.special);
        let others: Vec<&str> =
            others.iter().map(|token| token.content.as_str()).filter(|token| !token.trim().is_empty()).collect();
        let mut contents: HashSet<String> = special.iter().map(|token| token.content.clone()).collect();
        contents.remove("");
        match listed {
            Some(listed) => {
                let listed: HashSet<&str> = listed.iter().map(String::as_str).collect();
                contents.extend(others.iter().filter(|token| listed.contains(**token)).map(|&token| token.to_owned()));
            }
            None => contents.extend(found_in(&others, templates)?),
        }
        let pattern = (!contents.is_empty()).then(|| automaton(&contents, MatchKind::LeftmostLongest)).transpose()?;
        Ok(Self { contents, pattern })
    }

    /// Whether an added token is one of them.
    pub fn contains(&self, token: &str) -> bool {
        self.contents.contains(token)
    }

    /// Divides a text into control tokens, of which it says so, and the text between them.
    pub fn split<'t>(&self, text: &'t str) -> Vec<(&'t str, bool)> {
        let (mut parts, mut from) = (vec![], 0);
        for found in self.pattern.iter().flat_map(|pattern| pattern.find_iter(text)) {
            parts.push((text.get(from..found.start()).unwrap_or_default(), false));
            parts.push((text.get(found.range()).unwrap_or_default(), true));
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
        let mut marked = String::new();
        for (part, is_token) in self.split(&text) {
            if is_token {
                marked.push(START);
                marked.push_str(part);
                marked.push(END);
            } else {
                marked.push_str(part);
            }
        }
        marked
    }
}

/// Returns the tokens that occur in a template.
fn found_in(tokens: &[&str], templates: &[&str]) -> Result<HashSet<String>, String> {
    let pattern = automaton(tokens, MatchKind::Standard)?;
    let (mut found, mut count) = (HashSet::new(), 0);
    for at in templates.iter().flat_map(|template| pattern.find_overlapping_iter(template)) {
        count += 1;
        if count > MAX_FOUND {
            return Err("the template has too many, which overlap".to_owned());
        }
        found.insert(at.pattern());
    }
    Ok(found.into_iter().filter_map(|at| tokens.get(at.as_usize())).map(|&token| token.to_owned()).collect())
}

fn automaton(tokens: impl IntoIterator<Item = impl AsRef<[u8]>>, kind: MatchKind) -> Result<AhoCorasick, String> {
    AhoCorasick::builder().match_kind(kind).build(tokens).map_err(|error| error.to_string())
}

impl Tokenizer {
    /// Returns the tokens that [`Self::encode_marked`] distinguishes from text.
    pub fn control_tokens(&self) -> Result<&ControlTokens> {
        let templates: Vec<&str> =
            [&self.config.template, &self.config.tool_template].into_iter().flatten().map(String::as_str).collect();
        templates.iter().try_for_each(|template| chat_template::check_length(template))?;
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
        limited(text_time(rendered.len()), late, || self.encode_parts(rendered))
    }

    fn encode_parts(&self, rendered: &str) -> Result<Vec<u32>> {
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
            // Each part has a time of its own, too.
            if is_over() {
                return Err(late());
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
