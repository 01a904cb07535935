// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Slots, which keep the caches of a chat between its runs.

use std::path::PathBuf;

use napi::{Env, bindgen_prelude::PromiseRaw};
use napi_derive::napi;

use super::errors::{guard_async, promise};
use crate::{
    engine::{self, ModelId, SlotId},
    session,
};

/// A place for caches. Dropping it frees them.
#[napi]
pub struct NativeSlot {
    id: SlotId,
}

impl NativeSlot {
    pub fn new(model: ModelId) -> Self {
        Self { id: SlotId::new(model) }
    }

    pub fn with_id(id: SlotId) -> Self {
        Self { id }
    }

    pub fn id(&self) -> SlotId {
        self.id
    }
}

#[napi]
impl NativeSlot {
    /// Creates a slot with the caches of this one.
    #[napi(catch_unwind)]
    pub fn fork(&self) -> Self {
        Self { id: engine::fork_slot(self.id) }
    }

    /// Writes a chat, which is JSON, and the caches to a file.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn save<'env>(&self, env: &'env Env, path: String, chat: String) -> napi::Result<PromiseRaw<'env, ()>> {
        promise(env, session::save_chat(self.id, PathBuf::from(path), chat))
    }

    /// Drops the caches, and those that an active run would put here.
    #[napi(catch_unwind)]
    pub fn free(&self) {
        engine::free_slot(self.id);
    }
}

impl Drop for NativeSlot {
    fn drop(&mut self) {
        engine::free_slot(self.id);
    }
}

/// Sets the maximum number of bytes in slots, over all models, and returns the previous limit.
#[napi]
pub async fn set_chat_cache_limit(bytes: f64) -> napi::Result<f64> {
    guard_async(async move { Ok(engine::limit_slots(bytes as usize).await? as f64) }).await
}
