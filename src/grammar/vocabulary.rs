// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A model's tokens as llguidance sees them.

use std::sync::Arc;

use llguidance::toktrie::{INVALID_TOKEN, SimpleVob, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::tokenizer::{TokenText, Tokenizer};

/// In a word of a mask.
const BITS: usize = u32::BITS as usize;

/// The tokens in a tree by their bytes, and how text is divided into them.
pub struct Vocabulary {
    tokenizer: Arc<Tokenizer>,
    trie: TokTrie,
}

impl Vocabulary {
    /// May panic; see [`crate::tokenizer::isolate`].
    pub fn new(tokenizer: Arc<Tokenizer>, size: usize, eos_token_ids: &[u32]) -> Result<Self, String> {
        let texts = tokenizer.token_texts(size).map_err(|error| error.to_string())?;
        let texts = texts.ok_or("what its tokens mean depends on the tokens around them")?;
        let mut words: Vec<Vec<u8>> = texts.into_iter().map(word).collect();
        let eos: Vec<u32> = eos_token_ids.iter().copied().filter(|id| (*id as usize) < words.len()).collect();
        for id in &eos {
            // It ends the answer, even if it has a text.
            if let Some(word) = words.get_mut(*id as usize) {
                *word = control(tokenizer.id_to_token(*id).unwrap_or_default());
            }
        }
        let length = u32::try_from(words.len()).map_err(|error| error.to_string())?;
        let mut trie = TokTrie::from(&TokRxInfo::new(length, INVALID_TOKEN), &words);
        if !eos.is_empty() {
            trie = trie.with_eos_tokens(&eos);
        }
        Ok(Self { tokenizer, trie })
    }

    /// The tokens of a text, if they spell exactly that.
    fn encode(&self, text: &str) -> Option<Vec<TokenId>> {
        let encode = |text: &str| self.tokenizer.encode_splitting(text, false, true).ok();
        let exact = |tokens: &Vec<TokenId>| self.trie.decode_raw(tokens) == text.as_bytes();
        encode(text).filter(exact).or_else(|| {
            // SentencePiece adds a space at the start of a text, but not after a line break.
            let tokens = encode(&format!("\n{text}"))?;
            tokens.strip_prefix(encode("\n")?.as_slice()).map(<[_]>::to_vec).filter(exact)
        })
    }
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        // A tokenizer that normalizes text may have no tokens for it as it is; the longest ones that fit always spell it.
        let encode = |text: &str| self.encode(text).unwrap_or_else(|| self.trie.greedy_tokenize(text.as_bytes()));
        self.trie.tokenize_with_greedy_fallback(bytes, encode)
    }
}

fn word(text: TokenText) -> Vec<u8> {
    match text {
        TokenText::Bytes(bytes) => bytes,
        TokenText::Control(token) => control(token),
        TokenText::Nothing => Vec::new(),
    }
}

/// Control tokens are no text: the marker is a byte that no text has.
fn control(token: String) -> Vec<u8> {
    let mut word = vec![TokTrie::SPECIAL_TOKEN_MARKER];
    word.extend(token.into_bytes());
    word
}

/// The tokens that may come next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask(SimpleVob);

impl Mask {
    pub(super) fn new(set: SimpleVob) -> Self {
        Self(set)
    }

    /// All tokens.
    pub fn all(vocab_size: usize) -> Self {
        Self(SimpleVob::alloc_ones(vocab_size))
    }

    pub fn allow(&mut self, token: u32) {
        if (token as usize) < self.0.len() {
            self.0.allow_token(token);
        }
    }

    pub fn forbid(&mut self, token: u32) {
        if (token as usize) < self.0.len() {
            self.0.disallow_token(token);
        }
    }

    pub fn allows(&self, token: u32) -> bool {
        (token as usize) < self.0.len() && self.0.is_allowed(token)
    }

    /// A bit for each token, 32 in a word.
    pub fn words(&self) -> &[u32] {
        self.0.as_slice()
    }

    /// Returns one of two values for each of `size` tokens.
    pub fn choose<T: Copy>(&self, size: usize, allowed: T, forbidden: T) -> Vec<T> {
        let words = self.words();
        let mut values = vec![forbidden; words.len() * BITS];
        for (values, word) in values.chunks_exact_mut(BITS).zip(words) {
            for (bit, value) in values.iter_mut().enumerate() {
                *value = if word >> bit & 1 == 1 { allowed } else { forbidden };
            }
        }
        values.truncate(self.0.len());
        values.resize(size, forbidden);
        values
    }
}
