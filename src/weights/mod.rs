// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A model's tensors, handed out by name. Models take what they need through a [`Weights`] cursor, with the shape that
//! they expect; whatever is missing, misshapen or left over is reported together by [`Store::finish`].

mod adapter;
mod awq;
mod cursor;
pub mod files;
mod fingerprint;
pub mod header;
mod quantization;
pub mod reader;
mod sanitize;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use mlx_rs::Array;

use files::Files;
use header::Header;
use reader::View;

use crate::{
    error::{Error, Result},
    mlx::{self, Backend},
};

pub use adapter::Adapter;
pub use cursor::Weights;
pub use fingerprint::Sources;
pub use quantization::QuantizationConfig;

/// Maximum number of problems that an error lists.
const MAX_PROBLEMS: usize = 20;

/// All tensors of a model.
pub struct Store {
    tensors: RefCell<HashMap<String, Tensor>>,
    quantization: QuantizationConfig,
    problems: RefCell<Vec<String>>,
    /// The arrays taken by the model, to be evaluated before the first use.
    taken: RefCell<Vec<Array>>,
    adapter: Option<Adapter>,
    sources: Sources,
    parameter_count: Cell<u64>,
    folder: PathBuf,
    /// Size of all files.
    file_bytes: u64,
    /// A file that is in the index but does not exist.
    absent: Option<String>,
    backend: Backend,
    joins: bool,
    has_head: bool,
}

/// A tensor that no layer has taken yet.
struct Tensor {
    array: Array,
    /// The same in single precision, if layers compute with that and the array is unchanged since it was read.
    widened: Option<Array>,
}

impl From<Array> for Tensor {
    fn from(array: Array) -> Self {
        Self { array, widened: None }
    }
}

static JOINS: AtomicBool = AtomicBool::new(false);

/// Joins layers from now on as on a GPU, on any device: for tests of what GPUs compute.
pub fn join_layers_on_every_device() {
    JOINS.store(true, Ordering::Relaxed);
}

impl Store {
    /// Reads the headers of every `model*.safetensors` in a folder; data follows when arrays are evaluated.
    ///
    /// # Errors
    /// `ModelFileMissing`, `UnsafePath` (an index or a link that points outside the folder), `WeightsInvalid`, or
    /// `WeightsMismatch` (invalid AutoAWQ layers).
    pub fn open(folder: &Path, quantization: QuantizationConfig, adapter: Option<Adapter>) -> Result<Self> {
        let files = Files::find(folder)?;
        let backend = mlx::backend();
        let mut tensors = HashMap::new();
        let mut sources = Sources::default();
        let mut used: Vec<&PathBuf> = files.named().collect();
        for file in &used {
            let header = header::open(file)?;
            tensors.extend(read(file, &header, backend)?.filter(|(name, _)| !files.is_elsewhere(name, file)));
            sources.add_file(header);
        }
        // A complete index wins over other files beside it; one that is wrong says nothing.
        if !files.are_all(&tensors) {
            tensors.clear();
            used = files.present.iter().collect();
            sources = Sources::default();
            for file in &used {
                let header = header::open(file)?;
                tensors.extend(read(file, &header, backend)?);
                sources.add_file(header);
            }
        }
        let file_bytes = used.iter().map(|file| std::fs::metadata(file).map_or(0, |file| file.len())).sum();
        if quantization.is_awq() {
            let mut arrays = tensors.into_iter().map(|(name, tensor)| (name, tensor.array)).collect();
            awq::transform(&mut arrays)?;
            tensors = arrays.into_iter().map(|(name, array)| (name, array.into())).collect();
        }
        Ok(Self {
            tensors: RefCell::new(tensors),
            quantization,
            problems: RefCell::default(),
            taken: RefCell::default(),
            adapter,
            sources,
            parameter_count: Cell::new(0),
            folder: folder.to_owned(),
            file_bytes,
            absent: files.absent,
            backend,
            // On a CPU joining saves nothing, and copies the weights.
            joins: backend == Backend::Gpu || JOINS.load(Ordering::Relaxed),
            has_head: true,
        })
    }

    /// Leaves out the output layer, which a model saved without one does not have. transformers then names the other tensors
    /// without `model.` before them.
    pub fn drop_head(&mut self) {
        self.has_head = false;
        let tensors = self.tensors.get_mut();
        tensors.retain(|name, _| !name.contains("lm_head."));
        if !tensors.keys().any(|name| name.contains("model.")) {
            *tensors = tensors.drain().map(|(name, tensor)| (format!("model.{name}"), tensor)).collect();
        }
    }

    pub fn root(&self) -> Weights<'_> {
        Weights::root(self)
    }

    /// Returns the arrays that the model took, not yet evaluated.
    ///
    /// # Errors
    /// `WeightsMismatch`, with the names, if a tensor was missing, had the wrong shape, or was not used: mlx-lm's
    /// `strict=True`.
    pub fn finish(mut self) -> Result<Taken> {
        let mut problems = self.problems.take();
        let mut unused: Vec<String> = self.tensors.take().into_keys().collect();
        unused.sort();
        problems.extend(unused.into_iter().map(|name| format!("unused {name}")));
        problems.extend(self.adapter.into_iter().flat_map(|adapter| adapter.finish(&mut self.sources)));
        if problems.is_empty() {
            let (arrays, parameter_count) = (self.taken.into_inner(), self.parameter_count.get());
            return Ok(Taken { arrays, parameter_count, sources: self.sources });
        }
        let more = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        Err(Error::WeightsMismatch { problems })
    }

    /// Returns the size of the files in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    fn problem(&self, text: String) {
        self.problems.borrow_mut().push(text);
    }

    /// Returns the error for a missing tensor: the missing file, if there is one, may contain it.
    fn missing(&self, name: &str) -> Error {
        match &self.absent {
            Some(file) => Error::ModelFileMissing { path: self.folder.clone(), file: file.clone() },
            None => Error::WeightsMismatch { problems: vec![format!("missing {name}")] },
        }
    }

    /// Keeps the arrays of a layer. Parts that were fused into them are freed once these are evaluated.
    fn keep(&self, arrays: Vec<Array>) {
        self.taken.borrow_mut().extend(arrays);
    }

    fn count(&self, parameters: i64) {
        self.parameter_count.set(self.parameter_count.get() + parameters.unsigned_abs());
    }

    fn peek(&self, name: &str) -> Option<Array> {
        self.tensors.borrow().get(name).map(|tensor| tensor.array.clone())
    }
}

/// Reads the tensors of a file.
fn read(path: &Path, header: &Header, backend: Backend) -> Result<impl Iterator<Item = (String, Tensor)> + use<>> {
    let mut widened = match backend {
        Backend::Cpu => mlx::load_safetensors(path, View::widened(header))?,
        Backend::Gpu => HashMap::new(),
    };
    let arrays = mlx::load_safetensors(path, View::as_stored(header))?;
    Ok(arrays.into_iter().map(move |(name, array)| {
        let widened = widened.remove(&name);
        (name, Tensor { array, widened })
    }))
}

/// What a model took from a [`Store`].
pub struct Taken {
    pub arrays: Vec<Array>,
    /// Number of logical parameters: a quantized matrix counts like the dense one that it represents.
    pub parameter_count: u64,
    pub sources: Sources,
}
