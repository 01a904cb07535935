// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Work that a hostile file or text could make panic or go deep: a panic becomes an error.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

thread_local! {
    static ISOLATED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread would become an error, so that a panic hook can keep quiet.
pub fn is_isolated() -> bool {
    ISOLATED.get()
}

/// Runs `work`; the error says what it panicked with.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let outer = ISOLATED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    ISOLATED.set(outer);
    result.map_err(|panic| describe(&*panic))
}

/// The same on a fresh thread with a stack of its own; what libraries cache for each thread ends with it.
pub fn run<T: Send>(stack_size: usize, work: impl FnOnce() -> T + Send) -> Result<T, String> {
    thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(stack_size)
            .spawn_scoped(scope, || catch(work))
            .map_err(|error| format!("no thread could be started: {error}"))?
            .join()
            .unwrap_or_else(|panic| Err(describe(&*panic)))
    })
}

fn describe(panic: &(dyn Any + Send)) -> String {
    if let Some(message) = panic.downcast_ref::<String>() {
        message.clone()
    } else if let Some(message) = panic.downcast_ref::<&str>() {
        (*message).to_owned()
    } else {
        "a library panicked".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_comes_back() {
        assert_eq!(run(1 << 20, || 41 + 1), Ok(42));
        assert_eq!(catch(is_isolated), Ok(true));
        assert!(!is_isolated());
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let panics = || -> () { std::panic::resume_unwind(Box::new("no")) };
        assert_eq!(catch(panics), Err("no".to_owned()));
        assert_eq!(run(1 << 20, panics), Err("no".to_owned()));
    }
}
