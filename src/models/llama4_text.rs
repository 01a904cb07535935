// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/llama4_text.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Llama 4's text model saved alone, and dense ones such as MobileLLM-R1.
//!
//! Differs from mlx-lm, which has dense layers and full attention only: all that [`super::llama4`] reads counts. The output
//! layer may be called `lm_head`, as transformers has it, or `output`.

use serde_json::{Map, Value};

use super::llama4::{self, Llama4};
use crate::{error::Result, weights::Weights};

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Llama4> {
    w.rename(|name| name.strip_prefix("output.").map(|part| format!("lm_head.{part}")));
    llama4::load_text(config, w)
}
