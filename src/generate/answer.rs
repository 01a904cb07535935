// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Converts the tokens of a run to text, removes stop strings, and separates the answer from reasoning and tool calls.

#[cfg(test)]
mod tests;

use crate::{
    error::Result,
    generate::{Step, TokenLogprobs},
    tokenizer::{
        StopMatcher, StreamingDetokenizer,
        output::{OutputParser, Piece},
    },
};

/// A piece of the answer, and the tokens since the previous piece.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Whole characters.
    pub piece: Piece,
    pub tokens: Vec<u32>,
    /// One for each token, if they were requested.
    pub logprobs: Vec<TokenLogprobs>,
}

/// The answer of a run so far.
pub struct Answer {
    detokenizer: StreamingDetokenizer,
    stop: StopMatcher,
    parser: Option<OutputParser>,
    /// Tokens since the last chunk.
    unsent: (Vec<u32>, Vec<TokenLogprobs>),
    trim: Trim,
    is_value: bool,
    completion_tokens: usize,
    reasoning_tokens: usize,
    tool_calls: usize,
}

impl Answer {
    /// `stop`: strings that end the answer. Without a `parser` all of it is text, without special tokens.
    pub fn new(mut detokenizer: StreamingDetokenizer, stop: Vec<String>, parser: Option<OutputParser>) -> Self {
        detokenizer = detokenizer.keeping_those_in(&stop);
        if let Some(parser) = &parser {
            detokenizer = detokenizer.keeping(parser.markers());
        }
        Self {
            detokenizer,
            stop: StopMatcher::new(stop),
            parser,
            unsent: Default::default(),
            trim: Trim::default(),
            is_value: false,
            completion_tokens: 0,
            reasoning_tokens: 0,
            tool_calls: 0,
        }
    }

    /// Number of tokens so far.
    pub fn completion_tokens(&self) -> usize {
        self.completion_tokens
    }

    /// Number of reasoning tokens so far, including tags.
    pub fn reasoning_tokens(&self) -> usize {
        self.reasoning_tokens
    }

    /// Number of complete tool calls so far.
    pub fn tool_calls(&self) -> usize {
        self.tool_calls
    }

    /// Whether the next token is reasoning, according to the text so far.
    pub fn is_reasoning(&self) -> bool {
        self.parser.as_ref().is_some_and(OutputParser::is_reasoning)
    }

    /// Whether [`Self::begin_value`] was called.
    pub fn is_value(&self) -> bool {
        self.is_value
    }

    /// Adds a token; returns the stop string if one ends the answer here.
    pub fn push(&mut self, step: Step, emit: &mut impl FnMut(Chunk)) -> Result<Option<String>> {
        self.completion_tokens += 1;
        self.unsent.0.push(step.token);
        self.unsent.1.extend(step.logprobs);
        let was_reasoning = self.is_reasoning();
        let piece = self.detokenizer.push(step.token)?;
        let hidden = self.detokenizer.token_of_stop(step.token).filter(|token| piece.ends_with(token));
        let outcome = self.stop.push(&piece, hidden.map_or(0, |token| token.len()));
        self.take(&outcome.emit, emit);
        if was_reasoning || self.is_reasoning() {
            self.reasoning_tokens += 1;
        }
        if outcome.matched.is_some() {
            self.end(emit);
        }
        Ok(outcome.matched)
    }

    /// From here on all is text, as it is. Returns the stop string if one ends the answer here; none reaches across.
    pub fn begin_value(&mut self, emit: &mut impl FnMut(Chunk)) -> Result<Option<String>> {
        let outcome = self.stop.push(&self.detokenizer.finish_part()?, 0);
        self.take(&outcome.emit, emit);
        let held = self.stop.finish_part();
        self.take(&held, emit);
        let pieces = self.parser.take().as_mut().map(OutputParser::finish).unwrap_or_default();
        pieces.into_iter().for_each(|piece| self.send(piece, emit));
        self.trim = Trim::default();
        self.is_value = true;
        Ok(outcome.matched)
    }

    /// Ends the answer and emits the text that was held back, which may contain a stop string.
    pub fn finish(&mut self, emit: &mut impl FnMut(Chunk)) -> Result<Option<String>> {
        let outcome = self.stop.push(&self.detokenizer.finish()?, 0);
        self.take(&outcome.emit, emit);
        if outcome.matched.is_none() {
            let held = self.stop.finish();
            self.take(&held, emit);
        }
        self.end(emit);
        Ok(outcome.matched)
    }

    fn take(&mut self, text: &str, emit: &mut impl FnMut(Chunk)) {
        let pieces = match &mut self.parser {
            Some(parser) => parser.push(text),
            None => vec![Piece::Text(text.to_owned())],
        };
        pieces.into_iter().for_each(|piece| self.send(piece, emit));
    }

    fn end(&mut self, emit: &mut impl FnMut(Chunk)) {
        let pieces = self.parser.as_mut().map(OutputParser::finish).unwrap_or_default();
        pieces.into_iter().for_each(|piece| self.send(piece, emit));
        if !self.unsent.0.is_empty() {
            self.emit(Piece::Text(String::new()), emit);
        }
    }

    fn send(&mut self, piece: Piece, emit: &mut impl FnMut(Chunk)) {
        let piece = self.trim.apply(piece);
        self.tool_calls += usize::from(matches!(piece, Piece::ToolCall { .. }));
        if !matches!(&piece, Piece::Text(text) | Piece::Reasoning(text) if text.is_empty()) {
            self.emit(piece, emit);
        }
    }

    fn emit(&mut self, piece: Piece, emit: &mut impl FnMut(Chunk)) {
        let (tokens, logprobs) = std::mem::take(&mut self.unsent);
        emit(Chunk { piece, tokens, logprobs });
    }
}

/// Removes the line breaks with which models separate reasoning from the answer.
#[derive(Default)]
struct Trim {
    after_reasoning: bool,
    at_start: bool,
    /// Line breaks that may be the last ones of the reasoning.
    held: String,
}

impl Trim {
    fn apply(&mut self, piece: Piece) -> Piece {
        match piece {
            Piece::Reasoning(text) => {
                self.at_start |= !std::mem::replace(&mut self.after_reasoning, true);
                let mut text = std::mem::take(&mut self.held) + &self.cut(text);
                self.held = text.split_off(text.trim_end_matches('\n').len());
                Piece::Reasoning(text)
            }
            Piece::Text(text) => {
                self.at_start |= std::mem::replace(&mut self.after_reasoning, false);
                self.held.clear();
                Piece::Text(self.cut(text))
            }
            call => {
                *self = Self::default();
                call
            }
        }
    }

    fn cut(&mut self, text: String) -> String {
        if !self.at_start {
            return text;
        }
        let rest = text.trim_start_matches('\n');
        self.at_start = rest.is_empty();
        rest.to_owned()
    }
}
