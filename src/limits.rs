// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How far a file or a caller can make sizes and times grow. docs/limits.md lists these with those of lib/limits.ts, and the
//! errors.

use std::time::Duration;

/// A JSON or text file of a model's folder, except for the three below. A config has kilobytes.
pub const CONFIG_BYTES: u64 = 4 << 20;
/// An index of tensors, which has a hundred bytes for each.
pub const INDEX_BYTES: u64 = 64 << 20;
/// tokenizer.json, or vocab.json and merges.txt. Those in use have up to 33 MB.
pub const TOKENIZER_BYTES: u64 = 64 << 20;
/// Added tokens of tokenizer.json. Models of speech have some 65,000.
pub const ADDED_TOKENS: usize = 1 << 17;
/// The header of a weight file, as in the safetensors crate.
pub const HEADER_BYTES: u64 = 100_000_000;
/// Tensors of a model. Those of a mixture of experts that are not joined yet are the most, some 75,000.
pub const TENSORS: usize = 1 << 17;
/// Tensors of an adapter, which MLX gets in one turn.
pub const ADAPTER_TENSORS: usize = 1 << 14;
/// Tensors that are handed to MLX in one turn of the engine, which other models wait for.
pub const TENSORS_PER_TURN: usize = 1 << 12;
/// Dimensions of a tensor; MLX's shapes are 32-bit.
pub const RANK: usize = 8;
/// Tokens that end an answer.
pub const EOS_TOKENS: usize = 1 << 10;

/// Letters of a word that WordPiece takes apart, in cubic time.
pub const WORD_LETTERS: u64 = 256;
/// Tokens of one text, and parts that it is split into.
pub const TEXT_TOKENS: usize = 1 << 20;
/// Bytes that a decoder can make of the tokens that are decoded together.
pub const DECODED_BYTES: usize = 1 << 25;
/// Steps back of a regular expression until it matches once. Those of tokenizers in use take a few, and six
/// for each character in a row of those that no branch matches, such as control characters.
pub const REGEX_STEPS: usize = 100_000;

/// No tokenizer packs more text than this into a token on average: more cannot fit the context.
const CHARACTERS_PER_TOKEN: usize = 64;
const MIN_CHARACTERS: usize = 1 << 20;
const MAX_CHARACTERS: usize = 1 << 24;

/// Characters of a rendered prompt.
pub fn prompt_characters(context_length: usize) -> usize {
    context_length.saturating_mul(CHARACTERS_PER_TOKEN).clamp(MIN_CHARACTERS, MAX_CHARACTERS)
}

/// How long reading the files of a model may take, without the weights.
pub const LOADING_TIME: Duration = Duration::from_secs(120);
/// Threads that read the files of models.
pub const LOADING_THREADS: usize = 4;
/// Threads that render and tokenize for one model.
pub const TEXT_THREADS: usize = 4;

/// How many bytes the normalizers may add to a text of this many. A space that becomes `▁` has three.
pub fn normalized_more(bytes: usize) -> usize {
    bytes.saturating_mul(3).saturating_add(1 << 16)
}

/// How long the processor may work to render a template, or to tokenize a text. Published tokenizers take 0.2 to 0.6 µs for a
/// byte of prose, code or JSON, and 1 µs where each byte is a token. The more for each byte over a megabyte lets slow processors
/// read long texts, too.
pub fn text_time(bytes: usize) -> Duration {
    let (first, more) = (bytes.min(1 << 20), bytes.saturating_sub(1 << 20));
    Duration::from_millis(750) + Duration::from_nanos(750 * first as u64 + 3000 * more as u64)
}

/// How much longer a call waits for work that should have ended: it looks at the time only between its steps.
pub const GRACE: Duration = Duration::from_millis(200);
