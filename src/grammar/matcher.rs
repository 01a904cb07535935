// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How far an answer has got in its grammar.

use llguidance::TokenParser;

use super::Mask;
use crate::error::{Error, Result};

/// The state of one answer.
pub struct Matcher {
    name: &'static str,
    inner: llguidance::Matcher,
}

impl Matcher {
    /// # Errors
    /// `GrammarUnsupported` if no answer is possible.
    pub(super) fn new(name: &'static str, parser: TokenParser) -> Result<Self> {
        let mut this = Self { name, inner: llguidance::Matcher::new(Ok(parser)) };
        // The first mask tells whether the grammar has any answer, and warms the lexer up.
        this.inner.consume_tokens(&[]).map_err(|error| this.failed(&error))?;
        if !this.is_done() {
            this.mask()?;
        }
        Ok(this)
    }

    /// Whether the answer is whole and nothing can follow.
    pub fn is_done(&self) -> bool {
        self.inner.stop_reason().is_ok() && self.inner.is_stopped()
    }

    /// Adds the token that has come.
    ///
    /// # Errors
    /// `GrammarUnsupported` if the rest of the grammar is too complex.
    pub fn accept(&mut self, token: u32) -> Result<()> {
        self.inner.consume_token(token).map_err(|error| self.failed(&error))
    }

    /// Adds and returns the tokens that must come next, at most `limit`.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub fn force(&mut self, limit: usize) -> Result<Vec<u32>> {
        if self.is_done() {
            return Ok(Vec::new());
        }
        let mut tokens = self.inner.compute_ff_tokens();
        tokens.truncate(limit);
        // It returns none after an error, which this reports.
        self.inner.consume_tokens(&tokens).map_err(|error| self.failed(&error))?;
        Ok(tokens)
    }

    /// Returns the tokens that may come next, among them those that end the answer where it may end.
    ///
    /// # Errors
    /// `GrammarUnsupported` if the grammar is too complex at this point, or no token of the model can come next.
    pub fn mask(&mut self) -> Result<Mask> {
        self.inner.compute_mask().map(Mask::new).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &impl std::fmt::Display) -> Error {
        let message = match plain(&error.to_string()).as_str() {
            "NoExtensionBias" => "the model has no token that could come next".to_owned(),
            message => message.to_owned(),
        };
        Error::GrammarUnsupported { name: self.name, path: None, message }
    }
}

/// An error of llguidance's without the state and backtrace that it appends.
pub(super) fn plain(message: &str) -> String {
    let end = ["\n<state>", "\n<backtrace>", "\n<non-verbose/>"].iter().filter_map(|mark| message.find(mark)).min();
    message.get(..end.unwrap_or(message.len())).unwrap_or_default().trim().to_owned()
}
