// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How far a file or a caller can make sizes and times grow. docs/limits.md lists these with those of lib/limits.ts, and the
//! errors.

use std::time::Duration;

/// A JSON or text file of a model's folder, except for the three below. A config has kilobytes.
pub const CONFIG_BYTES: u64 = 4 << 20;
/// An index of tensors, which has a hundred bytes for each.
pub const INDEX_BYTES: u64 = 64 << 20;
/// tokenizer.json, or vocab.json and merges.txt.
pub const TOKENIZER_BYTES: u64 = 256 << 20;
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
/// How much longer the normalizers may make a text.
pub const NORMALIZED_GROWTH: usize = 16;
/// Besides that, for what they put before a short text.
pub const NORMALIZED_MORE: usize = 256;
/// Tokens of one text.
pub const TEXT_TOKENS: usize = 1 << 21;

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

/// How long rendering a template, or tokenizing a text, may take. Both take some ten times less on a slow machine.
pub fn text_time(bytes: usize) -> Duration {
    Duration::from_secs(2) + Duration::from_micros(4 * bytes as u64)
}
