// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/generate.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! A second model, whose answers are guesses of the first one's.

use std::{rc::Rc, time::Instant};

use mlx_rs::{Array, ops::concatenate, transforms};

use super::step::counts_as_long;
use super::tokens::token_array;
use crate::{
    cache::{Caches, can_trim_prompt_cache, trim_prompt_cache},
    error::Result,
    generate::PromptCache,
    mlx,
    models::LoadedModel,
    nn::TextLength,
    options::RunOptions,
    sample_utils::{LogitsProcessors, sample},
};

/// A draft model, and what it has read.
pub struct Draft {
    model: Rc<LoadedModel>,
    /// Those of the run, without ids that this model does not have.
    options: RunOptions,
    processors: LogitsProcessors,
    cache: Caches,
    /// The tokens in the cache.
    tokens: Vec<u32>,
    is_long: bool,
    /// The caches before the last guesses, if these cannot be trimmed, and the number of tokens in them.
    copy: Option<(usize, Caches)>,
}

impl Draft {
    pub fn new(model: Rc<LoadedModel>, options: &RunOptions) -> Self {
        let mut options = options.clone();
        let rows = model.info.vocab_size;
        options.logit_bias.retain(|(id, _)| (*id as usize) < rows);
        options.xtc_special_tokens.retain(|id| (*id as usize) < rows);
        Self {
            cache: model.model.make_prompt_cache(None),
            processors: LogitsProcessors::new(&options),
            model,
            options,
            tokens: Vec::new(),
            is_long: false,
            copy: None,
        }
    }

    /// Number of tokens that [`Self::reuse`] would take from the caches of a run of this model.
    pub fn common_with(&self, left: &PromptCache, text: &[u32]) -> usize {
        let is_alike = left.kind() == (counts_as_long(&self.model, text.len()), None, None);
        if is_alike { left.common_with(text) } else { 0 }
    }

    /// Starts from the caches of another run.
    pub fn reuse(&mut self, left: PromptCache, text: &[u32]) {
        if let Some(left) = left.trim_to_prefix_of(text) {
            (self.cache, self.tokens, self.is_long) = (left.caches, left.tokens, left.is_long);
        }
    }

    /// Number of tokens of the next pass, where so many are left to read.
    fn chunk(&self, left: usize) -> usize {
        self.options.prefill_step_size.unwrap_or_else(|| self.model.pace.tokens(left))
    }

    /// Reads the next chunk of a text, up to `end` at most.
    pub fn read(&mut self, text: &[u32], end: usize) -> Result<()> {
        let start = Instant::now();
        let follows = self.follow(text)?;
        let left = end.saturating_sub(self.tokens.len());
        let tokens = left.min(self.chunk(left));
        if follows && tokens > 0 {
            self.pass(text, self.tokens.len() + tokens)?;
            transforms::eval(self.cache.iter().flat_map(|cache| cache.state()))?;
            if tokens < left && self.options.prefill_step_size.is_none() {
                self.model.pace.took(tokens, start.elapsed());
            }
        }
        Ok(())
    }

    /// Guesses `length` tokens behind a text. None while there is more of it to read than fits into a pass.
    pub fn guess(&mut self, text: &[u32], length: usize, drawn: u64) -> Result<Vec<u32>> {
        let follows = self.follow(text)?;
        let fits = text.len() + length <= self.model.info.context_length;
        let unread = text.len() - self.tokens.len();
        if !follows || !fits || !(1..=self.chunk(unread)).contains(&unread) {
            self.read(text, text.len())?;
            return Ok(Vec::new());
        }
        let mut hidden = self.pass(text, text.len())?;
        self.copy = (!can_trim_prompt_cache(&self.cache)).then(|| (text.len(), self.cache.clone()));
        let mut history = self.processors.history(text);
        let mut guesses: Vec<Array> = Vec::with_capacity(length);
        for (index, step) in (0..length).zip(drawn..) {
            if let Some(token) = guesses.last() {
                let _length = TextLength::of(text.len() + index);
                let tokens = token.reshape(&[1, 1])?;
                history = history.map(|history| self.processors.extended(&history, &tokens)).transpose()?;
                hidden = self.model.model.last_hidden_state(&tokens, &mut self.cache)?;
            }
            let token = self.draw(&hidden, history.as_ref(), step)?;
            transforms::async_eval([&token])?;
            guesses.push(token);
        }
        let guesses: Vec<u32> = concatenate(&guesses, 0)?.to_vec_exact::<u32>()?;
        self.tokens.extend(guesses.iter().take(length - 1));
        Ok(guesses)
    }

