// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A loaded model with its tokenizer, as callers use it: they send text or messages and read back the pieces of an answer.
//! The engine below knows token ids only. The Node addon is built on this module, and so is every other program that needs
//! what it does: chat templates, reasoning, tools, the tokens that end an answer.
//!
//! Methods return futures that do not borrow the session. They need a Tokio runtime.

mod chat_file;
mod generation;
mod load;
mod prompt;
mod workers;

use std::{
    future::Future,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, OnceLock},
    time::Instant,
};

use serde::de::DeserializeOwned;
use twox_hash::XxHash3_64;

pub use self::{
    chat_file::save_chat,
    generation::{Chunk, Event, Generation, Logprob, TokenLogprobs},
    load::{inspect, load},
    prompt::{Prompt, encode_request},
};
use crate::{
    engine::{self, Cancel, ModelId, SlotId},
    error::{Error, Result},
    generate::Readout,
    grammar::Grammars,
    limits::TEXT_THREADS,
    models::ModelInfo,
    options::{OnAbort, RunOptions},
    panics::lock,
    tokenizer::{TemplateOptions, Tokenizer},
};
use workers::Workers;

/// A loaded model. Dropping it frees the memory.
pub struct Session {
    id: ModelId,
    info: ModelInfo,
    /// `None` once the model is disposed of.
    text: Mutex<Option<Text>>,
    workers: Workers,
}

/// What turns text into tokens, and says which tokens a grammar allows.
#[derive(Clone)]
struct Text {
    tokenizer: Arc<Tokenizer>,
    grammars: Arc<Grammars>,
    /// Of all tokens and their ids; made once it is needed.
    fingerprint: Arc<OnceLock<u64>>,
}

impl Text {
    fn has_vocabulary_of(&self, other: &Self) -> bool {
        let of = |text: &Self| *text.fingerprint.get_or_init(|| fingerprint(&text.tokenizer));
        Arc::ptr_eq(&self.tokenizer, &other.tokenizer) || of(self) == of(other)
    }
}

fn fingerprint(tokenizer: &Tokenizer) -> u64 {
    let mut hash = XxHash3_64::with_seed(0);
    for id in 0..=tokenizer.largest_id() {
        tokenizer.id_to_token(id).hash(&mut hash);
    }
    hash.finish()
}

/// Tokens with a meaning of their own.
pub struct SpecialTokens {
    pub chat_template: Option<String>,
    pub bos_token: Option<String>,
    /// Tokens that end an answer.
    pub eos_token_ids: Vec<u32>,
}

impl Session {
    fn new(id: ModelId, info: ModelInfo, tokenizer: Tokenizer) -> Self {
        let tokenizer = Arc::new(tokenizer);
        let grammars = Grammars::new(Arc::clone(&tokenizer), info.vocab_size, eos_token_ids(&info, &tokenizer));
        let text = Mutex::new(Some(Text { tokenizer, grammars: Arc::new(grammars), fingerprint: Arc::default() }));
        Self { id, info, text, workers: Workers::new(TEXT_THREADS) }
    }

    pub fn id(&self) -> ModelId {
        self.id
    }

    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn text(&self) -> Result<Text> {
        lock(&self.text).clone().ok_or(Error::ModelDisposed)
    }

    fn tokenizer(&self) -> Result<Arc<Tokenizer>> {
        Ok(self.text()?.tokenizer)
    }

    /// # Errors
    /// `ModelDisposed`.
    pub fn special_tokens(&self) -> Result<SpecialTokens> {
        let Text { tokenizer, grammars, .. } = self.text()?;
        Ok(SpecialTokens {
            chat_template: tokenizer.chat_template().map(str::to_owned),
            bos_token: tokenizer.bos_token().map(str::to_owned),
            eos_token_ids: grammars.eos_token_ids().to_vec(),
        })
    }

    /// Starts a run, with the caches of `slot` if it is given. `options` is the JSON of [`RunOptions`]. Text is tokenized
    /// on another thread, and so are grammars compiled; other runs of token ids start in the order of the calls and do not
    /// wait for that. `is_cancelled`: it ends before its first token. `draft`: the model that guesses its tokens.
    ///
    /// # Errors
    /// `ModelDisposed`. Everything else is reported by the generation.
    pub fn generate(
        &self,
        prompt: Prompt,
        options: String,
        slot: Option<SlotId>,
        draft: Option<&Self>,
        is_cancelled: bool,
    ) -> Result<Generation> {
        let created = Instant::now();
        let text = self.text()?;
        let draft_text = draft.map(Self::text).transpose()?;
        let draft = draft.map(Self::id);
        let (generation, start) = Generation::new(self.id, slot, draft, Arc::clone(&text.tokenizer));
        if is_cancelled {
            generation.cancel();
        }
        let takes_long = !matches!(prompt, Prompt::Tokens(_)) || draft.is_some();
        let context_length = self.info.context_length;
        let encode = move |options: RunOptions| {
            check_draft(&options, &text, draft_text.as_ref())?;
            encode_request(&text.tokenizer, &text.grammars, prompt, options, context_length, created)
        };
        match parse_options(&options) {
            Ok(options) if takes_long || options.has_grammar() => {
                // What is kept of a run begins with its prompt.
                let keeps = matches!(options.on_abort, OnAbort::Keep);
                let cancel = if keeps { Cancel::default() } else { generation.cancelled_by() };
                let request = self.workers.run(&cancel, move || encode(options));
                tokio::spawn(async move { start(request.await) });
            }
            options => start(options.and_then(encode)),
        }
        Ok(generation)
    }

