// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tuner/utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! A folder of fine-tuned tensors, as saved by mlx-lm: adapter_config.json and adapters.safetensors. The cursor applies
//! them to the layers, so models need no code for adapters.
//!
//! The tensors alone determine which layers are adapted; mlx-lm also wraps other layers that `num_layers` and `keys`
//! name, which changes nothing.

use std::{
    cell::RefCell,
    collections::HashMap,
    path::{Path, PathBuf},
};

use mlx_rs::Array;
use serde::Deserialize;

use super::{
    Weights,
    cursor::Kind,
    files::check_link,
    fingerprint::Sources,
    header::{self, Header},
    reader::View,
};
use crate::{
    error::{Error, Result},
    files,
    limits::ADAPTER_TENSORS,
    mlx,
    nn::{self, Matrix},
};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapters.safetensors";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FineTuneType {
    #[default]
    Lora,
    Dora,
    /// Tensors that replace the model's own.
    Full,
}

#[derive(Debug, Deserialize)]
struct AdapterConfig {
    #[serde(default)]
    fine_tune_type: FineTuneType,
    lora_parameters: Option<LoraParameters>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct LoraParameters {
    rank: i32,
    scale: f32,
}

/// The tensors of an adapter that no layer has taken yet, and the kind of adapter.
pub struct Adapter {
    path: PathBuf,
    fine_tune_type: FineTuneType,
    parameters: LoraParameters,
    tensors: RefCell<HashMap<String, Array>>,
    config: String,
    header: Header,
}

/// The files of an adapter, of which the config and the header were read and checked. This needs no MLX.
pub struct AdapterFiles {
    path: PathBuf,
    fine_tune_type: FineTuneType,
    parameters: LoraParameters,
    config: String,
    header: Header,
}

impl AdapterFiles {
    /// Reads the config and the header of the tensors.
    ///
    /// # Errors
    /// `ModelNotFound`, `ModelFileMissing`, `ConfigInvalid`, `UnsafePath` or `WeightsInvalid`.
    pub fn read(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            let hint = format!("; an adapter is a folder with {CONFIG} and {TENSORS}");
            return Err(Error::ModelNotFound { path: folder.to_owned(), hint });
        }
        let missing = |file: &str| Error::ModelFileMissing { path: folder.to_owned(), file: file.to_owned() };
        let json = files::read_json(folder, CONFIG)?.ok_or_else(|| missing(CONFIG))?;
        if json.get("peft_type").is_some_and(|kind| !kind.is_null()) {
            let message = "this is a PEFT adapter; convert it to mlx-lm's format";
            return Err(Error::config(CONFIG, "peft_type", message));
        }
        let AdapterConfig { fine_tune_type, lora_parameters } = files::parse(CONFIG, &json)?;
        let parameters = match lora_parameters {
            Some(parameters) => parameters,
            None if fine_tune_type == FineTuneType::Full => LoraParameters { rank: 1, scale: 1.0 },
            None => return Err(Error::config(CONFIG, "lora_parameters", "is missing")),
        };
        if parameters.rank < 1 {
            return Err(Error::config(CONFIG, "lora_parameters.rank", "must be positive"));
        }
        if !parameters.scale.is_finite() {
            return Err(Error::config(CONFIG, "lora_parameters.scale", "is too large"));
        }
        let path = folder.join(TENSORS);
        if !path.exists() {
            return Err(missing(TENSORS));
        }
        check_link(&path, folder)?;
        let header = header::open(&path)?;
        let count = header.tensors.len();
        if count > ADAPTER_TENSORS {
            let message = format!("has {count} tensors, more than {ADAPTER_TENSORS}");
            return Err(Error::WeightsInvalid { path, message });
        }
        let config = serde_json::Value::Object(json).to_string();
        Ok(Self { path, fine_tune_type, parameters, config, header })
    }

    /// Hands the tensors to MLX.
    ///
    /// # Errors
    /// `WeightsInvalid`.
    pub fn open(self) -> Result<Adapter> {
        let Self { path, fine_tune_type, parameters, config, header } = self;
        let stored = header.stored(&path);
        let view = View::new(stored.iter().map(|(name, stored)| (*name, stored)), false);
        let tensors = RefCell::new(mlx::load_safetensors(&path, view)?);
        Ok(Adapter { path, fine_tune_type, parameters, tensors, config, header })
    }
}

impl Adapter {
    /// Whether it replaces tensors of the model.
    pub(super) fn replaces(&self) -> bool {
        self.fine_tune_type == FineTuneType::Full
    }

    /// Returns the replacement of the model's tensor `key`.
    fn replacement(&self, key: &str) -> Option<Array> {
        if self.replaces() { self.remove(key) } else { None }
    }

    fn contains(&self, key: &str) -> bool {
        self.tensors.borrow().contains_key(key)
    }

