// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Texts that are read for numbers.

use std::{future::Future, sync::Mutex};

use napi::{
    Env,
    bindgen_prelude::{Float32Array, PromiseRaw},
};
use napi_derive::napi;

use super::errors::promise;
use crate::{
    engine::Cancel,
    error::{Error, Result},
    generate::Readout,
    panics::lock,
};

/// What is read of each text: the mean of its hidden states without those of the first tokens, its last hidden state, or the
/// logits of some tokens behind it.
#[napi(discriminant_case = "kebab-case", object_to_js = false)]
pub enum NativeReadout {
    Mean { skip: u32 },
    Last,
    Logits { tokens: Vec<u32> },
}

impl From<NativeReadout> for Readout {
    fn from(readout: NativeReadout) -> Self {
        match readout {
            NativeReadout::Mean { skip } => Self::Mean { skip: skip as usize },
            NativeReadout::Last => Self::Last,
            NativeReadout::Logits { tokens } => Self::Logits(tokens),
        }
    }
}

type Numbers = std::pin::Pin<Box<dyn Future<Output = Result<Vec<Vec<f32>>>> + Send>>;

/// Texts that are being read. Dropping it cancels that.
#[napi]
pub struct NativeReading {
    cancel: Cancel,
    result: Mutex<Option<Numbers>>,
}

impl NativeReading {
    pub fn start<F: Future<Output = Result<Vec<Vec<f32>>>> + Send + 'static>(read: impl FnOnce(Cancel) -> F) -> Self {
        let cancel = Cancel::default();
        let result: Numbers = Box::pin(read(cancel.clone()));
        Self { cancel, result: Mutex::new(Some(result)) }
    }
}

#[napi]
impl NativeReading {
    /// The numbers of each text. Can be called once.
    #[napi]
    pub fn result<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, Vec<Float32Array>>> {
        let result = lock(&self.result).take();
        promise(env, async move {
            let result = result.ok_or_else(|| Error::internal("result() was called twice"))?;
            Ok(result.await?.into_iter().map(Float32Array::from).collect())
        })
    }

    /// Makes it end with ABORT_ERR before the next pass.
    #[napi]
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl Drop for NativeReading {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
