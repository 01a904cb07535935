// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A lock between processes, as Python's filelock takes it: `flock`, or `LockFileEx` on Windows, where this one locks all
//! bytes of the file and Python's the first. The system releases it when the process ends.

use std::fs::{File, TryLockError};

use napi_derive::napi;

#[cfg(windows)]
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;

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
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    // Others may write to a shared cache: a link there would create its target.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, FILE_FLAG_OPEN_REPARSE_POINT);
    let file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(NativeFileLock(Some(file)))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
