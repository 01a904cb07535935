// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The error type of the crate. Every variant names the file, tensor, field or option concerned, and has a stable
//! code that JavaScript callers can switch on.

use std::{borrow::Cow, path::PathBuf};

use serde_json::json;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// All errors that a caller can see.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model folder does not exist, or is not a folder.
    #[error("no model folder at '{}'{hint}", path.display())]
    ModelNotFound { path: PathBuf, hint: String },
    /// The folder lacks a required file.
    #[error("the model folder '{}' has no {file}", path.display())]
    ModelFileMissing { path: PathBuf, file: String },
    /// The folder's tokenizer has not been converted to tokenizer.json.
    #[error(
        "the model folder '{}' has no tokenizer.json, only {file}: write one in Python, with \
         transformers' AutoTokenizer.from_pretrained(folder).save_pretrained(folder)",
        path.display()
    )]
    TokenizerUnconverted { path: PathBuf, file: String },
    /// config.json (or a file like it) cannot be used.
    #[error("{file}: {field}: {message}")]
    ConfigInvalid { file: String, field: String, message: String },
    /// The architecture is not ported.
    #[error("model_type '{model_type}' is not supported; the supported types are {}", supported.join(", "))]
    ModelUnsupported { model_type: String, supported: Vec<&'static str> },
    /// A weight file is malformed.
    #[error("{}: {message}", path.display())]
    WeightsInvalid { path: PathBuf, message: String },
    /// The weights do not fit the architecture.
    #[error("the weights do not fit the model: {}", problems.join("; "))]
    WeightsMismatch { problems: Vec<String> },
    /// A file name points outside the model folder.
    #[error("'{name}' in {file} points outside the model folder")]
    UnsafePath { file: String, name: String },
    /// tokenizer.json cannot be used.
    #[error("{}: {message}", path.display())]
    TokenizerInvalid { path: PathBuf, message: String },
    /// The tokenizer has ids without an embedding in the model.
    #[error("the tokenizer's largest token id is {largest_id}, but the model has {rows} embedding rows")]
    TokenizerMismatch { largest_id: u32, rows: usize },
    /// The tokenizer failed on a text.
    #[error("the text could not be tokenized: {message}")]
    TokenizeFailed { message: String },
    /// The chat template is invalid, or raised an exception.
    #[error("chat template: {message}")]
    ChatTemplate { message: String },
    /// The chat template exceeded a limit of time, memory or depth.
    #[error("chat template: {message}")]
    ChatTemplateLimit { message: String },
    /// An argument has a value of the wrong kind.
    #[error("{name}: {message}")]
    InvalidArgValue { name: String, message: String },
    /// A number is outside its range.
    #[error("{name}: {message}")]
    OutOfRange { name: String, message: String },
    /// A schema, regular expression or grammar cannot be followed.
    #[error("{name}: {}{message}", path.as_ref().map(|path| format!("at {path}: ")).unwrap_or_default())]
    GrammarUnsupported { name: &'static str, path: Option<String>, message: String },
    /// The prompt does not fit the model's context.
    #[error("the prompt has {prompt_tokens} tokens, but the context length is {limit}")]
    ContextOverflow { prompt_tokens: usize, limit: usize },
    /// The prompt has more characters than could fit the model's context.
    #[error(
        "the prompt has {characters} characters, more than the {character_limit} that could fit a context of {limit} \
         tokens"
    )]
    PromptTooLong { characters: usize, character_limit: usize, limit: usize },
    /// The model's queue is full.
    #[error("the model already has {limit} active and waiting runs (maxQueue); try again later")]
    QueueFull { limit: usize },
    /// The model produced NaN, or no finite logit.
    #[error("the model produced non-finite logits at step {step}; its weights are probably corrupt")]
    NonFiniteLogits { step: usize },
    /// Something would not fit into memory; nothing was allocated for it.
    #[error("{what} take {}, but only {} are available: {hint}", megabytes(*required), megabytes(*available))]
    InsufficientMemory { what: Cow<'static, str>, required: u64, available: u64, hint: &'static str },
    /// The device ran out of memory during a computation.
    #[error("the device ran out of memory: {message}")]
    OutOfMemory { message: String },
    /// A GPU gave up work that it had been given.
    #[error("{}: {message}", failure.advice())]
    GpuFailed { failure: GpuFailure, message: String },
    /// A saved chat is damaged, or cannot be read or written.
    #[error("the saved chat '{}' {message}", path.display())]
    ChatFile { path: PathBuf, message: String },
    /// The requested device is not available.
    #[error("no {device} is available on this machine with this build{}", after_colon(reason.as_deref()))]
    DeviceUnavailable { device: &'static str, reason: Option<String> },
    /// The caller aborted the operation.
    #[error("the operation was aborted")]
    Aborted,
    /// The model was disposed.
    #[error("the model has been disposed")]
    ModelDisposed,
    /// A bug in node-mlx.
    #[error("internal error (please report it): {message}")]
    Internal { message: String },
}

