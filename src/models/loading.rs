// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Loading a model from a folder.

use std::path::{Path, PathBuf};

use mlx_rs::{Array, transforms::eval};
use serde_json::{Map, Value};

use super::{
    GenerationConfig, Model, Pace,
    normalize::normalize,
    registry::{self, Architecture},
    rotary, settings,
};
use crate::{
    cache::{CacheSizes, Caches},
    error::{Error, Result},
    files::{check_links, read_json},
    limits::EOS_TOKENS,
    mlx::{self, Quantization},
    weights::{self, AdapterFiles, Headers, QuantizationConfig, Sources, Store},
};

/// What is known of a model without its weights.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    pub path: PathBuf,
    pub model_type: String,
    /// `max_position_embeddings`, as the scaling of RoPE extends it, in tokens, or what the caller says.
    pub context_length: usize,
    /// Rows of the embedding; token ids lie below.
    pub vocab_size: usize,
    /// Number of features of a hidden state.
    pub hidden_size: usize,
    pub parameter_count: u64,
    pub quantization: Option<Quantization>,
    /// Bytes that the weights take on the device.
    pub weight_bytes: u64,
    /// Bytes of the files that hold the weights.
    pub file_bytes: u64,
    pub cache_sizes: CacheSizes,
    pub generation: GenerationConfig,
    /// Number of tokens beyond which LongRoPE rotates a text in another way from its first token on.
    pub long_rope_limit: Option<usize>,
    /// Number of tokens beyond which dynamic RoPE rotates each pass by the length of the text.
    pub dynamic_rope_limit: Option<usize>,
    /// Equal if model and build are: then keys and values are, too. `None` until the weights are read.
    pub identity: Option<String>,
}

/// What a model is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Logits,
    /// The output layer is not loaded, and may be missing.
    HiddenStates,
}

/// A model that is ready to run.
pub struct LoadedModel {
    pub model: Box<dyn Model>,
    pub info: ModelInfo,
    pub pace: Pace,
}

/// A model whose weights are being read, a few at a time so that other work and cancellation get their turn.
pub struct Loading {
    loaded: LoadedModel,
    /// In reverse order.
    pending: Vec<Array>,
    done_bytes: u64,
    sources: Sources,
}

/// Weights read between two turns. What they are made from is there at the same time, so a turn is kept small.
const BYTES_PER_TURN: usize = 32 << 20;

/// What the files of a model say, besides the weights' data. Reading this needs no MLX.
pub struct ModelFiles {
    configs: Configs,
    headers: Headers,
}

struct Configs {
    folder: PathBuf,
    config: Map<String, Value>,
    architecture: Architecture,
    generation: GenerationConfig,
    quantization: QuantizationConfig,
    adapter: Option<AdapterFiles>,
}

impl ModelFiles {
    /// Reads a folder's files; `config` is what [`check_folder`] returned, and `adapter` the folder of an adapter.
    ///
    /// # Errors
    /// What is wrong with a file: see the README's table of codes.
    pub fn read(folder: &Path, config: Map<String, Value>, adapter: Option<&Path>) -> Result<Self> {
        let architecture = registry::find(&config)?;
        settings::check(architecture.model_type, &config)?;
        let generation = GenerationConfig::read(folder, &config);
        let quantization = QuantizationConfig::read(folder, &config)?;
        let adapter = adapter.map(AdapterFiles::read).transpose()?;
        let headers = Headers::read(folder)?;
        let configs = Configs { folder: folder.to_owned(), config, architecture, generation, quantization, adapter };
        Ok(Self { configs, headers })
    }
}

/// A model whose tensors are being handed to MLX, some at a time.
pub struct Opening {
    configs: Configs,
    tensors: weights::Opening,
}

impl Opening {
    pub fn new(ModelFiles { configs, headers }: ModelFiles) -> Self {
        Self { configs, tensors: weights::Opening::new(headers) }
    }

    /// Hands over some more; `true` when all are there.
    ///
    /// # Errors
    /// `WeightsInvalid`.
    pub fn advance(&mut self) -> Result<bool> {
        self.tensors.advance()
    }

