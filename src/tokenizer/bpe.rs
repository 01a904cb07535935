// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The BPE model of tokenizer.json. The tokenizers crate first collects all merges as untyped values, since they may be
//! written in two ways; here each is read directly.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokenizers::models::bpe::{BPE, Vocab};

use super::limits;

/// Number of words whose tokens each thread caches per tokenizer, until the thread ends.
const CACHED_WORDS: usize = 2000;

/// Everything except dropout, which is for training: with it, equal texts would get different tokens.
#[derive(Deserialize)]
pub struct File {
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
    vocab: Vocab,
    merges: Vec<Merge>,
}

/// Two tokens that are merged; `None` for a version line.
struct Merge(Option<(String, String)>);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("two tokens, as a list or separated by a space")
            }

            fn visit_str<E: Error>(self, line: &str) -> Result<Merge, E> {
                if line.starts_with("#version") {
                    return Ok(Merge(None));
                }
                match line.split_once(' ') {
                    Some((first, second)) if !second.contains(' ') => {
                        Ok(Merge(Some((first.to_owned(), second.to_owned()))))
                    }
                    _ => Err(E::custom(format!("the merge '{line}' does not consist of two tokens"))),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Merge, A::Error> {
                let first = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let second = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                Ok(Merge(Some((first, second))))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl File {
    pub fn parse(json: &str) -> tokenizers::Result<Self> {
        Ok(serde_json::from_str(json)?)
    }

    /// Returns the model, its largest id, and the length of its longest token. May panic; see [`super::isolate`].
    pub fn build(self) -> tokenizers::Result<(BPE, u32, usize)> {
        let longest = limits::check_tokens(self.vocab.keys())?;
        let largest_id = self.vocab.values().copied().max().unwrap_or(0);
        let merges = self.merges.into_iter().filter_map(|Merge(pair)| pair).collect();
        let mut builder = BPE::builder()
            .vocab_and_merges(self.vocab, merges)
            .fuse_unk(self.fuse_unk.unwrap_or_default())
            .byte_fallback(self.byte_fallback.unwrap_or_default())
            .ignore_merges(self.ignore_merges.unwrap_or_default())
            .cache_capacity(CACHED_WORDS);
        if let Some(prefix) = self.continuing_subword_prefix {
            builder = builder.continuing_subword_prefix(prefix);
        }
        let mut bpe = builder.build()?;
        bpe.unk_token = self.unk_token;
        bpe.end_of_word_suffix = self.end_of_word_suffix;
        Ok((bpe, largest_id, longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_merges(merges: &str) -> tokenizers::Result<(BPE, u32, usize)> {
        let json = format!(
            r#"{{"type":"BPE","dropout":0.5,"unk_token":"a","fuse_unk":true,"continuing_subword_prefix":null,
            "vocab":{{"a":0,"b":1,"ab":2}},"merges":{merges}}}"#
        );
        File::parse(&json)?.build()
    }

    #[test]
    fn merges_may_be_written_in_two_ways() {
        let (pairs, largest_id, longest) = with_merges(r#"[["a","b"]]"#).unwrap();
        assert_eq!((largest_id, longest), (2, 2));
        assert_eq!((pairs.dropout, pairs.unk_token.as_deref(), pairs.fuse_unk), (None, Some("a"), true));
        assert_eq!(pairs, with_merges(r##"["#version: 0.2","a b"]"##).unwrap().0);
        assert_ne!(pairs, with_merges("[]").unwrap().0);
    }

    #[test]
    fn malformed_merges_are_rejected() {
        for merges in ["3", "[3]", r#"["ab"]"#, r#"["a b ab"]"#, r#"[["a"]]"#, r#"[["a","b","ab"]]"#, r#"[["a","c"]]"#]
        {
            assert!(with_merges(merges).is_err(), "{merges}");
        }
    }
}
