// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A run from the prompt to the end of the answer: when it stops, usage and timings.

use std::{
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, Result},
    generate::{Answer, Chunk, PromptCache, Steps},
    models::LoadedModel,
    options::{DEFAULT_MAX_TOKENS, OnAbort, RunOptions},
    tokenizer::{StreamingDetokenizer, output::OutputParser},
};

/// What to generate.
pub struct Request {
    pub prompt: Vec<u32>,
    pub options: RunOptions,
    /// Tokens that end the answer, without being part of it.
    pub eos_token_ids: Vec<u32>,
    pub detokenizer: StreamingDetokenizer,
    /// Takes reasoning and tool calls out of the answer. `None`: all of it is text, without special tokens.
    pub parser: Option<OutputParser>,
    /// Tokens that end the reasoning once its budget is used up.
    pub end_of_reasoning: Vec<u32>,
    /// Time of the call.
    pub created: Instant,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    Aborted,
}

/// An event of a run.
#[derive(Debug)]
pub enum Event {
    /// Number of prompt tokens processed, and in all.
    Prefill {
        processed: usize,
        total: usize,
    },
    Chunk(Chunk),
    Done(Summary),
}

/// Usage and timings of a completed run.
#[derive(Debug, Clone)]
pub struct Summary {
    pub finish_reason: FinishReason,
    pub stop_string: Option<String>,
    pub prompt_tokens: usize,
    /// Number of prompt tokens that were already in the cache.
    pub cached_tokens: usize,
    /// Without the end-of-sequence token.
    pub completion_tokens: usize,
    /// Number of reasoning tokens among them.
    pub reasoning_tokens: usize,
    /// From the call to the run's first turn.
    pub queue: Duration,
    /// From the first turn to the first token; zero without one.
    pub prompt: Duration,
    /// From the call to the first token; zero without one.
    pub time_to_first_token: Duration,
    /// From the first token to the last.
    pub generation: Duration,
    pub peak_memory: usize,
}

impl Summary {
    /// Over the prompt's tokens that were not in the cache.
    pub fn prompt_tokens_per_second(&self) -> f64 {
        per_second(self.prompt_tokens - self.cached_tokens, self.prompt)
    }

    /// Over the tokens after the first, which belongs to the prompt's time.
    pub fn generation_tokens_per_second(&self) -> f64 {
        per_second(self.completion_tokens.saturating_sub(1), self.generation)
    }
}

fn per_second(count: usize, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// A run in progress.
pub struct Run {
    steps: Steps,
    cache_bytes: u64,
    answer: Answer,
    max_tokens: usize,
    eos_token_ids: Vec<u32>,
    /// Maximum number of reasoning tokens; then `end_of_reasoning` follows.
    reasoning_budget: Option<usize>,
    end_of_reasoning: Vec<u32>,
    /// Tokens that replace the model's next ones.
    forced: VecDeque<u32>,
    on_abort: OnAbort,
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
        let Request { prompt, mut options, eos_token_ids, detokenizer, parser, end_of_reasoning, created } = request;
        options.resolve(&model.info);
        let limit = model.info.context_length;
        let prompt_tokens = prompt.len();
        if prompt_tokens >= limit {
            return Err(Error::ContextOverflow { prompt_tokens, limit });
        }
        if options.max_kv_size.is_some() && model.model.make_cache().is_some() {
            return Err(Error::InvalidArgValue {
                name: "maxKvSize".to_owned(),
                message: format!("not supported: a model of type {} manages its own caches", model.info.model_type),
            });
        }
        let max_tokens = options.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS).min(limit - prompt_tokens);
        let asked = prompt_tokens + options.max_tokens.map_or(0, |_| max_tokens);
        let cache_bytes = model.info.cache_sizes.bytes(asked as u64, options.max_kv_size, options.kv_quantization());
        Ok(Self {
            cache_bytes,
            answer: Answer::new(detokenizer, std::mem::take(&mut options.stop), parser),
            max_tokens,
            eos_token_ids: if options.ignore_eos { Vec::new() } else { eos_token_ids },
            reasoning_budget: options.reasoning_budget(),
            end_of_reasoning,
            forced: VecDeque::new(),
            on_abort: options.on_abort,
            created,
            steps: Steps::new(model, prompt, options)?,
            started: None,
            first_token: None,
        })
    }

    /// Bytes of its caches after the prompt and `max_tokens`, if that was given.
    pub fn cache_bytes(&self) -> u64 {
        self.cache_bytes
    }

    /// Number of passes through the model so far.
    pub fn passes(&self) -> u64 {
        self.steps.passes()
    }

    /// Whether it has had its first turn.
    pub fn has_started(&self) -> bool {
        self.started.is_some()
    }

    /// Starts from the caches of another run, if possible. Only before the first turn.
    pub fn reuse(&mut self, left: PromptCache) {
        self.steps.reuse(left);
    }

    /// Returns the caches for the next run; see [`Steps::into_prompt_cache`].
    pub fn into_prompt_cache(self) -> Result<PromptCache> {
        self.steps.into_prompt_cache()
    }

    /// Makes one pass through the model and emits its events; `true` at the end of the run.
    pub fn advance(&mut self, emit: &mut impl FnMut(Event)) -> Result<bool> {
        self.started.get_or_insert_with(Instant::now);
        if self.max_tokens == 0 {
            return self.finish(FinishReason::Length, emit);
        }
        if !self.steps.prefilled() {
            let is_prompt = !self.steps.has_drawn();
            self.steps.prefill()?;
            if is_prompt {
                emit(Event::Prefill { processed: self.steps.processed(), total: self.steps.total() });
            }
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

    /// Ends a run that was cancelled.
    ///
    /// # Errors
    /// `Aborted`, unless the answer so far is wanted.
    pub fn stop(&mut self, emit: &mut impl FnMut(Event)) -> Result<bool> {
        match self.on_abort {
            OnAbort::Throw => Err(Error::Aborted),
            OnAbort::Keep => self.finish(FinishReason::Aborted, emit),
        }
    }

    /// Ends the reasoning once its budget is used up.
    fn end_reasoning_in_time(&mut self) -> Result<()> {
        if let Some(budget) = self.reasoning_budget
            && self.answer.is_reasoning()
            && self.answer.reasoning_tokens() >= budget
            && self.forced.is_empty()
        {
            self.forced.extend(&self.end_of_reasoning);
        }
        self.forced.pop_front().map_or(Ok(()), |token| self.steps.force(token))
    }

    /// Emits the text that was held back, and the summary.
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
        let first_token = self.first_token;
        emit(Event::Done(Summary {
            finish_reason: if called { FinishReason::ToolCalls } else { reason },
            stop_string,
            prompt_tokens: self.steps.total(),
            cached_tokens: self.steps.cached(),
            completion_tokens: self.answer.completion_tokens(),
            reasoning_tokens: self.answer.reasoning_tokens(),
            queue: started - self.created,
            prompt: first_token.map_or(Duration::ZERO, |first| first - started),
            time_to_first_token: first_token.map_or(Duration::ZERO, |first| first - self.created),
            generation: first_token.map_or(Duration::ZERO, |first| now - first),
            peak_memory: mlx_rs::memory::peak_memory()?,
        }));
        Ok(true)
    }
}
