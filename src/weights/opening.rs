// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The weight files of a folder: their headers, and their tensors, which MLX gets some at a time. The headers need no MLX.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Tensor,
    files::Files,
    header::{self, Header},
    reader::{View, is_half},
};
use crate::{
    error::{Error, Result},
    limits::{TENSORS, TENSORS_PER_TURN},
    mlx::{self, Backend},
    watch::is_over,
};

/// Weight files whose headers were read and checked.
pub struct Headers {
    pub(super) folder: PathBuf,
    pub(super) files: Vec<(PathBuf, Header)>,
    pub(super) found: Files,
    /// Whether the index says in which file a tensor is.
    indexed: bool,
}

impl Headers {
    /// Reads the headers of every `model*.safetensors` in a folder.
    ///
    /// # Errors
    /// `ModelFileMissing`, `UnsafePath` (an index or a link that points outside the folder) or `WeightsInvalid`.
    pub fn read(folder: &Path) -> Result<Self> {
        let found = Files::find(folder)?;
        let mut files = read_all(found.named())?;
        let indexed = {
            let all = files.iter().flat_map(|(path, header)| header.tensors.iter().map(move |(name, _)| (name, path)));
            let names = all.filter(|(name, path)| !found.is_elsewhere(name, path)).map(|(name, _)| name.as_str());
            found.are_all(&names.collect())
        };
        // A complete index wins over other files beside it; one that is wrong says nothing.
        if !indexed {
            files = read_all(found.present.iter())?;
        }
        Ok(Self { folder: folder.to_owned(), files, found, indexed })
    }
}

fn read_all<'p>(paths: impl Iterator<Item = &'p PathBuf>) -> Result<Vec<(PathBuf, Header)>> {
    let (mut files, mut count) = (Vec::new(), 0);
    for path in paths {
        let invalid = |message: String| Error::WeightsInvalid { path: path.clone(), message };
        if is_over() {
            return Err(invalid("reading the headers takes too long".to_owned()));
        }
        let header = header::open(path)?;
        count += header.tensors.len();
        if count > TENSORS {
            return Err(invalid(format!("with this file there are {count} tensors, more than {TENSORS}")));
        }
        files.push((path.clone(), header));
    }
    Ok(files)
}

/// Tensors on their way to MLX.
pub struct Opening {
    pub(super) headers: Headers,
    pub(super) tensors: HashMap<String, Tensor>,
    pub(super) backend: Backend,
    /// The file that is next, and the tensor in it.
    next: (usize, usize),
}

impl Opening {
    pub fn new(headers: Headers) -> Self {
        Self { headers, tensors: HashMap::new(), backend: mlx::backend(), next: (0, 0) }
    }

    /// Hands some tensors to MLX; `true` when it has all. Data follows when arrays are evaluated.
    ///
    /// # Errors
    /// `WeightsInvalid`.
    pub fn advance(&mut self) -> Result<bool> {
        let Headers { files, found, indexed, .. } = &self.headers;
        let (at, from) = self.next;
        let Some((path, header)) = files.get(at) else { return Ok(true) };
        let tensors: Vec<_> = header.tensors.iter().skip(from).take(TENSORS_PER_TURN).cloned().collect();
        let end = from + tensors.len();
        self.next = if end < header.tensors.len() { (at, end) } else { (at + 1, 0) };
        let part = Header { file: Arc::clone(&header.file), tensors, metadata: HashMap::new() };
        let tensors = read(path, &part, self.backend)?;
        let here = tensors.into_iter().filter(|(name, _)| !(*indexed && found.is_elsewhere(name, path)));
        self.tensors.extend(here);
        Ok(self.next.0 == files.len())
    }
}

/// Reads the tensors of a file.
fn read(path: &Path, header: &Header, backend: Backend) -> Result<Vec<(String, Tensor)>> {
    let all = header.stored(path);
    let shown = all.iter().map(|(name, stored)| (*name, stored));
    let mut widened = match backend {
        Backend::Cpu => {
            mlx::load_safetensors(path, View::new(shown.clone().filter(|(_, stored)| is_half(stored.dtype)), true))?
        }
        Backend::Gpu => HashMap::new(),
    };
    let mut arrays = mlx::load_safetensors(path, View::new(shown, false))?;
    Ok(all
        .into_iter()
        .filter_map(|(name, stored)| {
            let tensor = Tensor { array: arrays.remove(name)?, widened: widened.remove(name), stored: Some(stored) };
            Some((name.to_owned(), tensor))
        })
        .collect())
}
