// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A run of a model, as JavaScript pulls it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use napi::{
    Env,
    bindgen_prelude::{PromiseRaw, spawn},
};
use napi_derive::napi;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    errors::{blocking, promise, to_napi},
    request::{NativeGenerateRequest, PendingRequest},
};
use crate::{
    engine::{self, Cancel, ModelId, SlotId},
    error::{Error, Result},
    generate::{Chunk, Event, FinishReason, Request, Summary, TokenLogprobs},
    tokenizer::{Tokenizer, output::Piece},
};

/// A piece of the answer, or progress with the prompt.
#[napi(object)]
#[derive(Default)]
pub struct NativeChunk {
    /// `text`, `reasoning`, `tool-call-delta`, `tool-call` or `prompt-progress`.
    pub kind: String,
    /// Empty but for texts and reasoning.
    pub text: String,
    pub tokens: Vec<u32>,
    /// Of tool calls: the how many-th.
    pub index: Option<u32>,
    pub id: Option<String>,
    pub name: Option<String>,
    /// JSON, of a delta a part of it.
    pub arguments: Option<String>,
    /// One for each token, where they were asked for.
    pub logprobs: Option<Vec<NativeTokenLogprobs>>,
    pub processed: Option<u32>,
    pub total: Option<u32>,
}

/// A token that might have come.
#[napi(object)]
pub struct NativeLogprob {
    pub id: u32,
    /// As the vocabulary writes it.
    pub token: String,
    pub logprob: f64,
}

/// A token that came, and the likeliest ones in its place.
#[napi(object)]
pub struct NativeTokenLogprobs {
    pub id: u32,
    pub token: String,
    pub logprob: f64,
    pub top: Vec<NativeLogprob>,
}

/// What a run came to. Times are in milliseconds.
#[napi(object)]
pub struct NativeGenerationResult {
    /// `stop`, `length` or `tool-calls`.
    pub finish_reason: String,
    pub stop_string: Option<String>,
    pub prompt_tokens: u32,
    pub cached_tokens: u32,
    pub completion_tokens: u32,
    pub reasoning_tokens: u32,
    pub queue_ms: f64,
    pub prompt_ms: f64,
    pub time_to_first_token_ms: f64,
    pub prompt_tokens_per_second: f64,
    pub generation_tokens_per_second: f64,
    pub peak_memory: f64,
}

/// A run. Dropping it cancels it.
#[napi]
pub struct NativeGeneration {
    cancel: Cancel,
    passes: Arc<AtomicU64>,
    pull: Arc<tokio::sync::Mutex<Pull>>,
    summary: Arc<Mutex<Option<Summary>>>,
}

/// The receiving end.
struct Pull {
    events: UnboundedReceiver<Result<Event>>,
    /// Until the end: this object stays until the next garbage collection.
    tokenizer: Option<Arc<Tokenizer>>,
    /// Whether progress with the prompt is wanted.
    prompt_progress: bool,
    /// An error that came right behind chunks.
    failed: Option<Error>,
    ended: bool,
}

impl NativeGeneration {
    /// Starts a run: text becomes tokens off the event loop, then the engine takes over. Runs of token ids start in the
    /// order of the calls, and behind nobody's text.
    pub fn start(
        model: ModelId,
        tokenizer: Arc<Tokenizer>,
        eos_token_ids: Vec<u32>,
        request: NativeGenerateRequest,
        slot: Option<SlotId>,
    ) -> Self {
        let (sender, events) = unbounded_channel();
        let cancel = Cancel::default();
        let passes = Arc::new(AtomicU64::new(0));
        let prompt_progress = request.prompt_progress.unwrap_or(false);
        let vocabulary = Arc::clone(&tokenizer);
        let pending = PendingRequest::new(request);
        let (run_cancel, run_passes) = (cancel.clone(), Arc::clone(&passes));
        let start = move |request: Result<Request>| {
            let started = request
                .and_then(|request| engine::generate(model, request, slot, run_cancel, run_passes, sender.clone()));
            if let Err(error) = started {
                // Nobody listens any more if the run was dropped.
                let _ = sender.send(Err(error));
            }
        };
        if pending.has_text() {
            spawn(async move { start(blocking(move || pending.encode(&tokenizer, eos_token_ids)).await) });
        } else {
            start(pending.encode(&tokenizer, eos_token_ids));
        }
        let pull = Pull { events, tokenizer: Some(vocabulary), prompt_progress, failed: None, ended: false };
        Self { cancel, passes, pull: Arc::new(tokio::sync::Mutex::new(pull)), summary: Arc::default() }
    }
}

#[napi]
impl NativeGeneration {
    /// Waits for at least one chunk and gives all that are there; `null` at the end. Rejects with the run's error.
    #[napi(ts_return_type = "Promise<Array<NativeChunk> | null>")]
    pub fn next<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, Option<Vec<NativeChunk>>>> {
        let (pull, summary) = (Arc::clone(&self.pull), Arc::clone(&self.summary));
        promise(env, async move { pull.lock().await.next(&summary).await })
    }

