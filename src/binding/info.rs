// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What is known of a model, loaded or not.

use std::path::PathBuf;

use napi_derive::napi;

use super::errors::guard_async;
use crate::{
    engine::LoadOptions,
    mlx::{self, Backend},
    models::{ModelInfo, Output},
    session,
};

#[napi(string_enum = "kebab-case")]
pub enum NativeDevice {
    Gpu,
    Cpu,
}

#[napi(object, object_to_js = false)]
pub struct NativeLoadOptions {
    pub path: String,
    /// The folder of an adapter.
    pub adapter: Option<String>,
    /// The best that there is, if missing.
    pub device: Option<NativeDevice>,
    /// Maximum number of runs at a time.
    pub max_queue: Option<u32>,
    /// In tokens, if not what the config says.
    pub context_length: Option<u32>,
    /// Whether the output layer is left out.
    pub headless: Option<bool>,
}

/// How a model's weights are quantized.
#[napi(object, object_from_js = false)]
pub struct NativeQuantization {
    pub bits: i32,
    pub group_size: i32,
    pub mode: String,
}

#[napi(object, object_from_js = false)]
pub struct NativeModelInfo {
    pub path: String,
    pub model_type: String,
    pub context_length: u32,
    pub vocab_size: u32,
    pub hidden_size: u32,
    pub parameter_count: f64,
    pub quantization: Option<NativeQuantization>,
    pub device: NativeDevice,
    pub memory_usage: f64,
}

#[napi(object, object_from_js = false)]
pub struct NativeInspection {
    /// As a loaded model reports it; `memoryUsage` is what the weights will take.
    pub info: NativeModelInfo,
    /// Bytes of the files that hold the weights.
    pub file_size: f64,
    /// Bytes that the KV cache takes at `context` tokens.
    pub cache: f64,
    /// Bytes that are available for both.
    pub available: f64,
}

/// Reads everything but the weights' data. `context`: tokens; the model's context length if missing.
#[napi]
pub async fn inspect(options: NativeLoadOptions, context: Option<f64>) -> napi::Result<NativeInspection> {
    guard_async(async move {
        let LoadOptions { folder, adapter, backend, .. } = options.into();
        let (info, available) = session::inspect(folder, adapter, backend).await?;
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

impl From<NativeLoadOptions> for LoadOptions {
    fn from(options: NativeLoadOptions) -> Self {
        let mut this = Self::new(options.path);
        this.adapter = options.adapter.map(PathBuf::from);
        this.backend = options.device.map(Backend::from);
        if let Some(max_queue) = options.max_queue {
            this.max_queue = max_queue as usize;
        }
        this.context_length = options.context_length.map(|tokens| tokens as usize);
        if options.headless == Some(true) {
            this.output = Output::HiddenStates;
        }
        this
    }
}

impl From<NativeDevice> for Backend {
    fn from(device: NativeDevice) -> Self {
        match device {
            NativeDevice::Gpu => Self::Gpu,
            NativeDevice::Cpu => Self::Cpu,
        }
    }
}

impl From<Backend> for NativeDevice {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Gpu => Self::Gpu,
            Backend::Cpu => Self::Cpu,
        }
    }
}

impl From<&ModelInfo> for NativeModelInfo {
    fn from(info: &ModelInfo) -> Self {
        let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        Self {
            path: info.path.to_string_lossy().into_owned(),
            model_type: info.model_type.clone(),
            context_length: size(info.context_length),
            vocab_size: size(info.vocab_size),
            hidden_size: size(info.hidden_size),
            parameter_count: info.parameter_count as f64,
            quantization: info.quantization.map(|quantization| NativeQuantization {
                bits: quantization.bits,
                group_size: quantization.group_size,
                mode: quantization.mode.name().to_owned(),
            }),
            device: mlx::backend().into(),
            memory_usage: info.weight_bytes as f64,
        }
    }
}
