// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A lock between processes, as Python's filelock takes it: `flock`, or `LockFileEx` on Windows, where this one locks all
//! bytes of the file and Python's the first. The system releases it when the process ends.

use std::fs::{File, TryLockError};

use napi_derive::napi;

/// A file that stays locked until it is released or garbage-collected.
#[napi]
pub struct NativeFileLock(Option<File>);

#[napi]
impl NativeFileLock {
    #[napi(catch_unwind)]
    pub fn release(&mut self) {
        self.0 = None;
    }
}

/// Locks a file, which is created if it does not exist; `null` if it is locked already. Does not wait.
#[napi(catch_unwind)]
pub fn try_lock_file(path: String) -> napi::Result<Option<NativeFileLock>> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(NativeFileLock(Some(file)))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
