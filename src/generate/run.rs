// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A run from the prompt to the end of the answer, and when it stops.

use std::{
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, Result},
    generate::{
        Answer, Chunk, Constraint, FinishReason, PromptCache, Step, Steps, Summary, TokenLogprobs,
        speculation::Speculation,
    },
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
    /// What the answer must follow.
    pub constraint: Option<Constraint>,
    /// Time of the call.
    pub created: Instant,
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

/// A token that was not drawn.
fn certain(token: u32, logprobs: Option<i32>) -> Step {
    Step { token, logprobs: logprobs.map(|top| TokenLogprobs::certain(token, top)) }
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
    constraint: Option<Constraint>,
    /// Tokens of the text that the answer does not have yet: they come with the next one that is drawn.
    certain: VecDeque<u32>,
    /// Number of the likeliest tokens to report for each, if any are.
    logprobs: Option<i32>,
    created: Instant,
    started: Option<Instant>,
    first_token: Option<Instant>,
}

impl Run {
    /// Checks a request against a model. `draft`: the model whose guesses it checks, if that was asked for.
    ///
    /// # Errors
    /// `ContextOverflow`, `OutOfRange`, `InvalidArgValue`.
    pub fn new(model: Rc<LoadedModel>, draft: Option<Rc<LoadedModel>>, request: Request) -> Result<Self> {
        let Request {
            prompt,
            mut options,
            eos_token_ids,
            detokenizer,
            parser,
            end_of_reasoning,
            mut constraint,
            created,
        } = request;
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
        let sizes = &model.info.cache_sizes;
        let mut cache_bytes = sizes.bytes(asked as u64, options.max_kv_size, options.kv_quantization());
        if let Some(draft) = &draft {
            cache_bytes += draft.info.cache_sizes.bytes(asked as u64, None, None);
        }
        let speculation = Speculation::new(&options, draft);
        let mut answer = Answer::new(detokenizer, std::mem::take(&mut options.stop), parser);
        let eos_token_ids = if options.ignore_eos { Vec::new() } else { eos_token_ids };
        let (reasoning_budget, logprobs) = (options.reasoning_budget(), options.logprobs);
        let on_abort = options.on_abort;
        let mut steps = Steps::new(model, prompt, options)?;
        if let Some(speculation) = speculation {
            steps.speculate(speculation);
        }
        let mut certain = Vec::new();
        if let Some(constraint) = &mut constraint {
            steps.hold_draws();
            certain = constraint.begin(max_tokens)?;
            steps.append(&certain)?;
            if constraint.is_value() {
                answer.begin_value(&mut |_| ())?;
            }
        }
        Ok(Self {
            cache_bytes,
            answer,
            max_tokens,
            eos_token_ids,
            reasoning_budget,
            end_of_reasoning,
            forced: VecDeque::new(),
            on_abort,
            constraint,
            certain: certain.into(),
            logprobs,
            created,
            steps,
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

    /// Number of tokens that [`Self::reuse`] would take from these caches.
    pub fn common_with(&self, left: &PromptCache) -> usize {
        self.steps.common_with(left)
    }

    /// Starts from the caches of another run, if possible. Only before the first turn.
    pub fn reuse(&mut self, left: PromptCache) {
        self.steps.reuse(left);
    }

    /// The same for the caches of a run of the draft model.
    pub fn draft_common_with(&self, left: &PromptCache) -> usize {
        self.steps.draft_common_with(left)
    }

    /// The same for the draft model.
    pub fn reuse_for_draft(&mut self, left: PromptCache) {
        self.steps.reuse_for_draft(left);
    }

    /// Returns the caches of the draft model, if there is one.
    pub fn take_draft_cache(&mut self) -> Result<Option<PromptCache>> {
        self.steps.take_draft_cache()
    }

    /// Returns the caches for the next run; see [`Steps::into_prompt_cache`].
    pub fn into_prompt_cache(self) -> Result<PromptCache> {
        self.steps.into_prompt_cache()
    }

    /// Makes one pass through the model and emits its events; `true` at the end of the run.
    pub fn advance(&mut self, emit: &mut impl FnMut(Event)) -> Result<bool> {
        self.started.get_or_insert_with(Instant::now);
        if let Some(reason) = self.ended() {
            return match self.add_certain(emit)? {
                Some(stop_string) => self.done(FinishReason::Stop, Some(stop_string), emit),
                None => self.finish(reason, emit),
            };
        }
        if !self.steps.prefilled() {
            let is_prompt = !self.steps.has_drawn();
            self.steps.limit(self.left());
            self.steps.prefill()?;
            if is_prompt {
                emit(Event::Prefill { processed: self.steps.processed(), total: self.steps.total() });
            }
            self.draw_allowed()?;
            return Ok(false);
        }
        self.end_reasoning_in_time()?;
        let step = self.steps.next(self.left() == 1)?;
        self.first_token.get_or_insert_with(Instant::now);
        if let Some(stop_string) = self.add_certain(emit)? {
            return self.done(FinishReason::Stop, Some(stop_string), emit);
        }
        if self.eos_token_ids.contains(&step.token) {
            return self.finish(FinishReason::Stop, emit);
        }
        if let Some(stop_string) = self.add(step, emit)? {
            return self.done(FinishReason::Stop, Some(stop_string), emit);
        }
        self.draw_allowed()?;
        match self.ended().filter(|_| self.certain.is_empty()) {
            Some(reason) => self.finish(reason, emit),
            None => Ok(false),
        }
    }

    /// Number of tokens that can still be drawn.
    fn left(&self) -> usize {
        self.max_tokens.saturating_sub(self.answer.completion_tokens() + self.certain.len())
    }

    /// Why no further token will be drawn, if so.
    fn ended(&self) -> Option<FinishReason> {
        if self.constraint.as_ref().is_some_and(Constraint::is_done) {
            return Some(FinishReason::Stop);
        }
        (self.left() == 0).then_some(FinishReason::Length)
    }

    /// Adds a token that was drawn to the answer, and what must follow it to the text; returns the stop string if one ends the
    /// answer here.
    fn add(&mut self, step: Step, emit: &mut impl FnMut(Event)) -> Result<Option<String>> {
        let mut emit = |chunk| emit(Event::Chunk(chunk));
        let token = step.token;
        let Some(constraint) = &mut self.constraint else { return self.answer.push(step, &mut emit) };
        let mut stop_string = None;
        if constraint.begins_value_with(token) {
            stop_string = self.answer.begin_value(&mut emit)?;
        }
        stop_string = stop_string.or(self.answer.push(step, &mut emit)?);
        if stop_string.is_some() {
            return Ok(stop_string);
        }
        let mut tokens = constraint.accept(token)?;
        if let Some(gap) = constraint.note(self.answer.is_reasoning()) {
            // Whatever would have closed the reasoning is no longer needed.
            self.forced.clear();
            tokens.extend(gap);
        }
        tokens.truncate(self.max_tokens - self.answer.completion_tokens());
        for token in &tokens {
            self.answer.push(certain(*token, self.logprobs), &mut emit)?;
        }
        constraint.note(self.answer.is_reasoning());
        if constraint.is_value() && !self.answer.is_value() {
            stop_string = self.answer.begin_value(&mut emit)?;
        }
        let value = constraint.force(self.max_tokens - self.answer.completion_tokens())?;
        tokens.extend(&value);
        self.certain.extend(value);
        self.steps.append(&tokens)?;
        Ok(stop_string)
    }

    /// Adds the tokens to the answer that had to come.
    fn add_certain(&mut self, emit: &mut impl FnMut(Event)) -> Result<Option<String>> {
        for token in std::mem::take(&mut self.certain) {
            let stop_string =
                self.answer.push(certain(token, self.logprobs), &mut |chunk| emit(Event::Chunk(chunk)))?;
            if stop_string.is_some() {
                return Ok(stop_string);
            }
        }
        if let Some(constraint) = &mut self.constraint {
            // These may be the start of the reasoning, never its end.
            constraint.note(self.answer.is_reasoning());
        }
        Ok(None)
    }

    /// Draws the next token if that waits for what the grammar allows.
    fn draw_allowed(&mut self) -> Result<()> {
        match &mut self.constraint {
            Some(constraint) if self.steps.waits() && !constraint.is_done() => {
                self.steps.draw_allowed(constraint.allowed()?.as_ref())
            }
            _ => Ok(()),
        }
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
        let (drafted_tokens, accepted_tokens) = self.steps.guesses();
        emit(Event::Done(Summary {
            finish_reason: if called { FinishReason::ToolCalls } else { reason },
            stop_string,
            prompt_tokens: self.steps.total(),
            cached_tokens: self.steps.cached(),
            completion_tokens: self.answer.completion_tokens(),
            reasoning_tokens: self.answer.reasoning_tokens(),
            drafted_tokens,
            accepted_tokens,
            queue: started - self.created,
            prompt: first_token.map_or(Duration::ZERO, |first| first - started),
            time_to_first_token: first_token.map_or(Duration::ZERO, |first| first - self.created),
            generation: first_token.map_or(Duration::ZERO, |first| now - first),
            peak_memory: mlx_rs::memory::peak_memory()?,
        }));
        Ok(true)
    }
}
