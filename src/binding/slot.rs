// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Where the caches of a chat wait for its next run.

use napi_derive::napi;

use super::errors::guard_async;
use crate::engine::{self, ModelId, SlotId};

/// A place for caches. Dropping it frees them.
#[napi]
pub struct NativeSlot {
    id: SlotId,
}

impl NativeSlot {
    pub fn new(model: ModelId) -> Self {
        Self { id: SlotId::new(model) }
    }

    pub fn id(&self) -> SlotId {
        self.id
    }
}

#[napi]
impl NativeSlot {
    /// Another one that starts with what waits in this one.
    #[napi(catch_unwind)]
    pub fn fork(&self) -> Self {
        Self { id: engine::fork_slot(self.id) }
    }

    /// Drops what waits here, and what a run would leave.
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

/// Sets how many bytes of caches may wait for chats, over all models, and gives the limit before.
#[napi]
pub async fn set_chat_cache_limit(bytes: f64) -> napi::Result<f64> {
    guard_async(async move { Ok(engine::limit_slots(bytes as usize).await? as f64) }).await
}
