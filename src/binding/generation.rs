// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A run of a model, as JavaScript pulls it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use napi::bindgen_prelude::{Uint32Array, spawn};
use napi_derive::napi;
use serde_json::{Map, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    errors::{blocking, guard_async, to_napi},
    model::parse,
};
use crate::{
    engine::{self, Cancel, ModelId, SlotId},
    error::{Error, Result},
    generate::{Event, FinishReason, Request, SamplingRequest, Summary},
    tokenizer::{TemplateOptions, Tokenizer},
};

const DEFAULT_PREFILL_STEP_SIZE: u32 = 2048;

/// What to generate: exactly one of `text`, `messages` and `tokens`.
#[napi(object)]
pub struct NativeGenerateRequest {
    pub text: Option<String>,
    /// Do not put `text` through the chat template.
    pub raw: Option<bool>,
    /// JSON
    pub messages: Option<String>,
    pub tokens: Option<Uint32Array>,
    /// JSON
    pub tools: Option<String>,
    /// JSON
    pub chat_template_args: Option<String>,
    pub max_tokens: Option<f64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<i32>,
    pub min_p: Option<f64>,
    pub min_tokens_to_keep: Option<i32>,
    /// Below 2^53.
    pub seed: Option<f64>,
    pub stop: Option<Vec<String>>,
    pub ignore_eos: Option<bool>,
    pub prefill_step_size: Option<u32>,
    /// Report progress with the prompt among the chunks.
    pub prompt_progress: Option<bool>,
}

/// A piece of the answer; or, where `processed` and `total` are given, progress with the prompt.
#[napi(object)]
pub struct NativeChunk {
    pub text: String,
    pub tokens: Vec<u32>,
    pub processed: Option<u32>,
    pub total: Option<u32>,
}

/// What a run came to. Times are in milliseconds.
#[napi(object)]
pub struct NativeGenerationResult {
    /// `stop` or `length`.
    pub finish_reason: String,
    pub stop_string: Option<String>,
    pub prompt_tokens: u32,
    pub cached_tokens: u32,
    pub completion_tokens: u32,
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
    /// Whether progress with the prompt is wanted.
    prompt_progress: bool,
    /// An error that came right behind chunks.
    failed: Option<Error>,
    ended: bool,
}

impl NativeGeneration {
    /// Starts a run: text becomes tokens off the event loop, then the engine takes over.
    pub fn start(
        model: ModelId,
        tokenizer: Arc<Tokenizer>,
        eos_token_ids: Vec<u32>,
        request: NativeGenerateRequest,
        slot: Option<SlotId>,
    ) -> Self {
        let created = Instant::now();
        let (sender, events) = unbounded_channel();
        let cancel = Cancel::default();
        let passes = Arc::new(AtomicU64::new(0));
        let prompt_progress = request.prompt_progress.unwrap_or(false);
        // A typed array belongs to JavaScript's thread: copy what is in it.
        let tokens = request.tokens.as_ref().map(|tokens| tokens.to_vec());
        let prompt = Prompt::new(&request, tokens);
        let options = RunOptions::new(&request, eos_token_ids);
        let (run_cancel, run_passes) = (cancel.clone(), Arc::clone(&passes));
        spawn(async move {
            if let Err(error) =
                submit(model, tokenizer, prompt, options, slot, created, run_cancel, run_passes, sender.clone()).await
            {
                // Nobody listens any more if the run was dropped.
                let _ = sender.send(Err(error));
            }
        });
        let pull = Pull { events, prompt_progress, failed: None, ended: false };
        Self { cancel, passes, pull: Arc::new(tokio::sync::Mutex::new(pull)), summary: Arc::default() }
    }
}

/// A prompt as it comes from JavaScript.
enum Prompt {
    Tokens(Vec<u32>),
    Raw(String),
    Text { text: String, template: TemplateJson },
    Messages { messages: String, template: TemplateJson },
    None,
}

/// What goes into a chat template besides the messages, as JSON.
struct TemplateJson {
    tools: Option<String>,
    chat_template_args: Option<String>,
}

impl Prompt {
    fn new(request: &NativeGenerateRequest, tokens: Option<Vec<u32>>) -> Self {
        let template =
            TemplateJson { tools: request.tools.clone(), chat_template_args: request.chat_template_args.clone() };
        match (tokens, &request.messages, &request.text) {
            (Some(tokens), ..) => Self::Tokens(tokens),
            (None, Some(messages), _) => Self::Messages { messages: messages.clone(), template },
            (None, None, Some(text)) if request.raw == Some(true) => Self::Raw(text.clone()),
            (None, None, Some(text)) => Self::Text { text: text.clone(), template },
            (None, None, None) => Self::None,
        }
    }