    /// Draws the next token with the random numbers that the run draws it with. hidden: (1, 1, D) → (1,)
    fn draw(&self, hidden: &Array, history: Option<&Array>, step: u64) -> Result<Array> {
        let mut logits = self.model.model.logits(hidden)?.squeeze_axes(&[1])?;
        if let Some(history) = history {
            logits = self.processors.apply(history, &logits)?;
        }
        let logprobs = logits.subtract(mlx::logsumexp(&logits)?)?;
        sample(&self.options, &logprobs, step)
    }

    /// Forgets guesses that were wrong. Returns whether the model can guess behind the text: has room, and all ids.
    fn follow(&mut self, text: &[u32]) -> Result<bool> {
        let is_long = counts_as_long(&self.model, text.len());
        if is_long != self.is_long {
            self.start_again();
            self.is_long = is_long;
        }
        let common = self.tokens.iter().zip(text).take_while(|(ours, theirs)| ours == theirs).count();
        let copy = self.copy.take();
        if common < self.tokens.len() {
            let surplus = i32::try_from(self.tokens.len() - common).unwrap_or(i32::MAX);
            match copy.filter(|(tokens, _)| *tokens <= common) {
                Some((tokens, cache)) => {
                    self.cache = cache;
                    self.tokens.truncate(tokens);
                }
                None if trim_prompt_cache(&mut self.cache, surplus) == surplus => self.tokens.truncate(common),
                // A window became full meanwhile.
                None => self.start_again(),
            }
        }
        let (rows, length) = (self.model.info.vocab_size, self.model.info.context_length);
        Ok(text.len() < length && text.iter().skip(self.tokens.len()).all(|id| (*id as usize) < rows))
    }

    fn start_again(&mut self) {
        self.cache = self.model.model.make_prompt_cache(None);
        self.tokens.clear();
    }

    /// Processes a text up to `end`, and returns the hidden state of the last token, (1, 1, D).
    fn pass(&mut self, text: &[u32], end: usize) -> Result<Array> {
        let new = text.get(self.tokens.len()..end).unwrap_or_default();
        let _length = TextLength::of(text.len());
        let hidden = self.model.model.last_hidden_state(&token_array(new), &mut self.cache)?;
        self.tokens.extend(new);
        Ok(hidden)
    }

    /// Returns the caches for the next run.
    ///
    /// # Errors
    /// If a pending computation fails.
    pub fn into_prompt_cache(mut self) -> Result<PromptCache> {
        // Of no use with a wrong guess in it.
        if let Some((tokens, cache)) = self.copy.take() {
            self.tokens.truncate(tokens);
            self.cache = cache;
        }
        transforms::eval(self.cache.iter().flat_map(|cache| cache.state()))?;
        let Self { tokens, cache: caches, is_long, .. } = self;
        Ok(PromptCache { tokens, caches, is_long, max_kv_size: None, kv_quantization: None })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::models;

    /// A model whose caches cannot be trimmed.
    fn recurrent() -> Rc<LoadedModel> {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("__test__/fixtures/qwen3_5-4bit");
        Rc::new(models::load(&folder, None).unwrap())
    }

    #[test]
    fn caches_that_cannot_be_trimmed_are_left_without_guesses() {
        let mut draft = Draft::new(recurrent(), &RunOptions::default());
        let text = [1, 2, 3, 4, 5];
        assert_eq!(draft.guess(&text, 3, 1).unwrap().len(), 3);
        let left = draft.into_prompt_cache().unwrap();
        assert_eq!(left.tokens, text);
        assert!(left.caches.iter().all(|cache| cache.offset() == 5));
    }

    #[test]
    fn what_another_run_has_read_is_not_read_again() {
        let model = recurrent();
        let text = [1, 2, 3, 4, 5, 6, 7, 8];
        let mut first = Draft::new(Rc::clone(&model), &RunOptions::default());
        first.read(&text, 5).unwrap();
        let mut next = Draft::new(model, &RunOptions::default());
        next.reuse(first.into_prompt_cache().unwrap(), &text);
        next.read(&text, 3).unwrap();
        assert_eq!(next.tokens, text[..5]);
    }
}
