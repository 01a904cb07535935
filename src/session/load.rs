// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Loading a model with its tokenizer.

use std::path::PathBuf;

use super::{Session, workers::LOADERS};
use crate::{
    engine::{self, Cancel, LoadOptions, Progress},
    error::{Error, Result},
    limits::LOADING_TIME,
    mlx::Backend,
    models::{self, ModelFiles, ModelInfo},
    tokenizer::Tokenizer,
    watch::within,
};

/// Loads a model. The tokenizer comes first: while it is built it takes half as much memory again as afterwards, which goes
/// back to the system before the weights are read (docs/decisions/weights.md).
///
/// # Errors
/// What is wrong with the folder or the device; `Aborted` if `cancel` was set.
pub async fn load(options: LoadOptions, cancel: Cancel, progress: Progress) -> Result<Session> {
    let (folder, adapter) = (options.folder.clone(), options.adapter.clone());
    let read = move || {
        let config = models::check_folder(&folder)?;
        let tokenizer = Tokenizer::from_dir(&folder, models::tokenizer_class(&config)?)?;
        trim_memory();
        Ok((tokenizer, ModelFiles::read(&folder, config, adapter.as_deref())?))
    };
    let (tokenizer, files) = LOADERS.run(&cancel, || within(LOADING_TIME, read)).await?;
    let (id, info) = engine::load(files, options, cancel, progress).await?;
    let (largest_id, rows) = (tokenizer.largest_id(), info.vocab_size);
    let session = Session::new(id, info, tokenizer);
    if largest_id as usize >= rows {
        session.dispose().await?;
        return Err(Error::TokenizerMismatch { largest_id, rows });
    }
    Ok(session)
}

/// Returns what is known of a model without its weights, and the available memory in bytes.
///
/// # Errors
/// What is wrong with the folder or the device.
pub async fn inspect(folder: PathBuf, adapter: Option<PathBuf>, backend: Option<Backend>) -> Result<(ModelInfo, u64)> {
    let read = move || ModelFiles::read(&folder, models::check_folder(&folder)?, adapter.as_deref());
    let files = LOADERS.run(&Cancel::default(), || within(LOADING_TIME, read)).await?;
    engine::inspect(files, backend).await
}

/// Returns freed memory to the system, where the allocator would keep it.
fn trim_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes the allocator's own locks and releases only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
