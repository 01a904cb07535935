// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Answers that follow a JSON schema, a regular expression, a grammar or the schemas of functions: which tokens may come
//! next. llguidance decides; docs/decisions/constrained-output.md says how, and what is refused.

mod calls;
mod matcher;
mod pattern;
mod schema;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::sync::{Arc, OnceLock};

use llguidance::{
    ParserFactory,
    api::TopLevelGrammar,
    toktrie::{InferenceCapabilities, TokEnv},
};
use serde_json::Value;

use self::vocabulary::Vocabulary;
pub use self::{
    calls::{Calls, Extent},
    matcher::Matcher,
    vocabulary::Mask,
};
use crate::{
    error::{Error, Result},
    tokenizer::{Tokenizer, isolate},
    watch::Watch,
};

/// What an answer must follow.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A JSON schema.
    Schema(Value),
    /// A regular expression of JavaScript's, for the whole answer.
    Regex(String),
    /// A grammar in llguidance's dialect of Lark.
    Lark(String),
    /// Calls of functions.
    Calls(Calls),
}

impl Source {
    /// The option that it comes from.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Schema(_) => "schema",
            Self::Regex(_) => "regex",
            Self::Lark(_) => "grammar",
            Self::Calls(_) => "tools",
        }
    }
}

/// Longer texts take seconds to compile, or gigabytes.
const MAX_TEXT: usize = 256 << 10;
/// As deep as JSON from callers may be.
const STACK: usize = 16 << 20;
/// Each takes up to two kilobytes, for as long as the run lasts.
const MAX_LEXER_STATES: usize = 50_000;
/// Tokens of these characters are allowed or not as a whole, mostly those within a string of JSON, or a text in which no tag
/// may begin. Each such set takes a second copy of the vocabulary, so there is one, which saves the most.
const SLICE: &str = r#"[^"<\[\]\\\x00-\x1F\x7F]{1,30}"#;

/// Compiles grammars for the tokens of one model.
pub struct Grammars {
    tokenizer: Arc<Tokenizer>,
    vocab_size: usize,
    eos_token_ids: Vec<u32>,
    /// Made for the first grammar: it takes up to a second, and tens of megabytes.
    factory: OnceLock<Result<ParserFactory, String>>,
}

impl Grammars {
    /// `vocab_size`: number of logits; `eos_token_ids`: tokens that end an answer.
    pub fn new(tokenizer: Arc<Tokenizer>, vocab_size: usize, eos_token_ids: Vec<u32>) -> Self {
        Self { tokenizer, vocab_size, eos_token_ids, factory: OnceLock::new() }
    }

    /// Tokens that end an answer.
    pub fn eos_token_ids(&self) -> &[u32] {
        &self.eos_token_ids
    }

    /// Number of logits.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Compiles a grammar for one answer.
    ///
    /// # Errors
    /// `GrammarUnsupported`.
    pub fn compile(&self, source: Source) -> Result<Matcher> {
        let name = source.name();
        let unsupported = |message: String| Error::GrammarUnsupported { name, path: None, message };
        let factory =
            // It is for later runs as well, whatever becomes of this one.
            self.factory.get_or_init(|| Watch::default().over(|| self.make_factory())).as_ref().map_err(|message| {
                unsupported(format!("this model's tokenizer cannot be held to a grammar: {message}"))
            })?;
        let at = |schema::Problem { path, message }| Error::GrammarUnsupported { name, path: Some(path), message };
        let of_schema = matches!(source, Source::Schema(_) | Source::Calls(_));
        let mut suspects = Vec::new();
        let grammar = match source {
            Source::Schema(schema) => {
                check_size(schema.to_string().len()).map_err(unsupported)?;
                let (schema, found) = schema::prepare(schema).map_err(at)?;
                suspects = found;
                TopLevelGrammar::from_json_schema(schema)
            }
            Source::Regex(regex) => {
                check_size(regex.len()).map_err(unsupported)?;
                TopLevelGrammar::from_regex(&pattern::translate(&regex).map_err(unsupported)?)
            }
            Source::Lark(text) => {
                check_size(text.len()).map_err(unsupported)?;
                TopLevelGrammar::from_lark(text)
            }
            Source::Calls(calls) => {
                let (text, found) = calls.written(&self.tokenizer).map_err(|refusal| match refusal {
                    calls::Refusal::Problem(problem) => at(problem),
                    calls::Refusal::Error(error) => error,
                })?;
                check_size(text.len()).map_err(unsupported)?;
                suspects = found;
                TopLevelGrammar::from_lark(text)
            }
        };
        let parser = isolate::run(STACK, || factory.create_parser(grammar).map_err(|error| format!("{error:#}")));
        match parser.and_then(|result| result) {
            Ok(parser) => Matcher::new(name, parser),
            Err(message) => {
                let suspect = suspects.into_iter().find(|suspect| message.contains(&suspect.clue));
                let reason = matcher::plain(&message);
                let reason = if of_schema { schema::named(&reason) } else { reason };
                Err(suspect.map_or_else(|| unsupported(reason), |suspect| at(suspect.problem)))
            }
        }
    }

    fn make_factory(&self) -> Result<ParserFactory, String> {
        let make = || {
            let vocabulary = Vocabulary::new(Arc::clone(&self.tokenizer), self.vocab_size, &self.eos_token_ids)?;
            let env: TokEnv = Arc::new(vocabulary);
            let capabilities = InferenceCapabilities { ff_tokens: true, ..InferenceCapabilities::default() };
            let mut factory = ParserFactory::new(&env, capabilities, &[SLICE.to_owned()])
                .map_err(|error| matcher::plain(&error.to_string()))?;
            factory.quiet();
            let limits = factory.limits_mut();
            limits.max_lexer_states = MAX_LEXER_STATES;
            limits.verbose_errors = false;
            Ok(factory)
        };
        isolate::run(STACK, make).and_then(|result| result)
    }
}

fn check_size(length: usize) -> Result<(), String> {
    if length <= MAX_TEXT { Ok(()) } else { Err(format!("has {length} characters, more than the limit of {MAX_TEXT}")) }
}
