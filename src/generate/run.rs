// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! One generation from prompt to last word: when it ends, usage and timings.

use std::{
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    cache::KvQuantization,
    error::{Error, Result},
    generate::{Answer, AnswerOptions, Chunk, PromptCache, StepOptions, Steps},
    models::LoadedModel,
    sample_utils::{Processors, Sampling},
};

/// mlx-lm's default for prompts; the model's own limit still holds.
pub const DEFAULT_MAX_TOKENS: usize = 4096;

/// What to generate.
pub struct Request {
    pub prompt: Vec<u32>,
    /// `None`: [`DEFAULT_MAX_TOKENS`], or what the context still holds.
    pub max_tokens: Option<usize>,
    /// `None` fields: the model's own defaults.
    pub sampling: SamplingRequest,
    pub processors: Processors,
    /// Tokens that end the answer, without being part of it.
    pub eos_token_ids: Vec<u32>,
    pub prefill_step_size: usize,
    /// Keep at most so many tokens, the first four of them forever.
    pub max_kv_size: Option<i32>,
    pub kv_quantization: Option<KvQuantization>,
    /// Report log-probabilities: each token's, and those of so many of the likeliest.
    pub logprobs: Option<i32>,
    pub answer: AnswerOptions,
    pub reasoning_budget: Option<ReasoningBudget>,
    /// When the caller asked.
    pub created: Instant,
}

/// How long a model may reason.
#[derive(Debug, Clone)]
pub struct ReasoningBudget {
    /// Tokens of reasoning.
    pub tokens: usize,
    /// What ends the reasoning then, in the model's place.
    pub closing: Vec<u32>,
}

/// Sampling as a caller asks for it.
#[derive(Debug, Clone, Default)]
pub struct SamplingRequest {
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<i32>,
    pub min_p: Option<f32>,
    pub min_tokens_to_keep: Option<i32>,
    pub xtc_probability: Option<f32>,
    pub xtc_threshold: Option<f32>,
    /// Ids that XTC never drops; those that the model does not have count for nothing.
    pub xtc_special_tokens: Vec<u32>,
    pub seed: u64,
}

impl SamplingRequest {
    fn resolve(self, model: &LoadedModel) -> Sampling {
        let (defaults, neutral) = (&model.info.generation, Sampling::default());
        let known = |id: &u32| (*id as usize) < model.info.vocab_size;
        Sampling {
            temperature: self.temperature.or(defaults.temperature).unwrap_or(neutral.temperature),
            top_p: self.top_p.or(defaults.top_p).unwrap_or(neutral.top_p),
            top_k: self.top_k.or(defaults.top_k).unwrap_or(neutral.top_k),
            min_p: self.min_p.or(defaults.min_p).unwrap_or(neutral.min_p),
            min_tokens_to_keep: self.min_tokens_to_keep.unwrap_or(neutral.min_tokens_to_keep),
            xtc_probability: self.xtc_probability.unwrap_or(neutral.xtc_probability),
            xtc_threshold: self.xtc_threshold.unwrap_or(neutral.xtc_threshold),
            xtc_special_tokens: self.xtc_special_tokens.into_iter().filter(known).collect(),
            seed: self.seed,
        }
    }
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    Stop,
    Length,
    ToolCalls,
}

/// What a run reports.
#[derive(Debug)]
pub enum Event {
    /// Prompt tokens processed, of how many.
    Prefill {
        processed: usize,
        total: usize,
    },
    Chunk(Chunk),
    Done(Summary),
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Summary {
    pub finish_reason: FinishReason,
    pub stop_string: Option<String>,
    pub prompt_tokens: usize,
    /// How many of the prompt's tokens were in the cache already.
    pub cached_tokens: usize,
    /// Without the end-of-sequence token.
    pub completion_tokens: usize,
    /// How many of these are reasoning.
    pub reasoning_tokens: usize,
    /// From the call to the run's first turn.
    pub queue: Duration,
    /// From the first turn to the first token.
    pub prompt: Duration,
    /// From the call to the first token.
    pub time_to_first_token: Duration,
    /// From the first token to the last.
    pub generation: Duration,
    pub peak_memory: usize,
}

/// A run in progress.
pub struct Run {
    steps: Steps,
    cache_bytes: u64,
    answer: Answer,
    max_tokens: usize,
    eos_token_ids: Vec<u32>,
    reasoning_budget: Option<ReasoningBudget>,
    /// Tokens that come whatever the model says.
    forced: VecDeque<u32>,
    created: Instant,
    started: Option<Instant>,
    first_token: Option<Instant>,
}

impl Run {
    /// Checks a request against a model.
    ///
    /// # Errors
    /// `ContextOverflow`, `OutOfRange`, `InvalidArgValue`.
    pub fn new(model: Rc<LoadedModel>, request: Request) -> Result<Self> {
        let limit = model.info.context_length;
        let prompt_tokens = request.prompt.len();
        if prompt_tokens >= limit {
            return Err(Error::ContextOverflow { prompt_tokens, limit });
        }
        if request.max_kv_size.is_some() && model.model.make_cache().is_some() {
            return Err(Error::InvalidArgValue {
                name: "maxKvSize".to_owned(),
                message: format!("not supported: a model of type {} manages its own caches", model.info.model_type),
            });
        }
        let max_tokens = request.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS).min(limit - prompt_tokens);
        let asked = prompt_tokens + request.max_tokens.map_or(0, |_| max_tokens);
        let cache_bytes = model.info.cache_sizes.bytes(asked as u64, request.max_kv_size, request.kv_quantization);
        let options = StepOptions {
            sampling: request.sampling.resolve(&model),
            processors: request.processors,
            prefill_step_size: request.prefill_step_size,
            max_kv_size: request.max_kv_size,
            kv_quantization: request.kv_quantization,
            logprobs: request.logprobs,
        };
        let steps = Steps::new(model, request.prompt, options)?;
        Ok(Self {
            steps,
            cache_bytes,
            answer: Answer::new(request.answer),
            max_tokens,
            eos_token_ids: request.eos_token_ids,
            reasoning_budget: request.reasoning_budget,
            forced: VecDeque::new(),
            created: request.created,
            started: None,
            first_token: None,
        })
    }