    /// Checks that the tensors are those of the architecture.
    ///
    /// # Errors
    /// What is wrong with them: see the README's table of codes.
    pub fn finish(self, output: Output) -> Result<Loading> {
        let Configs { folder, config, architecture, mut generation, quantization, adapter } = self.configs;
        let default_quantization = quantization.default_setting();
        let adapter = adapter.map(AdapterFiles::open).transpose()?;
        let mut store = Store::new(self.tensors, quantization, adapter)?;
        if output == Output::HiddenStates {
            store.drop_head();
        }
        let mismatch = |error| match error {
            // What MLX refuses here is tensors that are not what the config says.
            Error::Internal { message } => Error::WeightsMismatch { problems: vec![message] },
            error => error,
        };
        let model = (architecture.construct)(&config, &store.root()).map_err(mismatch)?;
        let file_bytes = store.file_bytes();
        let mut taken = store.finish()?;
        taken.sources.add_config(Value::Object(config.clone()).to_string());
        let (hidden, caches) = one_token(model.as_ref(), None).map_err(mismatch)?;
        let vocab_size = usize::try_from(model.vocab_size()).unwrap_or_default();
        generation.eos_token_ids.retain(|id| (*id as usize) < vocab_size);
        generation.eos_token_ids.truncate(EOS_TOKENS);
        let info = ModelInfo {
            path: folder,
            model_type: architecture.model_type.to_owned(),
            context_length: rotary::context_length(&config).unwrap_or(DEFAULT_CONTEXT),
            vocab_size,
            hidden_size: usize::try_from(mlx::dim(&hidden, 2)).unwrap_or_default(),
            parameter_count: taken.parameter_count,
            quantization: default_quantization,
            weight_bytes: taken.arrays.iter().map(|array| array.nbytes() as u64).sum(),
            file_bytes,
            cache_sizes: CacheSizes::of(&caches),
            generation,
            long_rope_limit: rotary::long_rope_limit(&config),
            dynamic_rope_limit: rotary::dynamic_rope_limit(&config),
            identity: None,
        };
        let pace = Pace::new(info.parameter_count);
        let mut pending = taken.arrays;
        pending.reverse();
        Ok(Loading { loaded: LoadedModel { model, info, pace }, pending, done_bytes: 0, sources: taken.sources })
    }
}

impl Loading {
    /// Checks everything that can be checked without reading weights, in one go; `adapter` is the folder of one.
    ///
    /// # Errors
    /// What is wrong with the folder: see the README's table of codes.
    pub fn start(folder: &Path, adapter: Option<&Path>, output: Output) -> Result<Self> {
        let mut opening = Opening::new(ModelFiles::read(folder, check_folder(folder)?, adapter)?);
        while !opening.advance()? {}
        opening.finish(output)
    }

    /// Checks that no array takes more than `most` bytes, which is what the device can hold in one.
    ///
    /// # Errors
    /// `InsufficientMemory`.
    pub fn check_arrays(&self, most: Option<usize>) -> Result<()> {
        let required = self.pending.iter().map(Array::nbytes).max().unwrap_or(0);
        match most.filter(|most| required > *most) {
            None => Ok(()),
            Some(most) => Err(Error::InsufficientMemory {
                what: format!("the weights of '{}'", self.sources.largest().unwrap_or_default()).into(),
                required: required as u64,
                available: most as u64,
                hint: "the GPU cannot hold more in one piece, so use a model that is smaller or quantized further",
            }),
        }
    }

    /// Reads some more weights; `true` when all are there.
    ///
    /// # Errors
    /// `WeightsInvalid` if a file has changed meanwhile, or cannot be read; `OutOfMemory`.
    pub fn advance(&mut self) -> Result<bool> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < BYTES_PER_TURN
            && let Some(array) = self.pending.pop()
        {
            bytes += array.nbytes();
            batch.push(array);
        }
        // Whatever else could fail was found out before.
        read(&batch).map_err(|error| match error {
            Error::Internal { message } => Error::WeightsInvalid { path: self.loaded.info.path.clone(), message },
            error => error,
        })?;
        self.done_bytes += bytes as u64;
        Ok(self.pending.is_empty())
    }

    /// Changes the number of tokens that prompt and answer may have.
    pub fn set_context_length(&mut self, tokens: usize) {
        self.loaded.info.context_length = tokens;
    }

    /// What is known already.
    pub fn info(&self) -> &ModelInfo {
        &self.loaded.info
    }

    /// Bytes read, and bytes in all.
    pub fn progress(&self) -> (u64, u64) {
        (self.done_bytes, self.loaded.info.weight_bytes)
    }

    pub fn finish(self) -> LoadedModel {
        let Self { mut loaded, sources, .. } = self;
        // Without it, caches are only not saved.
        loaded.info.identity = sources.fingerprint().ok().map(identity);
        loaded
    }
}

/// Evaluates arrays, what comes from files first: work of a GPU that waits for a slow disk is ended by macOS, with "Caused GPU
/// Timeout Error" (ml-explore/mlx#3803, ollama/ollama#17998).
fn read(arrays: &[Array]) -> Result<()> {
    let files = mlx::pending(arrays, c"Load")?;
    let result = eval(&files).and_then(|()| eval(arrays));
    if result.is_err() {
        // Other reads may still be going on, into memory that these arrays own.
        mlx::synchronize();
    }
    Ok(result?)
}

fn identity(fingerprint: u64) -> String {
    let (mlx, device) = (mlx::version(), mlx::backend().name());
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{fingerprint:016x} node-mlx {} MLX {mlx} {os} {arch} {device}", env!("CARGO_PKG_VERSION"))
}

/// Caches with the shapes and dtypes that one token leads to. Nothing is computed, unless they are evaluated.
pub fn caches_of_one_token(model: &dyn Model, max_kv_size: Option<i32>) -> Result<Caches> {
    Ok(one_token(model, max_kv_size)?.1)
}

