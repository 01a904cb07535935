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
mod opening;
mod quantization;
pub mod reader;
mod sanitize;
mod stored;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use mlx_rs::Array;

use crate::{
    error::{Error, Result},
    mlx::Backend,
};

pub use adapter::{Adapter, AdapterFiles};
pub use cursor::Weights;
pub use fingerprint::Sources;
pub use opening::{Headers, Opening};
pub use quantization::QuantizationConfig;
use stored::Stored;

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
    /// Where it is in the files, if it is unchanged.
    stored: Option<Stored>,
}

impl Tensor {
    /// A tensor that was joined or divided, to be read so if the files say how, and otherwise made by `make`.
    fn moved(stored: Option<Stored>, make: impl FnOnce() -> Result<Array>) -> Result<Self> {
        let array = stored.as_ref().map_or_else(make, |stored| stored.array(false))?;
        Ok(Self { array, widened: None, stored })
    }
}

impl From<Array> for Tensor {
    fn from(array: Array) -> Self {
        Self { array, widened: None, stored: None }
    }
}

static JOINS: AtomicBool = AtomicBool::new(false);

/// Whether to join layers from now on as on a GPU, on any device: for tests of what GPUs compute.
pub fn join_layers_on_every_device(joins: bool) {
    JOINS.store(joins, Ordering::Relaxed);
}

impl Store {
    /// All tensors of a folder, at once.
    ///
    /// # Errors
    /// Those of [`Headers::read`] and [`Store::new`].
    pub fn open(folder: &Path, quantization: QuantizationConfig, adapter: Option<Adapter>) -> Result<Self> {
        let mut opening = Opening::new(Headers::read(folder)?);
        while !opening.advance()? {}
        Self::new(opening, quantization, adapter)
    }

    /// The tensors that were opened.
    ///
    /// # Errors
    /// `WeightsMismatch` (invalid AutoAWQ layers).
    pub fn new(opening: Opening, quantization: QuantizationConfig, adapter: Option<Adapter>) -> Result<Self> {
        let Opening { headers: Headers { folder, files, found, .. }, mut tensors, backend, .. } = opening;
        let file_bytes = files.iter().map(|(file, _)| std::fs::metadata(file).map_or(0, |file| file.len())).sum();
        let mut sources = Sources::default();
        files.into_iter().for_each(|(_, header)| sources.add_file(header));
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
            folder,
            file_bytes,
            absent: found.absent,
            backend,
            // On a CPU joining saves nothing.
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

    fn stored(&self, name: &str) -> Option<Stored> {
        self.tensors.borrow().get(name)?.stored.clone()
    }
}

/// What a model took from a [`Store`].
pub struct Taken {
    pub arrays: Vec<Array>,
    /// Number of logical parameters: a quantized matrix counts like the dense one that it represents.
    pub parameter_count: u64,
    pub sources: Sources,
}