    /// What its caches come to after the prompt, and after all tokens that were asked for by number.
    pub fn cache_bytes(&self) -> u64 {
        self.cache_bytes
    }

    /// Passes through the model so far.
    pub fn passes(&self) -> u64 {
        self.steps.passes()
    }

    /// Whether it has had its first turn.
    pub fn has_started(&self) -> bool {
        self.started.is_some()
    }

    /// Starts from what another run left, where that helps. Only before the first turn.
    pub fn reuse(&mut self, left: PromptCache) {
        self.steps.reuse(left);
    }

    /// What this run leaves to the next one; see [`Steps::into_prompt_cache`].
    pub fn into_prompt_cache(self) -> Result<PromptCache> {
        self.steps.into_prompt_cache()
    }

    /// Makes one pass through the model and reports what it brought.
    pub fn advance(&mut self, emit: &mut impl FnMut(Event)) -> Result<bool> {
        self.started.get_or_insert_with(Instant::now);
        if self.max_tokens == 0 {
            return self.finish(FinishReason::Length, emit);
        }
        if !self.steps.prefilled() {
            self.steps.prefill()?;
            emit(Event::Prefill { processed: self.steps.processed(), total: self.steps.total() });
            return Ok(false);
        }
        let last = self.answer.completion_tokens() + 1 == self.max_tokens;
        self.end_reasoning_in_time()?;
        let step = self.steps.next(last)?;
        self.first_token.get_or_insert_with(Instant::now);
        if self.eos_token_ids.contains(&step.token) {
            return self.finish(FinishReason::Stop, emit);
        }
        let stop_string = self.answer.push(step, &mut |chunk| emit(Event::Chunk(chunk)))?;
        if stop_string.is_some() {
            return self.done(FinishReason::Stop, stop_string, emit);
        }
        if last {
            return self.finish(FinishReason::Length, emit);
        }
        Ok(false)
    }

    /// Ends the reasoning, in the model's place, once it has used up its tokens.
    fn end_reasoning_in_time(&mut self) -> Result<()> {
        if let Some(budget) = &self.reasoning_budget
            && self.answer.is_reasoning()
            && self.answer.reasoning_tokens() >= budget.tokens
            && self.forced.is_empty()
        {
            self.forced.extend(&budget.closing);
        }
        self.forced.pop_front().map_or(Ok(()), |token| self.steps.force(token))
    }

    /// Says what was held back, and what the run came to.
    fn finish(&mut self, mut reason: FinishReason, emit: &mut impl FnMut(Event)) -> Result<bool> {
        let stop_string = self.answer.finish(&mut |chunk| emit(Event::Chunk(chunk)))?;
        if stop_string.is_some() {
            reason = FinishReason::Stop;
        }
        self.done(reason, stop_string, emit)
    }

    fn done(&self, reason: FinishReason, stop_string: Option<String>, emit: &mut impl FnMut(Event)) -> Result<bool> {
        let called = reason == FinishReason::Stop && stop_string.is_none() && self.answer.tool_calls() > 0;
        let now = Instant::now();
        let started = self.started.unwrap_or(now);
        let first_token = self.first_token.unwrap_or(now);
        emit(Event::Done(Summary {
            finish_reason: if called { FinishReason::ToolCalls } else { reason },
            stop_string,
            prompt_tokens: self.steps.total(),
            cached_tokens: self.steps.cached(),
            completion_tokens: self.answer.completion_tokens(),
            reasoning_tokens: self.answer.reasoning_tokens(),
            queue: started - self.created,
            prompt: first_token - started,
            time_to_first_token: first_token - self.created,
            generation: now - first_token,
            peak_memory: mlx_rs::memory::peak_memory()?,
        }));
        Ok(true)
    }
}
