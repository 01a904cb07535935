// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/generate.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Passes over the prompt.

use std::time::Instant;

use mlx_rs::transforms;

use super::{Steps, token_array};
use crate::{cache::check_kv_quantization, error::Result, nn::TextLength};

/// Number of prompt tokens in a pass with a cache that loses something.
const LOSSY_CHUNK: usize = 512;

impl Steps {
    /// Processes the next chunk of the prompt, or of the text if it has to be read again. The last one also submits the next
    /// token.
    pub fn prefill(&mut self) -> Result<()> {
        self.copies = None;
        let guesses = self.guess()?;
        if !guesses.is_empty() {
            return self.verify(&guesses);
        }
        let start = Instant::now();
        let total = self.text.len();
        let tokens = match self.options.prefill_step_size {
            Some(tokens) => tokens,
            // What is in the cache depends on it.
            None if self.is_lossy() => LOSSY_CHUNK,
            None => self.model.pace.tokens(total - self.processed),
        };
        let mut end = total.min(self.processed + tokens);
        // Otherwise its logits would not be mlx-lm's, which processes the last prompt token separately.
        if self.is_lossy() && end == total && self.processed + 1 < total {
            end -= 1;
        }
        let chunk = token_array(self.text.get(self.processed..end).unwrap_or_default());
        let _length = TextLength::of(total);
        let hidden = self.model.model.last_hidden_state(&chunk, &mut self.cache)?;
        self.passes += 1;
        self.processed = end;
        // Caches of another run have been checked by that one, and may be quantized already.
        if let (1, 0, Some(wanted)) = (self.passes, self.cached, self.options.kv_quantization()) {
            check_kv_quantization(&self.cache, wanted)?;
        }
        let may_guess = self.may_guess();
        if let Some(speculation) = &mut self.speculation {
            if may_guess {
                speculation.read(&self.text, end)?;
            }
            self.history = self.processors.history(&self.text);
        }
        if end == total {
            self.proceed(hidden)?;
        } else {
            self.quantize_cache()?;
            transforms::eval(self.cache.iter().flat_map(|cache| cache.state()))?;
            if self.options.prefill_step_size.is_none() && !self.is_lossy() {
                self.model.pace.took(tokens, start.elapsed());
            }
            mlx_rs::memory::clear_cache()?;
        }
        Ok(())
    }

    /// Whether the cache loses something, so that results depend on the passes.
    fn is_lossy(&self) -> bool {
        self.options.max_kv_size.is_some() || self.options.kv_bits.is_some()
    }
}
