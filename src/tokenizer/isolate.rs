// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Runs work that a hostile file or text could make panic or recurse deeply; a panic becomes an error.

use std::thread;

use crate::{
    panics,
    watch::{Watch, charge, thread_time},
};

/// Runs `work` on a new thread with its own stack; the error is the message of a panic. Per-thread caches of libraries are
/// freed when the thread ends.
pub fn run<T: Send>(stack_size: usize, work: impl FnOnce() -> T + Send) -> Result<T, String> {
    let watch = Watch::current();
    thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(stack_size)
            .spawn_scoped(scope, || (watch.over(|| panics::catch(work)), thread_time()))
            .map_err(|error| format!("no thread could be started: {error}"))?
            .join()
            .map(|(result, time)| {
                charge(time.unwrap_or_default());
                result
            })
            .unwrap_or_else(|panic| Err(panics::message(&*panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_returned() {
        assert_eq!(run(1 << 20, || 41 + 1), Ok(42));
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let panics = || -> () { std::panic::resume_unwind(Box::new("no")) };
        assert_eq!(panics::catch(panics), Err("panicked: no".to_owned()));
        assert_eq!(run(1 << 20, panics), Err("panicked: no".to_owned()));
    }
}
