// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Text from a stream of token ids.

use std::sync::Arc;

use super::decoder::StreamDecoder;
use super::definition::Definition;
use crate::error::{Error, Result};

/// Converts token ids to text as they arrive. Special tokens are omitted, except for those to be kept.
///
/// No piece ends within a character, and the concatenated pieces equal the result of
/// [`super::Tokenizer::decode`] for all ids. The cost per id does not depend on the length of the text.
#[derive(Clone)]
pub struct StreamingDetokenizer {
    definition: Arc<Definition>,
    decoder: StreamDecoder,
    kept: Vec<String>,
    /// Special tokens within these are kept, too.
    stops: Vec<String>,
    clean_up: bool,
}

impl StreamingDetokenizer {
    pub(super) fn new(definition: Arc<Definition>, clean_up: bool) -> Self {
        let decoder = StreamDecoder::new(definition.get_decoder(), clean_up);
        Self { definition, decoder, kept: vec![], stops: vec![], clean_up }
    }

    /// Keeps these special tokens in the text, as spelled in the vocabulary.
    #[must_use]
    pub fn keeping(mut self, special_tokens: &[&str]) -> Self {
        self.kept.extend(special_tokens.iter().map(|&token| token.to_owned()));
        self
    }

    /// Keeps the special tokens that occur in one of these strings.
    #[must_use]
    pub fn keeping_those_in(mut self, stops: &[String]) -> Self {
        self.stops.extend_from_slice(stops);
        self
    }

    /// The spelling of a special token that is kept only because it occurs in a stop string.
    pub fn token_of_stop(&self, id: u32) -> Option<String> {
        if self.stops.is_empty() {
            return None;
        }
        let added = self.definition.get_added_vocabulary();
        let token = added.simple_id_to_token(id).filter(|token| added.is_special_token(token))?;
        (!self.kept.contains(&token) && self.is_in_stop(&token)).then_some(token)
    }

    fn is_in_stop(&self, token: &str) -> bool {
        self.stops.iter().any(|stop| stop.contains(token))
    }

    /// Adds the next token. Returns the text that is complete now, possibly none.
    ///
    /// An id without a token adds no text, as in decoding.
    pub fn push(&mut self, id: u32) -> Result<String> {
        let added = self.definition.get_added_vocabulary();
        let token = added.simple_id_to_token(id).or_else(|| self.definition.id_to_token(id));
        match token {
            Some(token) if !added.is_special_token(&token) || self.kept.contains(&token) || self.is_in_stop(&token) => {
                self.decoder.push(token).map_err(failed)
            }
            _ => Ok(String::new()),
        }
    }

    /// Returns what was held back, as at the end of the text; the following text is decoded as behind it, token by token.
    pub fn finish_part(&mut self) -> Result<String> {
        let rest = self.finish()?;
        self.decoder = self.decoder.clone().inside();
        Ok(rest)
    }

    /// Ends the text. Returns what was held back, with U+FFFD for incomplete characters.
    ///
    /// The detokenizer can then be used for another text.
    pub fn finish(&mut self) -> Result<String> {
        let rest = self.decoder.finish().map_err(failed)?;
        self.decoder = StreamDecoder::new(self.definition.get_decoder(), self.clean_up);
        Ok(rest)
    }
}

impl std::fmt::Debug for StreamingDetokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamingDetokenizer").finish_non_exhaustive()
    }
}

fn failed(error: tokenizers::Error) -> Error {
    Error::internal(format!("the tokens could not be decoded: {error}"))
}