/// Why a GPU gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuFailure {
    /// Work took too long.
    Timeout,
    /// Work kept the screen waiting.
    Interactivity,
    Hang,
    /// Work of another program failed.
    Victim,
    /// The system takes no more work of this process.
    Ignored,
    /// The process can use the GPU no more.
    Lost,
}

impl GpuFailure {
    fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Interactivity => "interactivity",
            Self::Hang => "hang",
            Self::Victim => "victim",
            Self::Ignored => "ignored",
            Self::Lost => "lost",
        }
    }

    /// Whether all later work of the process fails as well.
    fn needs_restart(self) -> bool {
        matches!(self, Self::Ignored | Self::Lost)
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Timeout => "the GPU took too long; try again, with a smaller prefillStepSize if it was a long prompt",
            Self::Interactivity => {
                "the system ended the GPU's work as it kept the screen waiting; try again, with a smaller prefillStepSize"
            }
            Self::Hang => "the GPU hung and was restarted; try again",
            Self::Victim => "the GPU was restarted because of another program; try again",
            Self::Ignored => "after earlier failures the system refuses this process the GPU; restart the process",
            Self::Lost => "the GPU was lost to this process; restart the process",
        }
    }
}

impl Error {
    /// Returns the stable code, as documented in docs/errors.md.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ModelNotFound { .. } => "ERR_MODEL_NOT_FOUND",
            Self::ModelFileMissing { .. } | Self::TokenizerUnconverted { .. } => "ERR_MODEL_FILE_MISSING",
            Self::ConfigInvalid { .. } => "ERR_CONFIG_INVALID",
            Self::ModelUnsupported { .. } => "ERR_MODEL_UNSUPPORTED",
            Self::WeightsInvalid { .. } => "ERR_WEIGHTS_INVALID",
            Self::WeightsMismatch { .. } => "ERR_WEIGHTS_MISMATCH",
            Self::UnsafePath { .. } => "ERR_UNSAFE_PATH",
            Self::TokenizerInvalid { .. } => "ERR_TOKENIZER_INVALID",
            Self::TokenizerMismatch { .. } => "ERR_TOKENIZER_MISMATCH",
            Self::TokenizeFailed { .. } => "ERR_TOKENIZE_FAILED",
            Self::ChatTemplate { .. } => "ERR_CHAT_TEMPLATE",
            Self::ChatTemplateLimit { .. } => "ERR_CHAT_TEMPLATE_LIMIT",
            Self::InvalidArgValue { .. } => "ERR_INVALID_ARG_VALUE",
            Self::OutOfRange { .. } => "ERR_OUT_OF_RANGE",
            Self::GrammarUnsupported { .. } => "ERR_GRAMMAR_UNSUPPORTED",
            Self::ContextOverflow { .. } | Self::PromptTooLong { .. } => "ERR_CONTEXT_OVERFLOW",
            Self::QueueFull { .. } => "ERR_QUEUE_FULL",
            Self::NonFiniteLogits { .. } => "ERR_NON_FINITE_LOGITS",
            Self::InsufficientMemory { .. } => "ERR_INSUFFICIENT_MEMORY",
            Self::OutOfMemory { .. } => "ERR_OUT_OF_MEMORY",
            Self::GpuFailed { .. } => "ERR_GPU_FAILED",
            Self::ChatFile { .. } => "ERR_CHAT_FILE",
            Self::DeviceUnavailable { .. } => "ERR_DEVICE_UNAVAILABLE",
            Self::Aborted => "ABORT_ERR",
            Self::ModelDisposed => "ERR_MODEL_DISPOSED",
            Self::Internal { .. } => "ERR_INTERNAL",
        }
    }

    /// Returns machine-readable facts about the error, with camelCase keys; `null` if there are none beyond the message.
    pub fn details(&self) -> serde_json::Value {
        match self {
            Self::ModelNotFound { path, .. }
            | Self::WeightsInvalid { path, .. }
            | Self::ChatFile { path, .. }
            | Self::TokenizerInvalid { path, .. } => json!({ "path": path }),
            Self::ModelFileMissing { path, file } => json!({ "path": path, "file": file }),
            Self::TokenizerUnconverted { path, .. } => json!({ "path": path, "file": "tokenizer.json" }),
            Self::ConfigInvalid { file, field, .. } => json!({ "file": file, "field": field }),
            Self::ModelUnsupported { model_type, supported } => {
                json!({ "modelType": model_type, "supported": supported })
            }
            Self::WeightsMismatch { problems } => json!({ "problems": problems }),
            Self::UnsafePath { file, name } => json!({ "file": file, "name": name }),
            Self::TokenizerMismatch { largest_id, rows } => {
                json!({ "largestId": largest_id, "rows": rows })
            }
            Self::InvalidArgValue { name, .. } | Self::OutOfRange { name, .. } => {
                json!({ "name": name })
            }
            Self::GrammarUnsupported { name, path, .. } => json!({ "name": name, "path": path }),
            Self::ContextOverflow { prompt_tokens, limit } => json!({ "promptTokens": prompt_tokens, "limit": limit }),
            Self::PromptTooLong { characters, character_limit, limit } => {
                json!({ "promptCharacters": characters, "characterLimit": character_limit, "limit": limit })
            }
            Self::QueueFull { limit } => json!({ "limit": limit }),
            Self::NonFiniteLogits { step } => json!({ "step": step }),
            Self::InsufficientMemory { required, available, .. } => {
                json!({ "required": required, "available": available })
            }
            Self::GpuFailed { failure, .. } => {
                json!({ "failure": failure.name(), "restart": failure.needs_restart() })
            }
            Self::DeviceUnavailable { device, reason: None } => json!({ "device": device }),
            Self::DeviceUnavailable { device, reason } => json!({ "device": device, "reason": reason }),
            Self::TokenizeFailed { .. }
            | Self::ChatTemplate { .. }
            | Self::ChatTemplateLimit { .. }
            | Self::OutOfMemory { .. }
            | Self::Aborted
            | Self::ModelDisposed
            | Self::Internal { .. } => serde_json::Value::Null,
        }
    }

    /// The same error for the other runs if a GPU gave up work that was queued: MLX tells it only once (mlx/error.h), and what
    /// they wait for may never have been computed.
    pub fn for_others(&self) -> Option<Self> {
        let is_queued = |message: &str| message.contains("[METAL] Command buffer");
        match self {
            Self::GpuFailed { failure, message } => {
                Some(Self::GpuFailed { failure: *failure, message: message.clone() })
            }
            Self::OutOfMemory { message } if is_queued(message) => Some(Self::OutOfMemory { message: message.clone() }),
            Self::Internal { message } if is_queued(message) => Some(Self::internal(message)),
            _ => None,
        }
    }

    /// Creates a `ConfigInvalid` error.
    pub fn config(file: &str, field: &str, message: impl Into<String>) -> Self {
        Self::ConfigInvalid { file: file.to_owned(), field: field.to_owned(), message: message.into() }
    }

    /// Creates an `Internal` error.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::Internal { message: message.into() }
    }
}

fn after_colon(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