    fn remove(&self, key: &str) -> Option<Array> {
        self.tensors.borrow_mut().remove(key)
    }

    /// Adds its files to those of the model. Returns a problem for each tensor that no layer has taken.
    pub fn finish(self, sources: &mut Sources) -> Vec<String> {
        sources.add_config(self.config);
        sources.add_file(self.header);
        let mut names: Vec<String> = self.tensors.into_inner().into_keys().collect();
        names.sort();
        names.iter().map(|name| format!("{TENSORS}: the model has no layer for {name}")).collect()
    }
}

/// The layers that can be adapted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Linear { inputs: i32, outputs: i32 },
    Experts { experts: i32, inputs: i32, outputs: i32 },
    Embedding { rows: i32, dims: i32 },
}

impl Weights<'_> {
    /// Returns the replacement of the model's tensor `key`, in the dtype that its layer computes with.
    pub(super) fn replacement(&self, key: &str, shape: &[i32], wanted: Kind) -> Result<Option<Array>> {
        let Some(adapter) = &self.store.adapter else { return Ok(None) };
        let Some(array) = adapter.replacement(key) else { return Ok(None) };
        self.check_shape(key, &array, shape);
        self.in_dtype(key, array.into(), wanted, &adapter.path).map(Some)
    }

    /// `replace` for the tensors of the adapter, for models that rename tensors differently from mlx-lm.
    pub fn replace_adapter(
        &self,
        replace: impl Fn(&str, &Array) -> Result<Option<Vec<(String, Array)>>>,
    ) -> Result<()> {
        let Some(adapter) = &self.store.adapter else { return Ok(()) };
        let mut replaced = HashMap::new();
        for (name, array) in adapter.tensors.take() {
            match self.local(&name).map(|local| replace(local, &array)).transpose()?.flatten() {
                Some(parts) => replaced.extend(parts.into_iter().map(|(name, part)| (self.key(name), part))),
                None => drop(replaced.insert(name, array)),
            }
        }
        adapter.tensors.replace(replaced);
        Ok(())
    }

    /// Returns what the adapter, if any, adds to the layer at the cursor, whose matrix is `matrix`.
    pub(super) fn adapter(&self, layer: Layer, matrix: &Matrix) -> Result<Option<nn::Adapter>> {
        let Some(adapter) = &self.store.adapter else { return Ok(None) };
        if adapter.replaces() || !["lora_a", "lora_b"].iter().any(|part| adapter.contains(&self.key(part))) {
            return Ok(None);
        }
        let LoraParameters { rank: r, scale } = adapter.parameters;
        let dora = adapter.fine_tune_type == FineTuneType::Dora;
        let (a, b) = match layer {
            Layer::Linear { inputs, outputs } => (vec![inputs, r], vec![r, outputs]),
            Layer::Experts { experts, inputs, outputs } => (vec![experts, r, inputs], vec![experts, outputs, r]),
            Layer::Embedding { rows, dims } => (vec![rows, r], vec![r, dims]),
        };
        let (a, b) = (self.take_adapter("lora_a", &a)?, self.take_adapter("lora_b", &b)?);
        if !dora {
            return Ok(Some(nn::Adapter::lora(a, b, scale)));
        }
        let rows = match layer {
            Layer::Linear { outputs, .. } => outputs,
            Layer::Embedding { rows, .. } if matches!(matrix, Matrix::Dense(_)) => rows,
            _ => {
                let message = format!("'dora' does not support {}, which is quantized or an expert layer", self.prefix);
                return Err(Error::config(CONFIG, "fine_tune_type", message));
            }
        };
        let m = self.take_adapter("m", &[rows])?;
        if self.incomplete() {
            return Ok(None);
        }
        match layer {
            Layer::Embedding { .. } => nn::Adapter::dora_embedding(a, b, scale, &m, matrix).map(Some),
            _ => nn::Adapter::dora_linear(a, b, scale, &m, matrix).map(Some),
        }
    }

    fn take_adapter(&self, part: &str, shape: &[i32]) -> Result<Array> {
        let key = self.key(part);
        let found =
            self.store.adapter.as_ref().and_then(|adapter| Some((adapter.remove(&key)?, adapter.path.as_path())));
        let Some((array, path)) = found else {
            self.store.problem(format!("{TENSORS}: missing {key}"));
            return Ok(Array::from_f32(0.0));
        };
        self.check_shape(&key, &array, shape);
        self.in_dtype(&key, array.into(), Kind::Float, path)
    }

    fn check_shape(&self, key: &str, array: &Array, shape: &[i32]) {
        if array.shape() != shape {
            self.store.problem(format!("{TENSORS}: {key} has shape {:?}, expected {shape:?}", array.shape()));
        }
    }
}
