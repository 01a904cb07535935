// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Panics become errors wherever this crate is entered from outside, so they are not printed as well.

use std::{
    any::Any,
    cell::RefCell,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::error::{Error, Result};

thread_local! {
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps a panic's place for [`message`] instead of printing it.
pub fn install_quiet_hook() {
    panic::set_hook(Box::new(|info| {
        let location = info.location().map(ToString::to_string);
        LOCATION.with_borrow_mut(|last| *last = location);
    }));
}

/// What a panic that was just caught on this thread said, and where.
pub fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    match LOCATION.with_borrow_mut(Option::take) {
        Some(location) => format!("panicked at {location}: {text}"),
        None => format!("panicked: {text}"),
    }
}

/// Runs `work`; the error is what it said when it panicked.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| message(&*payload))
}

/// Runs `work`; a panic becomes an internal error.
pub fn guard<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch(work).unwrap_or_else(|message| Err(Error::internal(message)))
}

/// Locks a mutex whose content stays valid when a thread panics while it holds the lock.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