/// The hidden state of one token, and its caches.
fn one_token(model: &dyn Model, max_kv_size: Option<i32>) -> Result<(Array, Caches)> {
    let mut caches = model.make_prompt_cache(max_kv_size);
    let hidden = model.hidden_states(&Array::from_slice(&[0_u32], &[1, 1]), &mut caches)?;
    Ok((hidden, caches))
}

/// A folder's config.json, normalized.
///
/// # Errors
/// `ModelNotFound`, `ModelFileMissing` or `ConfigInvalid`.
pub fn check_folder(folder: &Path) -> Result<Map<String, Value>> {
    if !folder.is_dir() {
        return Err(Error::ModelNotFound { path: folder.to_owned(), hint: String::new() });
    }
    check_links(folder)?;
    let missing = || Error::ModelFileMissing { path: folder.to_owned(), file: "config.json".to_owned() };
    normalize(read_json(folder, "config.json")?.ok_or_else(missing)?)
}

/// For configs without `max_position_embeddings`, such as Gemma 3's, which has this.
const DEFAULT_CONTEXT: usize = 131_072;

/// Loads a model in one go, for callers that own the thread.
pub fn load(folder: &Path, adapter: Option<&Path>) -> Result<LoadedModel> {
    let mut loading = Loading::start(folder, adapter, Output::Logits)?;
    while !loading.advance()? {}
    Ok(loading.finish())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mlx_rs::memory;

    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new("__test__/fixtures").join(name)
    }

    /// Loads with joined layers.
    fn start(folder: &Path) -> Loading {
        mlx::choose_backend(None).unwrap();
        weights::join_layers_on_every_device(true);
        let loading = Loading::start(folder, None, Output::Logits);
        weights::join_layers_on_every_device(false);
        loading.unwrap()
    }

    #[test]
    fn joined_layers_are_read_without_a_second_buffer() {
        for name in [
            "llama",
            "llama-bf16",
            "llama-bias",
            "llama-sharded",
            "qwen2-4bit",
            "qwen3-4bit-sharded",
            "mixtral-raw",
            "qwen3_moe-4bit",
            "qwen3_moe-raw",
            "phimoe-raw",
            "gpt_oss-mxfp4",
        ] {
            let mut loading = start(&fixture(name));
            assert!(mlx::pending(&loading.pending, c"Concatenate").unwrap().is_empty(), "{name}");
            let total = loading.info().weight_bytes;
            memory::clear_cache().unwrap();
            memory::reset_peak_memory().unwrap();
            let before = memory::active_memory().unwrap();
            while !loading.advance().unwrap() {}
            let peak = memory::peak_memory().unwrap() - before;
            assert!(peak as f64 <= total as f64 * 1.02, "{name}: {peak} bytes for {total}");
        }
    }

    #[test]
    fn an_array_that_the_device_cannot_hold_is_refused() {
        let loading = start(&fixture("llama"));
        let largest = loading.pending.iter().map(Array::nbytes).max().unwrap();
        assert!(loading.check_arrays(None).is_ok() && loading.check_arrays(Some(largest)).is_ok());
        let error = loading.check_arrays(Some(largest - 1)).unwrap_err();
        assert_eq!(error.code(), "ERR_INSUFFICIENT_MEMORY");
        assert_eq!(error.details(), serde_json::json!({ "required": largest, "available": largest - 1 }));
        assert!(error.to_string().contains("the weights of 'model."), "{error}");
    }

    #[test]
    fn what_is_computed_from_files_waits_for_them() {
        let mut loading = start(&fixture("gemma2-4bit"));
        let pending = loading.pending.clone();
        assert!(!mlx::pending(&pending, c"Add").unwrap().is_empty());
        let reads = mlx::pending(&pending, c"Load").unwrap();
        assert!(reads.len() >= pending.len());
        eval(&reads).unwrap();
        assert!(mlx::pending(&pending, c"Load").unwrap().is_empty());
        assert!(!mlx::pending(&pending, c"Add").unwrap().is_empty());
        while !loading.advance().unwrap() {}
    }

    #[test]
    fn a_file_that_is_cut_short_meanwhile_is_invalid_and_the_next_one_is_not() {
        let folder = std::env::temp_dir().join(format!("node-mlx-cut-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in ["config.json", "model.safetensors"] {
            fs::copy(fixture("llama").join(name), folder.join(name)).unwrap();
        }
        let mut loading = start(&folder);
        let weights = fs::File::options().write(true).open(folder.join("model.safetensors")).unwrap();
        weights.set_len(4096).unwrap();
        let error = loading.advance().unwrap_err();
        drop(loading);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(error.code(), "ERR_WEIGHTS_INVALID", "{error}");
        assert!(error.to_string().contains("model.safetensors"), "{error}");

        // What the engine does after a failed turn.
        mlx::forget_error();
        mlx::synchronize();
        let mut loading = start(&fixture("llama"));
        while !loading.advance().unwrap() {}
        let (hidden, _) = one_token(loading.finish().model.as_ref(), None).unwrap();
        eval([&hidden]).unwrap();
    }
}
