// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Loading, and a loaded model.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use napi::{
    Env,
    bindgen_prelude::{FnArgs, Function, PromiseRaw, Uint32Array},
    threadsafe_function::ThreadsafeFunctionCallMode,
};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::{
    errors::{blocking, guard, promise},
    generation::NativeGeneration,
    request::NativeGenerateRequest,
    slot::NativeSlot,
};
use crate::{
    engine::{self, Cancel, ModelId, Progress},
    error::{Error, Result},
    mlx::{self, Backend},
    models::{self, ModelInfo},
    tokenizer::{TemplateOptions, Tokenizer},
};

const DEFAULT_MAX_QUEUE: u32 = 1024;

#[napi(object)]
pub struct NativeLoadOptions {
    pub path: String,
    /// The folder of an adapter.
    pub adapter: Option<String>,
    /// `auto` (the default), `gpu` or `cpu`.
    pub device: Option<String>,
    /// Runs that the model may have at a time.
    pub max_queue: Option<u32>,
}

/// A load in progress.
#[napi]
pub struct NativeLoad {
    cancel: Cancel,
    result: Mutex<Option<oneshot::Receiver<Result<Loaded>>>>,
}

/// What a load brings.
struct Loaded {
    id: ModelId,
    info: ModelInfo,
    tokenizer: Tokenizer,
}

/// Starts loading; `onProgress` gets the bytes read and the bytes in all.
#[napi]
pub fn load(
    options: NativeLoadOptions,
    on_progress: Option<Function<'_, FnArgs<(f64, f64)>, ()>>,
) -> napi::Result<NativeLoad> {
    let progress: Progress = match on_progress {
        None => Box::new(|_, _| ()),
        Some(callback) => {
            let callback = callback.build_threadsafe_function().weak::<true>().build()?;
            Box::new(move |loaded, total| {
                callback.call(FnArgs::from((loaded as f64, total as f64)), ThreadsafeFunctionCallMode::NonBlocking);
            })
        }
    };
    let cancel = Cancel::default();
    let (reply, result) = oneshot::channel();
    let task = load_model(options, cancel.clone(), progress);
    napi::bindgen_prelude::spawn(async move {
        let loaded = task.await;
        if let Err(Ok(unwanted)) = reply.send(loaded) {
            engine::dispose_later(unwanted.id);
        }
    });
    Ok(NativeLoad { cancel, result: Mutex::new(Some(result)) })
}

/// The tokenizer comes first: building it takes half as much again as it holds then, which is given back before the
/// weights come (docs/decisions/weights.md).
async fn load_model(options: NativeLoadOptions, cancel: Cancel, progress: Progress) -> Result<Loaded> {
    let folder = PathBuf::from(options.path);
    let backend = backend(options.device.as_deref())?;
    let max_queue = options.max_queue.unwrap_or(DEFAULT_MAX_QUEUE) as usize;
    let adapter = options.adapter.map(PathBuf::from);
    let path = folder.clone();
    let tokenizer = blocking(move || {
        models::check_folder(&path)?;
        let tokenizer = Tokenizer::from_dir(&path)?;
        trim_memory();
        Ok(tokenizer)
    })
    .await?;
    let (id, info) = engine::load(folder, adapter, backend, max_queue, cancel, progress).await?;
    let largest_id = tokenizer.largest_id();
    if largest_id as usize >= info.vocab_size {
        engine::dispose(id).await?;
        return Err(Error::TokenizerMismatch { largest_id, rows: info.vocab_size });
    }
    Ok(Loaded { id, info, tokenizer })
}

/// Gives what has been freed back to the system, where the allocator would keep it.
fn trim_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it locks what it needs, and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

pub(super) fn backend(device: Option<&str>) -> Result<Option<Backend>> {
    match device {
        None | Some("auto") => Ok(None),
        Some("gpu") => Ok(Some(Backend::Gpu)),
        Some("cpu") => Ok(Some(Backend::Cpu)),
        Some(other) => Err(Error::InvalidArgValue {
            name: "device".to_owned(),
            message: format!("'{other}' is not 'auto', 'gpu' or 'cpu'"),
        }),
    }
}

#[napi]
impl NativeLoad {
    /// The model. Can be called once.
    #[napi]
    pub fn result<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, NativeModel>> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        promise(env, async move {
            let result = result.ok_or_else(|| Error::internal("result() was called twice"))?;
            let loaded = result.await.unwrap_or_else(|_| Err(Error::internal("loading panicked")))?;
            let tokenizer = Mutex::new(Some(Arc::new(loaded.tokenizer)));
            Ok(NativeModel { id: loaded.id, info: loaded.info, tokenizer })
        })
    }

    /// Makes the load end with ABORT_ERR.
    #[napi]
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl Drop for NativeLoad {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// How a model's weights are quantized.
#[napi(object)]
pub struct NativeQuantization {
    pub bits: i32,
    pub group_size: i32,
    pub mode: String,
}

#[napi(object)]
pub struct NativeModelInfo {
    pub path: String,
    pub model_type: String,
    pub context_length: u32,
    pub vocab_size: u32,
    pub parameter_count: f64,
    pub quantization: Option<NativeQuantization>,
    pub device: String,
    pub memory_usage: f64,
}

impl From<&ModelInfo> for NativeModelInfo {
    fn from(info: &ModelInfo) -> Self {
        let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        Self {
            path: info.path.to_string_lossy().into_owned(),
            model_type: info.model_type.clone(),
            context_length: size(info.context_length),
            vocab_size: size(info.vocab_size),
            parameter_count: info.parameter_count as f64,
            quantization: info.quantization.map(|quantization| NativeQuantization {
                bits: quantization.bits,
                group_size: quantization.group_size,
                mode: quantization.mode.name().to_owned(),
            }),
            device: mlx::backend().name().to_owned(),
            memory_usage: info.weight_bytes as f64,
        }
    }
}

#[napi(object)]
pub struct NativeSpecialTokens {
    pub chat_template: Option<String>,
    pub bos_token: Option<String>,
    pub eos_token_ids: Vec<u32>,
}

/// A loaded model. Dropping it frees the memory.
#[napi]
pub struct NativeModel {
    id: ModelId,
    info: ModelInfo,
    /// Until the model is disposed of: this object stays until the next garbage collection.
    tokenizer: Mutex<Option<Arc<Tokenizer>>>,
}

/// What lib/ sends to render a chat template.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateRequest {
    messages: Value,
    tools: Option<Value>,
    documents: Option<Value>,
    #[serde(default)]
    add_generation_prompt: bool,
    #[serde(default)]
    continue_final_message: bool,
    #[serde(default)]
    chat_template_args: Map<String, Value>,
}

