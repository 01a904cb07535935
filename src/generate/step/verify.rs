// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/generate.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! `speculative_generate_step`: one pass over the last token and guesses of those behind it. From the result of each, the
//! next token is drawn as without guesses; as long as that is the one that was guessed, the pass holds for one more token
//! (docs/decisions/speculative-decoding.md).

#[cfg(test)]
mod tests;

use mlx_rs::{Array, Dtype, ops::concatenate, transforms};

use super::{Pending, PendingLogprobs, Steps, token_array};
use crate::{
    cache::Cache,
    error::{Error, Result},
    generate::{PromptCache, speculation::Speculation},
    mlx,
    nn::TextLength,
    sample_utils::sample,
};

/// The caches that cannot undo a pass, by their index, as they were before it.
pub(super) struct Copies {
    /// Number of tokens in them.
    tokens: usize,
    caches: Vec<(usize, Box<dyn Cache>)>,
}

impl Steps {
    /// Makes passes check guesses. Only before the first pass.
    pub fn speculate(&mut self, speculation: Speculation) {
        self.speculation = Some(speculation);
    }

    /// Number of guesses, and of those that were right.
    pub fn guesses(&self) -> (usize, usize) {
        self.speculation.as_ref().map_or((0, 0), Speculation::counts)
    }

    /// As [`Self::common_with`], for the caches of a run of the draft model.
    pub fn draft_common_with(&self, left: &PromptCache) -> usize {
        let draft = self.speculation.as_ref().and_then(Speculation::draft);
        draft.map_or(0, |draft| draft.common_with(left, &self.text))
    }

    /// As [`Self::reuse`], for the draft model.
    pub fn reuse_for_draft(&mut self, left: PromptCache) {
        if self.draft_common_with(&left) > 0
            && let Some(draft) = self.speculation.as_mut().and_then(Speculation::draft_mut)
        {
            draft.reuse(left, &self.text);
        }
    }

    /// Limits the tokens of the next pass to what is left to generate.
    pub fn limit(&mut self, left: usize) {
        self.room = left.saturating_sub(1);
    }

    /// Returns the caches of the draft model, if there is one; see [`Self::into_prompt_cache`].
    pub fn take_draft_cache(&mut self) -> Result<Option<PromptCache>> {
        self.speculation.take().map_or(Ok(None), Speculation::into_prompt_cache)
    }

    /// Guesses the tokens behind the text. There are none unless a single token is left to process: what had to be taken
    /// back otherwise would grow from pass to pass.
    pub(super) fn guess(&mut self) -> Result<Vec<u32>> {
        let total = self.text.len();
        if self.drawn == 0 || self.processed + 1 != total {
            return Ok(Vec::new());
        }
        let most = self.most_guesses();
        let Some(speculation) = &mut self.speculation else { return Ok(Vec::new()) };
        let mut guesses = speculation.guess(&self.text, most, self.drawn)?;
        // A draft model may have more ids than this one.
        let known = guesses.iter().take_while(|id| (**id as usize) < self.model.info.vocab_size).count();
        guesses.truncate(known);
        Ok(guesses)
    }

    /// Whether a later pass can have guesses: not once a bounded cache is full, or dynamic RoPE depends on the length.
    pub(super) fn may_guess(&self) -> bool {
        let has_room = self.cache.iter().all(|cache| cache.at_once() > 1);
        has_room && self.model.info.dynamic_rope_limit.is_none_or(|limit| self.text.len() < limit)
    }

    /// Maximum number of guesses with which a pass does the same as one for each token.
    fn most_guesses(&self) -> usize {
        let total = self.text.len();
        // Where a text is rotated in another way, or a cache is quantized.
        let rotation = (!self.is_long).then_some(self.model.info.long_rope_limit).flatten();
        let dynamic = self.model.info.dynamic_rope_limit;
        let start = self.options.kv_quantization().and_then(|wanted| usize::try_from(wanted.start).ok());
        let borders = [rotation, dynamic, start.filter(|start| self.processed < *start)];
        let to_border = borders.into_iter().flatten().map(|border| border.saturating_sub(total)).min();
        let at_once = self.cache.iter().map(|cache| cache.at_once()).min().unwrap_or(i32::MAX);
        let in_caches = usize::try_from(at_once - 1).unwrap_or(0);
        self.room.min(in_caches).min(to_border.unwrap_or(usize::MAX))
    }

