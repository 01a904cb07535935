// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A model's tensors, handed out by name. Models take what they need through a [`Weights`] cursor, with the shape that
//! they expect; whatever is missing, misshapen or left over is reported together by [`Store::finish`].

pub mod header;
mod quantization;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use mlx_rs::{Array, Dtype};

use crate::{
    error::{Error, Result},
    mlx::{self, Backend, Quantization},
    nn::{Embedding, FusedLinear, Linear, Matrix, RmsNorm},
};

pub use quantization::QuantizationConfig;

/// How many problems an error lists.
const MAX_PROBLEMS: usize = 20;

/// All tensors of a model.
pub struct Store {
    tensors: RefCell<HashMap<String, Array>>,
    quantization: QuantizationConfig,
    problems: RefCell<Vec<String>>,
    /// What models have taken, to be evaluated before the first use.
    taken: RefCell<Vec<Array>>,
    parameter_count: Cell<u64>,
    /// Computing in f32 on the CPU: half precision is emulated there and 10 to 40 times slower.
    widen: bool,
}

impl Store {
    /// Reads the headers of every `model*.safetensors` in a folder; data follows when arrays are evaluated.
    ///
    /// # Errors
    /// `ModelFileMissing`, `UnsafePath` (an index that leads out of the folder) or `WeightsInvalid`.
    pub fn open(folder: &Path, quantization: QuantizationConfig) -> Result<Self> {
        let mut tensors = HashMap::new();
        for file in weight_files(folder)? {
            header::read(&file)?;
            tensors.extend(mlx::load_safetensors(&file)?);
        }
        Ok(Self {
            tensors: RefCell::new(tensors),
            quantization,
            problems: RefCell::default(),
            taken: RefCell::default(),
            parameter_count: Cell::new(0),
            widen: mlx::backend() == Backend::Cpu,
        })
    }

    /// Changes the tensors by name before a model takes them, as mlx-lm's `sanitize` does.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        self.tensors.borrow_mut().retain(|name, _| keep(name));
    }

    pub fn root(&self) -> Weights<'_> {
        Weights { store: self, prefix: String::new() }
    }

    /// Hands over the arrays that models took, not yet evaluated.
    ///
    /// # Errors
    /// `WeightsMismatch`, with the names, if a tensor was missing, had the wrong shape, or was not used: mlx-lm's
    /// `strict=True`.
    pub fn finish(self) -> Result<Taken> {
        let mut problems = self.problems.into_inner();
        let mut unused: Vec<String> = self.tensors.into_inner().into_keys().collect();
        unused.sort();
        problems.extend(unused.into_iter().map(|name| format!("unused {name}")));
        if problems.is_empty() {
            return Ok(Taken { arrays: self.taken.into_inner(), parameter_count: self.parameter_count.get() });
        }
        let more = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        Err(Error::WeightsMismatch { problems })
    }

    fn problem(&self, text: String) {
        self.problems.borrow_mut().push(text);
    }

    /// Arrays that a layer keeps; parts that were fused into them are freed once these are evaluated.
    fn keep(&self, arrays: Vec<Array>) {
        self.taken.borrow_mut().extend(arrays);
    }

    fn count(&self, parameters: i64) {
        self.parameter_count.set(self.parameter_count.get() + parameters.unsigned_abs());
    }

    /// The length of a tensor's last axis; 0 if there is none.
    fn columns(&self, name: &str) -> i32 {
        self.tensors.borrow().get(name).and_then(|array| array.shape().last().copied()).unwrap_or(0)
    }

    fn contains(&self, name: &str) -> bool {
        self.tensors.borrow().contains_key(name)
    }
}

/// What a model took from a [`Store`].
pub struct Taken {
    pub arrays: Vec<Array>,
    /// Logical parameters: a quantized matrix counts as the dense one that it stands for.
    pub parameter_count: u64,
}

/// The weight files of a folder, in the order of their names.
///
/// mlx-lm loads every file that matches and never reads the index; an index is looked at here only for names that
/// lead out of the folder.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let index = folder.join("model.safetensors.index.json");
    if let Ok(text) = std::fs::read_to_string(&index) {
        check_index(&text)?;
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|_| Error::ModelNotFound { path: folder.to_owned(), hint: String::new() })?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("model") && name.ends_with(".safetensors")
        })
        .collect();
    if files.is_empty() {
        return Err(Error::ModelFileMissing {
            path: folder.to_owned(),
            file: "model.safetensors (or model-*.safetensors)".to_owned(),
        });
    }
    files.sort();
    Ok(files)
}

fn check_index(text: &str) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let Ok(index) = serde_json::from_str::<Index>(text) else { return Ok(()) };
    match index.weight_map.into_values().find(|name| name.contains(['/', '\\', ':', '\0']) || name == "..") {
        Some(name) => Err(Error::UnsafePath { file: "model.safetensors.index.json".to_owned(), name }),
        None => Ok(()),
    }
}