#[napi]
impl NativeModel {
    #[napi(catch_unwind)]
    pub fn info(&self) -> NativeModelInfo {
        NativeModelInfo::from(&self.info)
    }

    #[napi]
    pub fn special_tokens(&self) -> napi::Result<NativeSpecialTokens> {
        guard(|| {
            let tokenizer = self.tokenizer()?;
            Ok(NativeSpecialTokens {
                chat_template: tokenizer.chat_template().map(str::to_owned),
                bos_token: tokenizer.bos_token().map(str::to_owned),
                eos_token_ids: self.eos_token_ids(&tokenizer),
            })
        })
    }

    fn tokenizer(&self) -> Result<Arc<Tokenizer>> {
        self.tokenizer.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::ModelDisposed)
    }

    /// The config's, the generation config's and the tokenizer's, together.
    fn eos_token_ids(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        let mut ids = self.info.generation.eos_token_ids.clone();
        // A tokenizer may name a token that the model has no embedding for.
        let is_new = |id: &u32| (*id as usize) < self.info.vocab_size && !ids.contains(id);
        ids.extend(tokenizer.eos_token_id().filter(is_new));
        ids
    }

    /// Starts a run, with the caches of `slot` if it is given; whatever goes wrong is reported by its `next()`.
    #[napi]
    pub fn generate(
        &self,
        request: NativeGenerateRequest,
        slot: Option<&NativeSlot>,
    ) -> napi::Result<NativeGeneration> {
        let slot = slot.map(NativeSlot::id);
        guard(|| {
            let tokenizer = self.tokenizer()?;
            let eos_token_ids = self.eos_token_ids(&tokenizer);
            Ok(NativeGeneration::start(self.id, tokenizer, eos_token_ids, request, slot))
        })
    }

    /// A new, empty slot for the caches of runs of this model.
    #[napi(catch_unwind)]
    pub fn slot(&self) -> NativeSlot {
        NativeSlot::new(self.id)
    }

    #[napi]
    pub fn encode<'env>(
        &self,
        env: &'env Env,
        text: String,
        add_special_tokens: bool,
        split_special_tokens: Option<bool>,
    ) -> napi::Result<PromiseRaw<'env, Uint32Array>> {
        let tokenizer = self.tokenizer();
        let encode = move || {
            let tokenizer = tokenizer?;
            let ids = match split_special_tokens {
                Some(split) => tokenizer.encode_splitting(&text, add_special_tokens, split)?,
                None => tokenizer.encode(&text, add_special_tokens)?,
            };
            Ok(ids.into())
        };
        promise(env, blocking(encode))
    }

    #[napi]
    pub fn decode<'env>(
        &self,
        env: &'env Env,
        ids: Uint32Array,
        skip_special_tokens: bool,
    ) -> napi::Result<PromiseRaw<'env, String>> {
        let tokenizer = self.tokenizer();
        // The array belongs to the caller's thread.
        let ids = ids.to_vec();
        promise(env, blocking(move || tokenizer?.decode(&ids, skip_special_tokens)))
    }

    /// Renders messages; `request` is JSON.
    #[napi]
    pub fn apply_chat_template<'env>(&self, env: &'env Env, request: String) -> napi::Result<PromiseRaw<'env, String>> {
        let tokenizer = self.tokenizer();
        let render = move || {
            let request: TemplateRequest = parse("messages", &request)?;
            let options = TemplateOptions {
                add_generation_prompt: request.add_generation_prompt,
                continue_final_message: request.continue_final_message,
                tools: request.tools,
                documents: request.documents,
                extra: request.chat_template_args,
                ..TemplateOptions::default()
            };
            tokenizer?.apply_chat_template(&request.messages, &options)
        };
        promise(env, blocking(render))
    }

    /// Frees the model; its runs end with ERR_MODEL_DISPOSED.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn dispose<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        let tokenizer = self.tokenizer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let id = self.id;
        promise(env, async move {
            drop(tokenizer);
            engine::dispose(id).await
        })
    }
}

impl Drop for NativeModel {
    fn drop(&mut self) {
        engine::dispose_later(self.id);
    }
}

/// Parses an argument that lib/ passes as JSON.
pub fn parse<T: for<'de> Deserialize<'de>>(name: &str, json: &str) -> Result<T> {
    serde_json::from_str(json)
        .map_err(|error| Error::InvalidArgValue { name: name.to_owned(), message: error.to_string() })
}
