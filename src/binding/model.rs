// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Loading, and a loaded model.

use std::{path::Path, sync::Mutex};

use napi::{
    Env,
    bindgen_prelude::{FnArgs, Function, PromiseRaw, Uint32Array, spawn, within_runtime_if_available},
    threadsafe_function::ThreadsafeFunctionCallMode,
};
use napi_derive::napi;
use tokio::sync::oneshot;

use super::{
    errors::{guard, promise},
    generation::NativeGeneration,
    info::{NativeLoadOptions, NativeModelInfo},
    reading::{NativeReading, NativeReadout},
    slot::NativeSlot,
};
use crate::{
    engine::{Cancel, Progress},
    error::{Error, Result},
    panics::lock,
    session::{self, Prompt, Session},
};

/// A load in progress.
#[napi]
pub struct NativeLoad {
    cancel: Cancel,
    result: Mutex<Option<oneshot::Receiver<Result<Session>>>>,
}

/// Starts loading; `onProgress` gets the number of bytes read, and in all.
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
    let loading = session::load(options.into(), cancel.clone(), progress);
    // If nobody waits any more, dropping the session frees the model.
    spawn(async move { drop(reply.send(loading.await)) });
    Ok(NativeLoad { cancel, result: Mutex::new(Some(result)) })
}

#[napi]
impl NativeLoad {
    /// The model. Can be called once.
    #[napi]
    pub fn result<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, NativeModel>> {
        let result = lock(&self.result).take();
        promise(env, async move {
            let result = result.ok_or_else(|| Error::internal("result() was called twice"))?;
            let session = result.await.unwrap_or_else(|_| Err(Error::internal("loading panicked")))?;
            Ok(NativeModel(session))
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

/// What a run continues. `messages` is JSON.
#[napi(discriminant_case = "kebab-case", object_to_js = false)]
pub enum NativePrompt {
    Tokens { tokens: Uint32Array },
    Raw { text: String },
    Text { text: String },
    Messages { messages: String },
}

#[napi(object, object_from_js = false)]
pub struct NativeSpecialTokens {
    pub chat_template: Option<String>,
    pub bos_token: Option<String>,
    pub eos_token_ids: Vec<u32>,
}

/// A chat from a file.
#[napi]
pub struct NativeRestored {
    slot: Option<NativeSlot>,
    chat: String,
}

#[napi]
impl NativeRestored {
    /// JSON
    #[napi(getter, catch_unwind)]
    pub fn chat(&self) -> String {
        self.chat.clone()
    }

    /// Can be called once.
    #[napi]
    pub fn slot(&mut self) -> napi::Result<NativeSlot> {
        guard(|| self.slot.take().ok_or_else(|| Error::internal("slot() was called twice")))
    }
}

/// A loaded model. Dropping it frees the memory.
#[napi]
pub struct NativeModel(Session);

#[napi]
impl NativeModel {
    #[napi(catch_unwind)]
    pub fn info(&self) -> NativeModelInfo {
        NativeModelInfo::from(self.0.info())
    }

    #[napi]
    pub fn special_tokens(&self) -> napi::Result<NativeSpecialTokens> {
        let session::SpecialTokens { chat_template, bos_token, eos_token_ids } = guard(|| self.0.special_tokens())?;
        Ok(NativeSpecialTokens { chat_template, bos_token, eos_token_ids })
    }

    /// Starts a run, with the caches of `slot` if it is given; `next()` reports whatever goes wrong. `options` is JSON.
    /// `cancelled`: it ends before its first token. `draft`: the model that guesses its tokens.
    #[napi]
    pub fn generate(
        &self,
        prompt: NativePrompt,
        options: String,
        slot: Option<&NativeSlot>,
        cancelled: Option<bool>,
        draft: Option<&NativeModel>,
    ) -> napi::Result<NativeGeneration> {
        let (slot, draft) = (slot.map(NativeSlot::id), draft.map(|draft| &draft.0));
        let is_cancelled = cancelled.unwrap_or(false);
        let start = || self.0.generate(prompt.into(), options, slot, draft, is_cancelled);
        guard(|| within_runtime_if_available(start)).map(NativeGeneration::from)
    }

    /// Starts to read texts, each given by its token ids.
    #[napi(catch_unwind)]
    pub fn read(&self, texts: Vec<Uint32Array>, readout: NativeReadout) -> NativeReading {
        // The arrays belong to the caller's thread.
        let texts = texts.iter().map(|text| text.to_vec()).collect();
        NativeReading::start(|cancel| self.0.read(texts, readout.into(), cancel))
    }

    /// A new, empty slot for the caches of runs of this model.
    #[napi(catch_unwind)]
    pub fn slot(&self) -> NativeSlot {
        NativeSlot::new(self.0.id())
    }

    /// Reads the file of a chat, whose caches are in the slot if they are this model's.
    #[napi]
    pub fn restore(&self, path: String) -> napi::Result<NativeRestored> {
        let (slot, chat) = guard(|| self.0.restore_chat(Path::new(&path)))?;
        Ok(NativeRestored { slot: Some(NativeSlot::with_id(slot)), chat })
    }

    #[napi]
    pub fn encode<'env>(
        &self,
        env: &'env Env,
        text: String,
        add_special_tokens: bool,
        split_special_tokens: Option<bool>,
    ) -> napi::Result<PromiseRaw<'env, Uint32Array>> {
        let ids = self.0.encode(text, add_special_tokens, split_special_tokens);
        promise(env, async move { ids.await.map(Uint32Array::from) })
    }

    #[napi]
    pub fn decode<'env>(
        &self,
        env: &'env Env,
        ids: Uint32Array,
        skip_special_tokens: bool,
    ) -> napi::Result<PromiseRaw<'env, String>> {
        // The array belongs to the caller's thread.
        promise(env, self.0.decode(ids.to_vec(), skip_special_tokens))
    }

    /// Renders messages with the chat template. Both arguments are JSON.
    #[napi]
    pub fn apply_chat_template<'env>(
        &self,
        env: &'env Env,
        messages: String,
        options: String,
    ) -> napi::Result<PromiseRaw<'env, String>> {
        promise(env, self.0.apply_chat_template(messages, options))
    }

    /// Frees the model; its runs end with ERR_MODEL_DISPOSED.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn dispose<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        promise(env, self.0.dispose())
    }
}

impl From<NativePrompt> for Prompt {
    fn from(prompt: NativePrompt) -> Self {
        match prompt {
            // A typed array belongs to JavaScript's thread.
            NativePrompt::Tokens { tokens } => Self::Tokens(tokens.to_vec()),
            NativePrompt::Raw { text } => Self::Raw(text),
            NativePrompt::Text { text } => Self::Text(text),
            NativePrompt::Messages { messages } => Self::Messages(messages),
        }
    }
}