    /// Reads texts of at least one token each, one after the other, and returns the numbers of each.
    ///
    /// # Errors
    /// What is wrong with the texts; `ModelDisposed`, `QueueFull`, `InsufficientMemory`; `Aborted` if `cancel` was set.
    pub fn read(
        &self,
        texts: Vec<Vec<u32>>,
        readout: Readout,
        cancel: Cancel,
    ) -> impl Future<Output = Result<Vec<Vec<f32>>>> + Send + use<> {
        engine::read(self.id, texts, readout, cancel)
    }

    /// Text to token ids. `split_special_tokens`: special tokens in the text are text; `None`: the tokenizer's default.
    ///
    /// # Errors
    /// `ModelDisposed` or `TokenizeFailed`.
    pub fn encode(
        &self,
        text: String,
        add_special_tokens: bool,
        split_special_tokens: Option<bool>,
    ) -> impl Future<Output = Result<Vec<u32>>> + Send + use<> {
        let tokenizer = self.tokenizer();
        self.workers.run(&Cancel::default(), move || match split_special_tokens {
            Some(split) => tokenizer?.encode_splitting(&text, add_special_tokens, split),
            None => tokenizer?.encode(&text, add_special_tokens),
        })
    }

    /// Token ids to text.
    ///
    /// # Errors
    /// `ModelDisposed`, or `OutOfRange` for an id that the tokenizer does not have.
    pub fn decode(
        &self,
        ids: Vec<u32>,
        skip_special_tokens: bool,
    ) -> impl Future<Output = Result<String>> + Send + use<> {
        let tokenizer = self.tokenizer();
        self.workers.run(&Cancel::default(), move || tokenizer?.decode(&ids, skip_special_tokens))
    }

    /// Renders messages with the chat template. Both arguments are JSON: an array, and [`TemplateOptions`].
    ///
    /// # Errors
    /// `ModelDisposed`, or what is wrong with the template or its input.
    pub fn apply_chat_template(
        &self,
        messages: String,
        options: String,
    ) -> impl Future<Output = Result<String>> + Send + use<> {
        let tokenizer = self.tokenizer();
        self.workers.run(&Cancel::default(), move || {
            let options: TemplateOptions = parse("options", &options)?;
            tokenizer?.apply_chat_template(&parse("messages", &messages)?, &options)
        })
    }

    /// Frees the model; its runs end with `ModelDisposed`.
    pub fn dispose(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        drop(lock(&self.text).take());
        self.workers.close();
        engine::dispose(self.id)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        engine::dispose_later(self.id);
    }
}

/// Whether guesses of `draft` can be checked.
fn check_draft(options: &RunOptions, text: &Text, draft: Option<&Text>) -> Result<()> {
    let invalid = |message: &str| {
        Err(Error::InvalidArgValue { name: "speculative.draft".to_owned(), message: message.to_owned() })
    };
    match (options.draft_tokens(), draft) {
        (None, _) => Ok(()),
        (Some(_), None) => invalid("is missing"),
        (Some(_), Some(draft)) if text.has_vocabulary_of(draft) => Ok(()),
        (Some(_), Some(_)) => invalid("has another vocabulary than the model whose tokens it is to guess"),
    }
}

fn parse_options(json: &str) -> Result<RunOptions> {
    let options: RunOptions = parse("options", json)?;
    options.check()?;
    Ok(options)
}

/// The ids of generation_config.json, config.json and the tokenizer.
fn eos_token_ids(info: &ModelInfo, tokenizer: &Tokenizer) -> Vec<u32> {
    let mut ids = info.generation.eos_token_ids.clone();
    // A tokenizer may name a token that the model has no embedding for.
    let is_new = |id: &u32| (*id as usize) < info.vocab_size && !ids.contains(id);
    ids.extend(tokenizer.eos_token_id().filter(is_new));
    ids
}

/// Parses an argument that callers pass as JSON.
fn parse<T: DeserializeOwned>(name: &str, json: &str) -> Result<T> {
    serde_json::from_str(json)
        .map_err(|error| Error::InvalidArgValue { name: name.to_owned(), message: error.to_string() })
}
