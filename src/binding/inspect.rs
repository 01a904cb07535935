// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What a model is and needs, without loading it.

use std::path::PathBuf;

use napi_derive::napi;

use super::{
    errors::guard_async,
    model::{NativeLoadOptions, NativeModelInfo, backend},
};
use crate::engine;

#[napi(object)]
pub struct NativeInspection {
    /// As a loaded model reports it; `memoryUsage` is what the weights will take.
    pub info: NativeModelInfo,
    /// Bytes of the files that hold the weights.
    pub file_size: f64,
    /// Bytes that the KV cache takes at `context` tokens.
    pub cache: f64,
    /// Bytes that there are for both.
    pub available: f64,
}

/// Looks at everything but the weights' data. `context`: tokens; none for as many as the model attends to.
#[napi]
pub async fn inspect(options: NativeLoadOptions, context: Option<f64>) -> napi::Result<NativeInspection> {
    guard_async(async move {
        let backend = backend(options.device.as_deref())?;
        let (folder, adapter) = (PathBuf::from(options.path), options.adapter.map(PathBuf::from));
        let (info, available) = engine::inspect(folder, adapter, backend).await?;
        let context = context.map_or(info.context_length as u64, |tokens| tokens as u64);
        Ok(NativeInspection {
            file_size: info.file_bytes as f64,
            cache: info.cache_sizes.bytes(context, None, None) as f64,
            available: available as f64,
            info: NativeModelInfo::from(&info),
        })
    })
    .await
}
