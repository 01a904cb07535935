// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Loading a model with its tokenizer.

use super::{Session, workers::LOADERS};
use crate::{
    engine::{self, Cancel, LoadOptions, Progress},
    error::{Error, Result},
    limits::LOADING_TIME,
    models,
    tokenizer::Tokenizer,
    watch::within,
};

/// Loads a model. The tokenizer comes first: while it is built it takes half as much memory again as afterwards, which goes
/// back to the system before the weights are read (docs/decisions/weights.md).
///
/// # Errors
/// What is wrong with the folder or the device; `Aborted` if `cancel` was set.
pub async fn load(options: LoadOptions, cancel: Cancel, progress: Progress) -> Result<Session> {
    let path = options.folder.clone();
    let read = move || {
        let rule = models::tokenizer_class(&models::check_folder(&path)?)?;
        let tokenizer = Tokenizer::from_dir(&path, rule)?;
        trim_memory();
        Ok(tokenizer)
    };
    let tokenizer = LOADERS.run(&cancel, || within(LOADING_TIME, read)).await?;
    let (id, info) = engine::load(options, cancel, progress).await?;
    let (largest_id, rows) = (tokenizer.largest_id(), info.vocab_size);
    let session = Session::new(id, info, tokenizer);
    if largest_id as usize >= rows {
        session.dispose().await?;
        return Err(Error::TokenizerMismatch { largest_id, rows });
    }
    Ok(session)
}

/// Returns freed memory to the system, where the allocator would keep it.
fn trim_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes the allocator's own locks and releases only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