    /// Processes the last token of the text and the guesses, and draws what follows each of them, up to the first that is
    /// wrong.
    pub(super) fn verify(&mut self, guesses: &[u32]) -> Result<()> {
        let total = self.text.len();
        let kept = self.cache.iter().enumerate().filter(|(_, cache)| !cache.can_undo());
        let caches: Vec<_> = kept.map(|(index, cache)| (index, cache.clone())).collect();
        self.copies = (!caches.is_empty()).then_some(Copies { tokens: self.processed, caches });
        let mut text = self.text.clone();
        text.extend(guesses);
        let _length = TextLength::of(text.len());
        let tokens = token_array(text.get(self.processed..).unwrap_or_default());
        let hidden = self.model.model.hidden_states(&tokens, &mut self.cache)?;
        let logits = self.model.model.logits(&hidden)?.squeeze_axes(&[0])?;
        self.passes += 1;
        self.processed = text.len();
        let logits = self.penalized(logits, &text)?;
        let logsumexp = mlx::logsumexp(&logits)?;
        let logprobs = logits.subtract(&logsumexp)?;
        let logsumexp = logsumexp.as_dtype(Dtype::Float32)?;
        let drawn = self.sampled(&logprobs)?;
        transforms::eval([&drawn, &logsumexp])?;
        let (drawn, sums) = (drawn.to_vec_exact::<u32>()?, logsumexp.to_vec_exact::<f32>()?);
        let right = drawn.iter().zip(guesses).take_while(|(ours, guess)| ours == guess).count();
        for (row, (token, sum)) in (0..).zip(drawn.into_iter().zip(sums).take(right + 1)) {
            let token = Array::from_slice(&[token], &[1]);
            let report = |top| PendingLogprobs::of(&mlx::slice_axis(&logprobs, 0, row, row + 1)?, &token, top);
            let logprobs = self.options.logprobs.map(report).transpose()?;
            self.pending.push_back(Pending { token, logsumexp: Array::from_slice(&[sum], &[1, 1]), logprobs });
        }
        self.drawn += right as u64 + 1;
        self.rewind(total + right)?;
        self.quantize_cache()?;
        if let Some(speculation) = &mut self.speculation {
            speculation.learn(guesses.len(), right);
        }
        Ok(())
    }

    /// Applies the processors, where there are any. logits: (rows, vocabulary), the last of them behind the whole text.
    fn penalized(&self, logits: Array, text: &[u32]) -> Result<Array> {
        if self.processors.is_empty() {
            return Ok(logits);
        }
        let rows = mlx::dim(&logits, 0);
        let before = text.len() + 1 - usize::try_from(rows).unwrap_or(0);
        let row = |(row, end): (i32, usize)| match self.processors.history(text.get(..end).unwrap_or_default()) {
            Some(history) => self.processors.apply(&history, &mlx::slice_axis(&logits, 0, row, row + 1)?),
            None => mlx::slice_axis(&logits, 0, row, row + 1),
        };
        let rows: Vec<Array> = (0..rows).zip(before..).map(row).collect::<Result<_>>()?;
        Ok(concatenate(&rows, 0)?)
    }

    /// Draws from each row with the random numbers of its step. logprobs: (rows, vocabulary) → (rows,)
    fn sampled(&self, logprobs: &Array) -> Result<Array> {
        if self.options.temperature.unwrap_or_default() == 0.0 {
            return sample(&self.options, logprobs, self.drawn);
        }
        let row = |(row, step)| sample(&self.options, &mlx::slice_axis(logprobs, 0, row, row + 1)?, step);
        let rows = (0..mlx::dim(logprobs, 0)).zip(self.drawn..);
        Ok(concatenate(&rows.map(row).collect::<Result<Vec<Array>>>()?, 0)?)
    }

    /// Takes tokens of the last pass out of the caches, so that at most `tokens` stay. What cannot be taken out of a
    /// recurrent state goes back to where it was before the pass.
    pub(super) fn rewind(&mut self, tokens: usize) -> Result<()> {
        if self.processed <= tokens {
            return Ok(());
        }
        let copies = self.copies.take().unwrap_or(Copies { tokens, caches: Vec::new() });
        let to = copies.tokens;
        let surplus = i32::try_from(self.processed - to).unwrap_or(i32::MAX);
        let mut copies = copies.caches.into_iter().peekable();
        for (index, cache) in self.cache.iter_mut().enumerate() {
            match copies.next_if(|(copied, _)| *copied == index) {
                Some((_, copy)) => *cache = copy,
                None if cache.undo(surplus)? => {}
                None => return Err(Error::internal("a cache kept the tokens of wrong guesses")),
            }
        }
        self.processed = to;
        Ok(())
    }
}
