// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A model's tensors, handed out by name. Models take what they need through a [`Weights`] cursor, with the shape that
//! they expect; whatever is missing, misshapen or left over is reported together by [`Store::finish`].

mod cursor;
pub mod header;
mod quantization;
mod sanitize;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use mlx_rs::Array;

use crate::{
    error::{Error, Result},
    mlx::{self, Backend},
};

pub use cursor::Weights;
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

    pub fn root(&self) -> Weights<'_> {
        Weights::root(self)
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

    fn peek(&self, name: &str) -> Option<Array> {
        self.tensors.borrow().get(name).cloned()
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