/// A place in the tree of names: `weights.pp("self_attn").linear("q_proj", …)`.
#[derive(Clone)]
pub struct Weights<'a> {
    store: &'a Store,
    prefix: String,
}

impl Weights<'_> {
    /// The subtree `name`.
    pub fn pp(&self, name: impl std::fmt::Display) -> Self {
        Self { store: self.store, prefix: self.key(name) }
    }

    fn key(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    /// The tensor `name`; if it is missing or misshapen that is noted, and a stand-in is given until `finish`.
    fn take(&self, name: &str, shape: &[i32], wanted: Kind) -> Result<Array> {
        let key = self.key(name);
        let Some(array) = self.store.tensors.borrow_mut().remove(&key) else {
            self.store.problem(format!("missing {key}"));
            return Ok(Array::from_f32(0.0));
        };
        if array.shape() != shape {
            self.store.problem(format!("{key} has shape {:?}, expected {shape:?}", array.shape()));
        }
        let dtype = array.dtype();
        let fits = match wanted {
            Kind::Float => matches!(dtype, Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16),
            Kind::Packed => dtype == Dtype::Uint32,
        };
        if !fits {
            return Err(Error::WeightsInvalid {
                path: PathBuf::from("model.safetensors"),
                message: format!("tensor '{key}' has dtype {dtype:?}, which its layer cannot use"),
            });
        }
        if self.store.widen && wanted == Kind::Float { Ok(array.as_dtype(Dtype::Float32)?) } else { Ok(array) }
    }

    /// A matrix of shape (`rows`, `columns`), dense or quantized as the file has it.
    fn matrix(&self, rows: i32, columns: i32) -> Result<Matrix> {
        self.store.count(i64::from(rows) * i64::from(columns));
        if !self.store.contains(&self.key("scales")) {
            return Ok(Matrix::Dense(self.take("weight", &[rows, columns], Kind::Float)?));
        }
        let (packed, groups) = (self.store.columns(&self.key("weight")), self.store.columns(&self.key("scales")));
        let Some(quantization) = self.store.quantization.of(&self.prefix, columns, packed, groups) else {
            self.store.problem(format!(
                "{} has scales, but neither config.json nor its shapes say how it is quantized",
                self.prefix
            ));
            return Ok(Matrix::Dense(Array::from_f32(0.0)));
        };
        let Quantization { group_size, bits, .. } = quantization;
        if columns % group_size != 0 {
            self.store.problem(format!("{} has {columns} columns, not a multiple of {group_size}", self.prefix));
        }
        let groups = columns / group_size;
        Ok(Matrix::Quantized {
            weight: self.take("weight", &[rows, columns * bits / 32], Kind::Packed)?,
            scales: self.take("scales", &[rows, groups], Kind::Float)?,
            biases: Some(self.take("biases", &[rows, groups], Kind::Float)?),
            quantization,
        })
    }

    fn read_linear(&self, name: &str, inputs: i32, outputs: i32, bias: bool) -> Result<Linear> {
        let at = self.pp(name);
        let matrix = at.matrix(outputs, inputs)?;
        Ok(Linear::new(matrix, if bias { Some(at.vector("bias", outputs)?) } else { None }))
    }

    fn vector(&self, name: &str, length: i32) -> Result<Array> {
        self.store.count(i64::from(length));
        self.take(name, &[length], Kind::Float)
    }

    /// A linear layer from `inputs` to `outputs` features.
    pub fn linear(&self, name: &str, inputs: i32, outputs: i32, bias: bool) -> Result<Linear> {
        let layer = self.read_linear(name, inputs, outputs, bias)?;
        self.store.keep(layer.arrays());
        Ok(layer)
    }

    /// Linear layers that read the same input, computed as one where they are stored alike.
    pub fn fused_linear(&self, parts: &[(&str, i32)], inputs: i32, bias: bool) -> Result<FusedLinear> {
        let layers: Vec<Linear> = parts
            .iter()
            .map(|(name, outputs)| self.read_linear(name, inputs, *outputs, bias))
            .collect::<Result<_>>()?;
        if !self.store.problems.borrow().is_empty() {
            // Stand-ins for missing tensors cannot be joined; `finish` will report them.
            return Ok(FusedLinear::Separate(layers));
        }
        let layer = FusedLinear::new(layers, parts.iter().map(|(_, outputs)| *outputs))?;
        self.store.keep(layer.arrays());
        Ok(layer)
    }

    pub fn embedding(&self, name: &str, rows: i32, dims: i32) -> Result<Embedding> {
        let matrix = self.pp(name).matrix(rows, dims)?;
        self.store.keep(matrix.arrays());
        Ok(Embedding::new(matrix))
    }

    pub fn rms_norm(&self, name: &str, dims: i32, eps: f32) -> Result<RmsNorm> {
        let weight = self.pp(name).vector("weight", dims)?;
        self.store.keep(vec![weight.clone()]);
        Ok(RmsNorm::new(weight, eps))
    }
}

/// What a layer can compute with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Float,
    Packed,
}