    /// Makes the run end with ABORT_ERR before its next pass through the model.
    #[napi]
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// What the run came to, once `next()` has given `null`.
    #[napi]
    pub fn result(&self) -> napi::Result<NativeGenerationResult> {
        let summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        summary
            .as_ref()
            .map(NativeGenerationResult::from)
            .ok_or_else(|| to_napi(&Error::internal("the run has not ended")))
    }

    /// Passes through the model so far.
    #[napi(getter)]
    pub fn steps(&self) -> f64 {
        self.passes.load(Ordering::Relaxed) as f64
    }
}

impl Drop for NativeGeneration {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Pull {
    async fn next(&mut self, summary: &Mutex<Option<Summary>>) -> Result<Option<Vec<NativeChunk>>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut chunks = Vec::new();
        while chunks.is_empty() && !self.ended {
            let event = self.events.recv().await;
            self.take(event, &mut chunks, summary)?;
            while !self.ended
                && self.failed.is_none()
                && let Ok(event) = self.events.try_recv()
            {
                match event {
                    Err(error) if !chunks.is_empty() => {
                        self.end();
                        self.failed = Some(error);
                    }
                    event => self.take(Some(event), &mut chunks, summary)?,
                }
            }
        }
        Ok(if chunks.is_empty() { None } else { Some(chunks) })
    }

    fn take(
        &mut self,
        event: Option<Result<Event>>,
        chunks: &mut Vec<NativeChunk>,
        summary: &Mutex<Option<Summary>>,
    ) -> Result<()> {
        let event = event.unwrap_or_else(|| Err(Error::internal("the run ended without a word")));
        match event.inspect_err(|_| self.end())? {
            Event::Chunk(chunk) => chunks.push(self.chunk(chunk)),
            Event::Prefill { processed, total } => {
                if self.prompt_progress {
                    chunks.push(NativeChunk {
                        kind: "prompt-progress".to_owned(),
                        processed: Some(count(processed)),
                        total: Some(count(total)),
                        ..Default::default()
                    });
                }
            }
            Event::Done(done) => {
                self.end();
                *summary.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        self.ended = true;
        self.tokenizer = None;
    }

    fn chunk(&self, Chunk { piece, tokens, logprobs }: Chunk) -> NativeChunk {
        let of_token = |(id, logprob): (u32, f32)| NativeLogprob {
            id,
            token: self.tokenizer.as_ref().and_then(|tokenizer| tokenizer.id_to_token(id)).unwrap_or_default(),
            logprob: f64::from(logprob),
        };
        let of_step = |(id, logprobs): (&u32, TokenLogprobs)| {
            let NativeLogprob { id, token, logprob } = of_token((*id, logprobs.token));
            NativeTokenLogprobs { id, token, logprob, top: logprobs.top.into_iter().map(of_token).collect() }
        };
        let logprobs = (!logprobs.is_empty()).then(|| tokens.iter().zip(logprobs).map(of_step).collect());
        NativeChunk { tokens, logprobs, ..NativeChunk::from(piece) }
    }
}

impl From<Piece> for NativeChunk {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Text(text) => Self { kind: "text".to_owned(), text, ..Self::default() },
            Piece::Reasoning(text) => Self { kind: "reasoning".to_owned(), text, ..Self::default() },
            Piece::ToolCallDelta { index, name, arguments } => Self {
                kind: "tool-call-delta".to_owned(),
                index: Some(count(index)),
                name,
                arguments: Some(arguments),
                ..Self::default()
            },
            Piece::ToolCall { index, id, name, arguments } => Self {
                kind: "tool-call".to_owned(),
                index: Some(count(index)),
                id: Some(id),
                name: Some(name),
                arguments: Some(arguments.to_string()),
                ..Self::default()
            },
        }
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl From<&Summary> for NativeGenerationResult {
    fn from(summary: &Summary) -> Self {
        let per_second = |count: usize, time: Duration| {
            let seconds = time.as_secs_f64();
            if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
        };
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        Self {
            finish_reason: match summary.finish_reason {
                FinishReason::Stop => "stop".to_owned(),
                FinishReason::Length => "length".to_owned(),
                FinishReason::ToolCalls => "tool-calls".to_owned(),
            },
            stop_string: summary.stop_string.clone(),
            prompt_tokens: count(summary.prompt_tokens),
            cached_tokens: count(summary.cached_tokens),
            completion_tokens: count(summary.completion_tokens),
            reasoning_tokens: count(summary.reasoning_tokens),
            queue_ms: ms(summary.queue),
            prompt_ms: ms(summary.prompt),
            time_to_first_token_ms: ms(summary.time_to_first_token),
            prompt_tokens_per_second: per_second(summary.prompt_tokens - summary.cached_tokens, summary.prompt),
            // The first token belongs to the prompt's time.
            generation_tokens_per_second: per_second(summary.completion_tokens.saturating_sub(1), summary.generation),
            peak_memory: summary.peak_memory as f64,
        }
    }
}
