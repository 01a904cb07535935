// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/generate.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! `generate_step`, divided into steps of at most one pass through the model, so that the engine can switch to other runs
//! and check for cancellation in between.
//!
//! mlx-lm processes the last prompt token in a separate pass. Here it belongs to the last chunk, of which only the last
//! position goes through the output layer and, in most models, the last layer's feed-forward network. That saves a pass
//! before the first token.
//!
//! Where an answer makes the text longer than LongRoPE takes to be short, the text is read again from its first token on, as
//! transformers does it: what is in the cache has been rotated by other factors.
//!
//! With speculative decoding, [`verify`] makes the passes behind the prompt.

mod prefill;
mod verify;

use std::{
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

use mlx_rs::{Array, transforms};

use super::allowed::Allowed;
use super::logprobs::{PendingLogprobs, TokenLogprobs, number};
use super::speculation::Speculation;
use super::tokens::{check_ids, token_array};
use crate::{
    cache::{Caches, maybe_quantize_kv_cache},
    error::{Error, Result},
    generate::PromptCache,
    grammar::Mask,
    mlx,
    models::LoadedModel,
    nn::TextLength,
    options::RunOptions,
    sample_utils::{LogitsProcessors, sample},
};

/// Number of tokens between two calls of `clear_cache`, as in mlx-lm.
const TOKENS_PER_CACHE_CLEAR: u64 = 256;

/// A token and, if they were requested, its log-probabilities.
#[derive(Debug, Clone)]
pub struct Step {
    pub token: u32,
    pub logprobs: Option<TokenLogprobs>,
}

/// A token that was drawn, and that the device may still be computing.
struct Pending {
    /// (1,)
    token: Array,
    /// (1, 1): not finite if the logits were not.
    logsumexp: Array,
    logprobs: Option<PendingLogprobs>,
}

/// One sequence being generated.
pub struct Steps {
    model: Rc<LoadedModel>,
    cache: Caches,
    /// The prompt, and what was drawn and has been read.
    text: Vec<u32>,
    prompt_tokens: usize,
    /// Number of tokens of the text that are in the cache.
    processed: usize,
    /// Number of processed tokens that came from another run's cache.
    cached: usize,
    /// Whether they are, or will be, rotated as those of a long text.
    is_long: bool,
    options: RunOptions,
    processors: LogitsProcessors,
    /// The tokens that the processors use, (1, n); `None` without processors.
    history: Option<Array>,
    /// The next tokens; more than one only where guesses were right.
    pending: VecDeque<Pending>,
    speculation: Option<Speculation>,
    copies: Option<verify::Copies>,
    /// Maximum number of guesses for the next pass.
    room: usize,
    /// Whether each draw waits for [`Self::draw_allowed`].
    is_held: bool,
    /// What such a draw is made from, (1, 1, D).
    hidden: Option<Array>,
    allowed: Allowed,
    drawn: u64,
    passes: u64,
    host_time: Duration,
}

impl Steps {
    /// Prepares a run over a prompt of at least one token, each below the model's vocabulary size.
    ///
    /// # Errors
    /// `InvalidArgValue` for an empty prompt, `OutOfRange` for an id without an embedding.
    pub fn new(model: Rc<LoadedModel>, prompt: Vec<u32>, options: RunOptions) -> Result<Self> {
        if prompt.is_empty() {
            return Err(Error::InvalidArgValue { name: "prompt".to_owned(), message: "must not be empty".to_owned() });
        }
        let vocab_size = model.info.vocab_size;
        check_ids(|index| format!("prompt[{index}]"), prompt.iter().copied(), vocab_size)?;
        check_ids(|_| "logitBias".to_owned(), options.logit_bias.iter().map(|(id, _)| *id), vocab_size)?;
        let processors = LogitsProcessors::new(&options);
        let history = processors.history(&prompt);
        let is_long = counts_as_long(&model, prompt.len());
        Ok(Self {
            cache: model.model.make_prompt_cache(options.max_kv_size),
            model,
            prompt_tokens: prompt.len(),
            text: prompt,
            processed: 0,
            cached: 0,
            is_long,
            processors,
            options,
            history,
            pending: VecDeque::new(),
            speculation: None,
            copies: None,
            room: 0,
            is_held: false,
            hidden: None,
            allowed: Allowed::default(),
            drawn: 0,
            passes: 0,
            host_time: Duration::ZERO,
        })
    }

    /// Number of tokens that [`Self::reuse`] would take from the caches of another run: as far as the prompts begin with the
    /// same tokens, if both runs have the same cache options.
    pub fn common_with(&self, left: &PromptCache) -> usize {
        let kind = (self.is_long, self.options.max_kv_size, self.options.kv_quantization());
        if left.kind() == kind { left.common_with(&self.text) } else { 0 }
    }

    /// Starts from the caches of another run, as far as possible. Only before the first pass.
    pub fn reuse(&mut self, left: PromptCache) {
        if self.common_with(&left) > 0
            && let Some(left) = left.trim_to_prefix_of(&self.text)
        {
            self.cache = left.caches;
            self.cached = left.tokens.len();
            self.processed = self.cached;
        }
    }

    /// Makes each draw wait for [`Self::draw_allowed`]. Only before the first pass.
    pub fn hold_draws(&mut self) {
        self.is_held = true;
    }

    /// Whether a draw waits for [`Self::draw_allowed`]; the device may still be computing what it is made from.
    pub fn waits(&self) -> bool {
        self.hidden.is_some()
    }

    /// Draws the next token among those allowed; `None`: all.
    pub fn draw_allowed(&mut self, mask: Option<&Mask>) -> Result<()> {
        let Some(hidden) = self.hidden.take() else { return Err(Error::internal("no draw waits")) };
        self.pending = VecDeque::from([self.draw(&hidden, mask)?]);
        Ok(())
    }

    /// Continues the text with these tokens instead of one that is drawn; [`Self::prefill`] processes them.
    pub fn append(&mut self, tokens: &[u32]) -> Result<()> {
        if tokens.is_empty() {
            return Ok(());
        }
        self.pending.clear();
        self.hidden = None;
        self.remember(&token_array(tokens))?;
        self.text.extend(tokens);
        if counts_as_long(&self.model, self.text.len()) != self.is_long {
            self.read_again();
        }
        Ok(())
    }

    /// Returns the caches and their tokens. Not valid after an error of the model.
    ///
    /// # Errors
    /// If a pending computation fails.
    pub fn into_prompt_cache(mut self) -> Result<PromptCache> {
        self.rewind(self.text.len())?;
        transforms::eval(self.cache.iter().flat_map(|cache| cache.state()))?;
        let mut tokens = self.text;
        tokens.truncate(self.processed);
        Ok(PromptCache {
            tokens,
            caches: self.cache,
            is_long: self.is_long,
            max_kv_size: self.options.max_kv_size,
            kv_quantization: self.options.kv_quantization(),
        })
    }

    /// Number of prompt tokens that came from another run's cache.
    pub fn cached(&self) -> usize {
        self.cached.min(self.prompt_tokens)
    }

    /// Number of prompt tokens processed.
    pub fn processed(&self) -> usize {
        self.processed.min(self.prompt_tokens)
    }

    /// Number of prompt tokens.
    pub fn total(&self) -> usize {
        self.prompt_tokens
    }

    /// Whether a token has been drawn.
    pub fn has_drawn(&self) -> bool {
        self.drawn > 0
    }

    /// Number of passes through the model so far.
    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// Host time spent on building and submitting the steps after the prompt.
    pub fn host_time(&self) -> Duration {
        self.host_time
    }

    /// Whether the next token is pending.
    pub fn prefilled(&self) -> bool {
        !self.pending.is_empty()
    }

    fn quantize_cache(&mut self) -> Result<()> {
        self.options.kv_quantization().map_or(Ok(()), |wanted| maybe_quantize_kv_cache(&mut self.cache, wanted))
    }

    /// Returns the next token. Unless `last`, the pass for the following token is submitted before this one is read, so the
    /// device is never idle.
    ///
    /// # Errors
    /// `NonFiniteLogits` if a logit is NaN or none is finite: MLX would choose token 0.
    pub fn next(&mut self, last: bool) -> Result<Step> {
        let Some(current) = self.pending.pop_front() else { return Err(Error::internal("no token is pending")) };
        let text = self.text.len() + 1;
        // The text becomes one that is rotated in another way from its first token on.
        let crosses = !last && counts_as_long(&self.model, text) != self.is_long;
        // What follows is guessed from the token itself.
        let submits = !last && !crosses && self.speculation.is_none();
        if submits {
            let _length = TextLength::of(text);
            let start = Instant::now();
            let tokens = current.token.reshape(&[1, 1])?;
            self.remember(&tokens)?;
            let hidden = self.model.model.last_hidden_state(&tokens, &mut self.cache)?;
            self.passes += 1;
            self.proceed(hidden)?;
            self.host_time += start.elapsed();
        }
        let step = self.drawn;
        let token = current.token.try_item_exact::<u32>()?;
        if let Some(message) = mlx::take_failure() {
            return Err(Error::internal(message));
        }
        if !number(&current.logsumexp)?.is_finite() {
            return Err(Error::NonFiniteLogits { step: usize::try_from(step).unwrap_or(usize::MAX) });
        }
        self.text.push(token);
        if crosses {
            self.remember(&token_array(&[token]))?;
            self.read_again();
        } else if submits {
            self.processed += 1;
        }
        if step.is_multiple_of(TOKENS_PER_CACHE_CLEAR) {
            mlx_rs::memory::clear_cache()?;
        }
        Ok(Step { token, logprobs: current.logprobs.map(|logprobs| logprobs.read(self.is_held)).transpose()? })
    }

    /// Replaces the next token with `token`. Only between two calls of [`Self::next`].
    pub fn force(&mut self, token: u32) -> Result<()> {
        self.rewind(self.text.len())?;
        // What comes next is drawn with the numbers of its step, whatever guesses have been drawn behind this token.
        self.drawn -= self.pending.len().saturating_sub(1) as u64;
        self.pending.truncate(1);
        let Some(pending) = self.pending.front_mut() else { return Err(Error::internal("no token is pending")) };
        pending.token = Array::from_slice(&[token], &[1]);
        pending.logprobs.as_mut().map_or(Ok(()), |logprobs| logprobs.choose(&pending.token))
    }

    /// Starts from the first token again, as those of a long text are rotated.
    fn read_again(&mut self) {
        self.cache = self.model.model.make_prompt_cache(self.options.max_kv_size);
        self.processed = 0;
        self.is_long = true;
    }

    /// Adds tokens, (1, n), to the history of the processors.
    fn remember(&mut self, tokens: &Array) -> Result<()> {
        if let Some(history) = &self.history {
            self.history = Some(self.processors.extended(history, tokens)?);
        }
        Ok(())
    }

    /// Draws the next token, or submits what it will be drawn from.
    fn proceed(&mut self, hidden: Array) -> Result<()> {
        if self.is_held {
            transforms::async_eval([&hidden])?;
            self.hidden = Some(hidden);
        } else {
            self.pending = VecDeque::from([self.draw(&hidden, None)?]);
        }
        Ok(())
    }

    /// hidden: (1, 1, D)
    fn draw(&mut self, hidden: &Array, mask: Option<&Mask>) -> Result<Pending> {
        let mut logits = self.model.model.logits(hidden)?.squeeze_axes(&[1])?;
        self.quantize_cache()?;
        if let Some(history) = &self.history {
            logits = self.processors.apply(history, &logits)?;
        }
        if let Some(mask) = mask {
            logits = self.allowed.apply(mask, &logits)?;
        }
        let logsumexp = mlx::logsumexp(&logits)?;
        let logprobs = logits.subtract(&logsumexp)?;
        let token = sample(&self.options, &logprobs, self.drawn)?;
        let reported = self.options.logprobs.map(|top| PendingLogprobs::of(&logprobs, &token, top)).transpose()?;
        let extra = reported.iter().flat_map(PendingLogprobs::arrays);
        transforms::async_eval([&token, &logsumexp].into_iter().chain(extra))?;
        self.drawn += 1;
        Ok(Pending { token, logsumexp, logprobs: reported })
    }
}

/// Whether a text is longer than the model's LongRoPE takes to be short.
pub(super) fn counts_as_long(model: &LoadedModel, tokens: usize) -> bool {
    model.info.long_rope_limit.is_some_and(|limit| tokens > limit)
}
