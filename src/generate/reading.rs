// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Reading texts for numbers instead of an answer: embeddings, and the logits of single tokens.

use std::{rc::Rc, time::Instant, vec::IntoIter};

use mlx_rs::{Array, Dtype, transforms};

use super::tokens::{check_ids, length, token_array};
use crate::{
    cache::Caches,
    error::{Error, Result},
    mlx,
    models::LoadedModel,
    nn::TextLength,
};

/// What is read of a text.
#[derive(Debug, Clone)]
pub enum Readout {
    /// The mean of the hidden states, without those of the first tokens.
    Mean { skip: usize },
    /// The hidden state of the last token.
    Last,
    /// The logits of these tokens behind the last one.
    Logits(Vec<u32>),
}

/// Texts that are being read, one after the other, in passes of about a second at most.
pub struct Reading {
    model: Rc<LoadedModel>,
    readout: Readout,
    texts: IntoIter<Vec<u32>>,
    current: Option<Text>,
    results: Vec<Vec<f32>>,
    passes: u64,
}

/// The text that is being read.
struct Text {
    tokens: Vec<u32>,
    cache: Caches,
    processed: usize,
    /// Of the hidden states so far, (1, 1, D).
    sum: Option<Array>,
}

impl Reading {
    /// # Errors
    /// `InvalidArgValue` for an empty text, or one of which nothing is left to take the mean of, or `OutOfRange` for an id
    /// without an embedding.
    pub fn new(model: Rc<LoadedModel>, texts: Vec<Vec<u32>>, readout: Readout) -> Result<Self> {
        let vocab_size = model.info.vocab_size;
        for (index, text) in texts.iter().enumerate() {
            let skipped = if let Readout::Mean { skip } = readout { skip } else { 0 };
            if text.len() <= skipped {
                let (name, message) = (format!("texts[{index}]"), "has no tokens".to_owned());
                return Err(Error::InvalidArgValue { name, message });
            }
            check_ids(|token| format!("texts[{index}][{token}]"), text.iter().copied(), vocab_size)?;
        }
        if let Readout::Logits(ids) = &readout {
            check_ids(|index| format!("logits[{index}]"), ids.iter().copied(), vocab_size)?;
        }
        Ok(Self { model, readout, texts: texts.into_iter(), current: None, results: Vec::new(), passes: 0 })
    }

    /// Bytes of the caches of the longest text. Only before the first pass.
    pub fn cache_bytes(&self) -> u64 {
        let longest = self.texts.as_slice().iter().map(Vec::len).max().unwrap_or(0);
        self.model.info.cache_sizes.bytes(longest as u64, None, None)
    }

    /// Number of passes through the model so far.
    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// Makes the next pass. Returns the numbers of all texts once there is none left.
    ///
    /// # Errors
    /// `NonFiniteLogits` if a number is not finite.
    pub fn advance(&mut self) -> Result<Option<Vec<Vec<f32>>>> {
        let mut text = match self.current.take() {
            Some(text) => text,
            None => match self.texts.next() {
                Some(tokens) => {
                    Text { tokens, cache: self.model.model.make_prompt_cache(None), processed: 0, sum: None }
                }
                None => return Ok(Some(std::mem::take(&mut self.results))),
            },
        };
        let (start, tokens) = (Instant::now(), self.model.pace.tokens(text.tokens.len() - text.processed));
        let result = self.pass(&mut text, tokens)?;
        self.passes += 1;
        if text.processed < text.tokens.len() {
            let sum = text.sum.as_ref();
            transforms::eval(text.cache.iter().flat_map(|cache| cache.state()).chain(sum))?;
            self.model.pace.took(tokens, start.elapsed());
            mlx_rs::memory::clear_cache()?;
            self.current = Some(text);
            return Ok(None);
        }
        let numbers = result.as_dtype(Dtype::Float32)?.reshape(&[-1])?.contiguous()?.to_vec_exact::<f32>()?;
        if let Some(message) = mlx::take_failure() {
            return Err(Error::internal(message));
        }
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(Error::NonFiniteLogits { step: 0 });
        }
        self.results.push(numbers);
        if !self.texts.as_slice().is_empty() {
            return Ok(None);
        }
        mlx_rs::memory::clear_cache()?;
        Ok(Some(std::mem::take(&mut self.results)))
    }

    /// Processes the next `tokens` tokens of a text, and returns what it has been read for so far.
    fn pass(&self, text: &mut Text, tokens: usize) -> Result<Array> {
        let model = self.model.model.as_ref();
        let (start, total) = (text.processed, text.tokens.len());
        let end = total.min(start + tokens);
        let tokens = token_array(text.tokens.get(start..end).unwrap_or_default());
        text.processed = end;
        let _length = TextLength::of(total);
        match &self.readout {
            Readout::Last => model.last_hidden_state(&tokens, &mut text.cache),
            Readout::Logits(ids) => {
                let hidden = model.last_hidden_state(&tokens, &mut text.cache)?;
                if end < total {
                    return Ok(hidden);
                }
                Ok(model.logits(&hidden)?.take_axis(Array::from_slice(ids, &[length(ids)]), 2)?)
            }
            Readout::Mean { skip } => {
                let hidden = model.hidden_states(&tokens, &mut text.cache)?.as_dtype(Dtype::Float32)?;
                let skipped = i32::try_from(skip.saturating_sub(start).min(end - start)).unwrap_or(i32::MAX);
                let counted = mlx::slice_axis(&hidden, 1, skipped, mlx::dim(&hidden, 1))?;
                let sum = counted.sum_axes(&[1], true)?;
                let sum = text.sum.take().map_or_else(|| Ok(sum.clone()), |before| before.add(&sum))?;
                text.sum = Some(sum.clone());
                Ok(sum.divide(mlx::scalar((total - skip) as f32, Dtype::Float32)?)?)
            }
        }
    }
}
