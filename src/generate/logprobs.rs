// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The log-probabilities of tokens that were drawn.

use mlx_rs::{Array, Dtype, ops::argpartition_axis};

use crate::{
    error::{Error, Result},
    mlx,
};

/// Natural logarithms of probabilities, after the processors and before filters and temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprobs {
    pub token: f32,
    /// The likeliest tokens, best first.
    pub top: Vec<(u32, f32)>,
}

impl TokenLogprobs {
    /// Those of a token that had to come. `top`: number of the likeliest tokens that were asked for.
    pub fn certain(token: u32, top: i32) -> Self {
        Self { token: 0.0, top: if top > 0 { vec![(token, 0.0)] } else { vec![] } }
    }
}

/// Log-probabilities that the device may still be computing.
pub struct PendingLogprobs {
    /// (1, vocabulary)
    all: Array,
    /// (1, 1)
    token: Array,
    /// (1, n) each, in no particular order; none for n = 0.
    top: Option<(Array, Array)>,
}

impl PendingLogprobs {
    /// logprobs: (1, vocabulary), token: (1,)
    pub fn of(logprobs: &Array, token: &Array, top: i32) -> Result<Self> {
        let vocabulary = mlx::dim(logprobs, 1);
        let top = top.min(vocabulary - 1);
        let best = if top > 0 {
            let order = argpartition_axis(logprobs, -top, -1)?;
            let ids = mlx::slice_axis(&order, -1, vocabulary - top, vocabulary)?;
            let values = logprobs.take_along_axis(&ids, -1)?;
            Some((ids, values))
        } else {
            None
        };
        Ok(Self { token: of_token(logprobs, token)?, all: logprobs.clone(), top: best })
    }

    /// Reports the log-probability of another token, (1,), instead of the sampled one.
    pub fn choose(&mut self, token: &Array) -> Result<()> {
        self.token = of_token(&self.all, token)?;
        Ok(())
    }

    pub fn arrays(&self) -> impl Iterator<Item = &Array> {
        std::iter::once(&self.token).chain(self.top.iter().flat_map(|(ids, values)| [ids, values]))
    }

    /// With `only_possible`, without tokens that cannot come.
    pub fn read(self, only_possible: bool) -> Result<TokenLogprobs> {
        let mut top = Vec::new();
        if let Some((ids, values)) = &self.top {
            let failed = |error: mlx_rs::error::ConversionError| Error::internal(error.to_string());
            let ids = ids.to_vec_exact::<u32>().map_err(failed)?;
            let values = values.as_dtype(Dtype::Float32)?.to_vec_exact::<f32>().map_err(failed)?;
            top = ids.into_iter().zip(values).collect();
            top.retain(|(_, logprob)| !only_possible || *logprob > f32::NEG_INFINITY);
            top.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(a.cmp(b)));
        }
        Ok(TokenLogprobs { token: number(&self.token)?, top })
    }
}

/// logprobs: (1, vocabulary), token: (1,) → (1, 1)
fn of_token(logprobs: &Array, token: &Array) -> Result<Array> {
    Ok(logprobs.take_along_axis(token.reshape(&[1, 1])?, -1)?)
}

/// Reads an array of one float.
pub fn number(array: &Array) -> Result<f32> {
    Ok(match array.dtype() {
        Dtype::Bfloat16 => array.try_item_exact::<half::bf16>()?.to_f32(),
        Dtype::Float16 => array.try_item_exact::<half::f16>()?.to_f32(),
        _ => array.try_item_exact::<f32>()?,
    })
}
