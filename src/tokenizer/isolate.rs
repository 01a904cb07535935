// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Work that a hostile file or text could make panic or go deep: a panic becomes an error.

use std::thread;

use crate::panics;

/// Runs `work` on a fresh thread with a stack of its own; what libraries cache for each thread ends with it.
pub fn run<T: Send>(stack_size: usize, work: impl FnOnce() -> T + Send) -> Result<T, String> {
    thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(stack_size)
            .spawn_scoped(scope, || panics::catch(work))
            .map_err(|error| format!("no thread could be started: {error}"))?
            .join()
            .unwrap_or_else(|panic| Err(panics::message(&*panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_comes_back() {
        assert_eq!(run(1 << 20, || 41 + 1), Ok(42));
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let panics = || -> () { std::panic::resume_unwind(Box::new("no")) };
        assert_eq!(panics::catch(panics), Err("panicked: no".to_owned()));
        assert_eq!(run(1 << 20, panics), Err("panicked: no".to_owned()));
    }
}
