// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The tokens as bytes, for what decides byte by byte which token may come next.

use super::Tokenizer;
use super::decoder::StreamDecoder;
use crate::error::{Error, Result};

/// What a token adds to a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenText {
    Bytes(Vec<u8>),
    /// A control token, by its spelling.
    Control(String),
    /// The id has no token.
    Nothing,
}

impl Tokenizer {
    /// What each token with an id below `size` adds in the middle of a text; `None` if that depends on other tokens.
    pub fn token_texts(&self, size: usize) -> Result<Option<Vec<TokenText>>> {
        let control_tokens = self.control_tokens()?;
        let added = self.definition.get_added_vocabulary();
        let decoder = StreamDecoder::new(self.definition.get_decoder(), self.cleans_up());
        let text_of = |id| match added.simple_id_to_token(id) {
            Some(token) if control_tokens.contains(&token) => Ok(Some(TokenText::Control(token))),
            token => match token.or_else(|| self.definition.id_to_token(id)) {
                Some(token) => Ok(decoder.bytes(token)?.map(TokenText::Bytes)),
                None => Ok(Some(TokenText::Nothing)),
            },
        };
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        (0..size)
            .map(text_of)
            .collect::<tokenizers::Result<_>>()
            .map_err(|error| Error::internal(format!("the tokens could not be decoded: {error}")))
    }
}
