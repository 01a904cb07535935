// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/gemma4.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Differs from mlx-lm: keys and names as the chat template writes them, space between members, None.

//! `call:name{key:value,key:<|"|>text<|"|>}`

use super::Call;
use super::gemma::{self, Dialect};

const DIALECT: Dialect = Dialect { quote: "<|\"|>", words_are_text: false };

pub fn parse(body: &str) -> Option<Vec<Call>> {
    gemma::calls(body, DIALECT)
}
