// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A lock between processes: `flock`, as Python's filelock takes it. It ends with the process at the latest.

use std::fs::{File, TryLockError};

use napi_derive::napi;

/// A file that is locked until it is released or collected.
#[napi]
pub struct NativeFileLock(Option<File>);

#[napi]
impl NativeFileLock {
    #[napi(catch_unwind)]
    pub fn release(&mut self) {
        self.0 = None;
    }
}

/// Locks a file, which is made if need be; `None` if it is locked already. Waits for nothing.
#[napi(catch_unwind)]
pub fn try_lock_file(path: String) -> napi::Result<Option<NativeFileLock>> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(NativeFileLock(Some(file)))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