    /// The tokens of the prompt.
    fn encode(self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        match self {
            Self::Tokens(tokens) => Ok(tokens),
            Self::Raw(text) => tokenizer.encode(&text, true),
            // As mlx-lm's command line: one message of the user, where the model has a chat template.
            Self::Text { text, .. } if tokenizer.chat_template().is_none() => tokenizer.encode(&text, true),
            Self::Text { text, template } => {
                let messages = serde_json::json!([{ "role": "user", "content": text }]);
                template.encode(tokenizer, &messages)
            }
            Self::Messages { messages, template } => {
                template.encode(tokenizer, &parse::<Value>("messages", &messages)?)
            }
            Self::None => Err(Error::InvalidArgValue { name: "prompt".to_owned(), message: "is missing".to_owned() }),
        }
    }
}

impl TemplateJson {
    fn encode(&self, tokenizer: &Tokenizer, messages: &Value) -> Result<Vec<u32>> {
        let options = TemplateOptions {
            add_generation_prompt: true,
            continue_final_message: false,
            tools: self.tools.as_deref().map(|json| parse("tools", json)).transpose()?,
            documents: None,
            extra: match &self.chat_template_args {
                Some(json) => parse("chatTemplateArgs", json)?,
                None => Map::new(),
            },
        };
        tokenizer.encode(&tokenizer.apply_chat_template(messages, &options)?, false)
    }
}

/// Everything about a run but its prompt.
struct RunOptions {
    max_tokens: Option<usize>,
    sampling: SamplingRequest,
    stop: Vec<String>,
    eos_token_ids: Vec<u32>,
    prefill_step_size: usize,
}

impl RunOptions {
    fn new(request: &NativeGenerateRequest, eos_token_ids: Vec<u32>) -> Self {
        let float = |value: Option<f64>| value.map(|value| value as f32);
        Self {
            max_tokens: request.max_tokens.map(|tokens| tokens as usize),
            sampling: SamplingRequest {
                temperature: float(request.temperature),
                top_p: float(request.top_p),
                top_k: request.top_k,
                min_p: float(request.min_p),
                min_tokens_to_keep: request.min_tokens_to_keep,
                seed: request.seed.map_or_else(random_seed, |seed| seed as u64),
            },
            stop: request.stop.clone().unwrap_or_default(),
            eos_token_ids: if request.ignore_eos == Some(true) { vec![] } else { eos_token_ids },
            prefill_step_size: request.prefill_step_size.unwrap_or(DEFAULT_PREFILL_STEP_SIZE) as usize,
        }
    }
}

/// Every hasher of the standard library is keyed at random.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

#[allow(clippy::too_many_arguments, reason = "one call site, and no two belong together")]
async fn submit(
    model: ModelId,
    tokenizer: Arc<Tokenizer>,
    prompt: Prompt,
    options: RunOptions,
    slot: Option<SlotId>,
    created: Instant,
    cancel: Cancel,
    passes: Arc<AtomicU64>,
    events: UnboundedSender<Result<Event>>,
) -> Result<()> {
    let detokenizer = tokenizer.detokenizer();
    let prompt = blocking(move || prompt.encode(&tokenizer)).await?;
    let request = Request {
        prompt,
        max_tokens: options.max_tokens,
        sampling: options.sampling,
        stop: options.stop,
        eos_token_ids: options.eos_token_ids,
        prefill_step_size: options.prefill_step_size,
        detokenizer,
        created,
    };
    engine::generate(model, request, slot, cancel, passes, events)
}

#[napi]
impl NativeGeneration {
    /// Waits for at least one chunk and gives all that are there; `null` at the end. Rejects with the run's error.
    #[napi]
    pub async fn next(&self) -> napi::Result<Option<Vec<NativeChunk>>> {
        let (pull, summary) = (Arc::clone(&self.pull), Arc::clone(&self.summary));
        guard_async(async move { pull.lock().await.next(&summary).await }).await
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
                        self.ended = true;
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
        match event.inspect_err(|_| self.ended = true)? {
            Event::Chunk(chunk) => {
                chunks.push(NativeChunk { text: chunk.text, tokens: chunk.tokens, processed: None, total: None });
            }
            Event::Prefill { processed, total } => {
                let count = |count: usize| Some(u32::try_from(count).unwrap_or(u32::MAX));
                if self.prompt_progress {
                    chunks.push(NativeChunk {
                        text: String::new(),
                        tokens: vec![],
                        processed: count(processed),
                        total: count(total),
                    });
                }
            }
            Event::Done(done) => {
                self.ended = true;
                *summary.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            }
        }
        Ok(())
    }
}

impl From<&Summary> for NativeGenerationResult {
    fn from(summary: &Summary) -> Self {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let per_second = |count: usize, time: Duration| {
            let seconds = time.as_secs_f64();
            if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
        };
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        Self {
            finish_reason: match summary.finish_reason {
                FinishReason::Stop => "stop".to_owned(),
                FinishReason::Length => "length".to_owned(),
            },
            stop_string: summary.stop_string.clone(),
            prompt_tokens: count(summary.prompt_tokens),
            cached_tokens: count(summary.cached_tokens),
            completion_tokens: count(summary.completion_tokens),
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
