// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A run of a model, as JavaScript reads it.

use std::time::Duration;

use napi::{Env, bindgen_prelude::PromiseRaw};
use napi_derive::napi;

use super::errors::{promise, to_napi};
use crate::{
    error::Error,
    generate::{FinishReason, Summary},
    session::{Chunk, Event, Generation, Logprob, TokenLogprobs},
    tokenizer::output::Piece,
};

/// A piece of the answer, or progress with the prompt.
#[napi(discriminant_case = "kebab-case", object_from_js = false)]
pub enum NativeChunk {
    Text {
        text: String,
        tokens: Vec<u32>,
        /// One for each token, if they were asked for.
        logprobs: Option<Vec<NativeTokenLogprobs>>,
    },
    Reasoning {
        text: String,
        tokens: Vec<u32>,
        logprobs: Option<Vec<NativeTokenLogprobs>>,
    },
    ToolCallDelta {
        /// Index of the call within the answer.
        index: u32,
        /// With the first delta of the call.
        id: Option<String>,
        name: Option<String>,
        /// A part of a JSON object.
        arguments: String,
        tokens: Vec<u32>,
        logprobs: Option<Vec<NativeTokenLogprobs>>,
    },
    ToolCall {
        /// Index of the call within the answer.
        index: u32,
        id: String,
        name: String,
        /// JSON
        arguments: String,
        tokens: Vec<u32>,
        logprobs: Option<Vec<NativeTokenLogprobs>>,
    },
    PromptProgress {
        processed: u32,
        total: u32,
    },
}

/// A token that could have come.
#[napi(object, object_from_js = false)]
pub struct NativeLogprob {
    pub id: u32,
    /// As the vocabulary spells it.
    pub token: String,
    pub logprob: f64,
}

/// A token that came, and the likeliest ones in its place.
#[napi(object, object_from_js = false)]
pub struct NativeTokenLogprobs {
    pub id: u32,
    pub token: String,
    pub logprob: f64,
    pub top: Vec<NativeLogprob>,
}

#[napi(string_enum = "kebab-case")]
pub enum NativeFinishReason {
    Stop,
    Length,
    ToolCalls,
    Aborted,
}

/// The result of a run. Times are in milliseconds, memory in bytes.
#[napi(object, object_from_js = false)]
pub struct NativeGenerationResult {
    pub finish_reason: NativeFinishReason,
    pub stop_string: Option<String>,
    pub prompt_tokens: u32,
    pub cached_tokens: u32,
    pub completion_tokens: u32,
    pub reasoning_tokens: u32,
    pub drafted_tokens: u32,
    pub accepted_tokens: u32,
    pub queue_ms: f64,
    pub prompt_ms: f64,
    pub time_to_first_token_ms: f64,
    pub prompt_tokens_per_second: f64,
    pub generation_tokens_per_second: f64,
    pub peak_memory: f64,
}

/// A run. Dropping it cancels it.
#[napi]
pub struct NativeGeneration(Generation);

impl From<Generation> for NativeGeneration {
    fn from(generation: Generation) -> Self {
        Self(generation)
    }
}

#[napi]
impl NativeGeneration {
    /// Waits for at least one chunk and returns all that are there; `null` at the end. Rejects with the run's error.
    #[napi(ts_return_type = "Promise<Array<NativeChunk> | null>")]
    pub fn next<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, Option<Vec<NativeChunk>>>> {
        let events = self.0.next();
        promise(env, async move { Ok(events.await?.map(|events| events.into_iter().map(NativeChunk::from).collect())) })
    }

    /// Makes the run end before its next pass through the model: with ABORT_ERR, unless its options say otherwise.
    #[napi]
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// The run's result, once `next()` has returned `null`.
    #[napi]
    pub fn result(&self) -> napi::Result<NativeGenerationResult> {
        let summary = self.0.summary().ok_or_else(|| to_napi(&Error::internal("the run has not ended")))?;
        Ok(NativeGenerationResult::from(summary))
    }

    /// Number of passes through the model so far.
    #[napi(getter)]
    pub fn steps(&self) -> f64 {
        self.0.passes() as f64
    }
}

impl From<Event> for NativeChunk {
    fn from(event: Event) -> Self {
        let Chunk { piece, tokens, logprobs } = match event {
            Event::PromptProgress { processed, total } => {
                return Self::PromptProgress { processed: count(processed), total: count(total) };
            }
            Event::Chunk(chunk) => chunk,
        };
        let logprobs = (!logprobs.is_empty()).then(|| logprobs.into_iter().map(NativeTokenLogprobs::from).collect());
        match piece {
            Piece::Text(text) => Self::Text { text, tokens, logprobs },
            Piece::Reasoning(text) => Self::Reasoning { text, tokens, logprobs },
            Piece::ToolCallDelta { index, id, name, arguments } => {
                Self::ToolCallDelta { index: count(index), id, name, arguments, tokens, logprobs }
            }
            Piece::ToolCall { index, id, name, arguments } => {
                let arguments = arguments.to_string();
                Self::ToolCall { index: count(index), id, name, arguments, tokens, logprobs }
            }
        }
    }
}

impl From<Logprob> for NativeLogprob {
    fn from(Logprob { id, token, logprob }: Logprob) -> Self {
        Self { id, token, logprob: f64::from(logprob) }
    }
}

impl From<TokenLogprobs> for NativeTokenLogprobs {
    fn from(TokenLogprobs { token, top }: TokenLogprobs) -> Self {
        let NativeLogprob { id, token, logprob } = token.into();
        Self { id, token, logprob, top: top.into_iter().map(NativeLogprob::from).collect() }
    }
}

impl From<FinishReason> for NativeFinishReason {
    fn from(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Stop => Self::Stop,
            FinishReason::Length => Self::Length,
            FinishReason::ToolCalls => Self::ToolCalls,
            FinishReason::Aborted => Self::Aborted,
        }
    }
}

impl From<Summary> for NativeGenerationResult {
    fn from(summary: Summary) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        Self {
            finish_reason: summary.finish_reason.into(),
            prompt_tokens: count(summary.prompt_tokens),
            cached_tokens: count(summary.cached_tokens),
            completion_tokens: count(summary.completion_tokens),
            reasoning_tokens: count(summary.reasoning_tokens),
            drafted_tokens: count(summary.drafted_tokens),
            accepted_tokens: count(summary.accepted_tokens),
            queue_ms: ms(summary.queue),
            prompt_ms: ms(summary.prompt),
            time_to_first_token_ms: ms(summary.time_to_first_token),
            prompt_tokens_per_second: summary.prompt_tokens_per_second(),
            generation_tokens_per_second: summary.generation_tokens_per_second(),
            peak_memory: summary.peak_memory as f64,
            stop_string: summary.stop_string,
        }
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
