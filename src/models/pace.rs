// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How many tokens of a prompt a pass takes. Until it ends, no other run, no abort and no exit gets its turn; and macOS may
//! end a pass that keeps the screen waiting (jundot/omlx#1387).

use std::{cell::Cell, time::Duration};

use crate::mlx::{self, Backend};

/// Most tokens of a pass: what mlx-lm takes.
const MOST: usize = 2048;
/// Fewest tokens of a pass. Each reads all weights, so fewer would make long prompts slow.
const FEWEST: usize = 16;
/// How long a pass may take by the one before, in seconds. The next is up to a third shorter, and longer the more tokens are
/// in the cache.
const SECONDS: f64 = 1.1;
/// The same of a pass over all that is left: a further one would read all weights again.
const LAST_SECONDS: f64 = 1.3;

/// The speed of a model, by the passes that it has made.
#[derive(Debug)]
pub struct Pace {
    seconds_per_token: Cell<f64>,
}

impl Pace {
    /// What can be expected of a device of its kind: two operations for each parameter, at so many a second.
    pub fn new(parameters: u64) -> Self {
        let per_second = match mlx::backend() {
            Backend::Cpu => mlx::operations_per_second(),
            Backend::Gpu if mlx::is_cuda() => 10e12,
            // Half of what an M1 with seven cores could do at best.
            Backend::Gpu => 1.3e12,
        };
        Self { seconds_per_token: Cell::new(2.0 * parameters as f64 / per_second) }
    }

    /// Number of tokens of the next pass, where so many are left to read.
    pub fn tokens(&self, left: usize) -> usize {
        let within = |seconds: f64| ((seconds / self.seconds_per_token.get().max(1e-9)) as usize).clamp(FEWEST, MOST);
        if left <= within(LAST_SECONDS) { left } else { round_down(within(SECONDS)) }
    }

    /// Takes note of a pass over so many tokens, after which others were left: a last one may be too short to tell.
    pub fn took(&self, tokens: usize, time: Duration) {
        self.seconds_per_token.set(time.as_secs_f64() / tokens.max(1) as f64);
    }
}

/// The next smaller power of two, or one and a half of it: small differences in time should not change what is computed.
fn round_down(tokens: usize) -> usize {
    let power = 1 << tokens.max(1).ilog2();
    if tokens >= power + power / 2 { power + power / 2 } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a prompt on a device that takes so many seconds for a pass, and so many more per token and per pair of tokens;
    /// returns the passes' sizes and times.
    fn read(pace: &Pace, prompt: usize, pass: f64, token: f64, pair: f64) -> Vec<(usize, f64)> {
        let (mut passes, mut read) = (Vec::new(), 0);
        while read < prompt {
            let tokens = pace.tokens(prompt - read);
            let time = pass + tokens as f64 * (token + pair * (read + tokens) as f64);
            if read + tokens < prompt {
                pace.took(tokens, Duration::from_secs_f64(time));
            }
            passes.push((tokens, time));
            read += tokens;
        }
        passes
    }

    fn expecting(seconds_per_token: f64) -> Pace {
        Pace { seconds_per_token: Cell::new(seconds_per_token) }
    }

    #[test]
    fn passes_take_about_a_second() {
        for tokens_per_second in [40.0, 100.0, 175.0, 700.0, 1_700.0] {
            for wrong_by in [1.0, 3.0, 30.0] {
                let token = 1.0 / tokens_per_second;
                let passes = read(&expecting(token * wrong_by), 20_000, 0.03, token, token / 40_000.0);
                assert!(passes.iter().all(|(_, time)| *time < 1.5), "{tokens_per_second}: {passes:?}");
                let settled = &passes[3..passes.len() - 1];
                assert!(settled.iter().all(|(_, time)| *time > 0.5), "{tokens_per_second}: {passes:?}");
            }
        }
    }

    #[test]
    fn a_device_that_is_slower_than_expected_is_waited_for_once() {
        let passes = read(&expecting(0.001), 2000, 0.0, 0.01, 0.0);
        assert!(passes[0].1 > 5.0 && passes[1..].iter().all(|(_, time)| *time < 1.5), "{passes:?}");
    }

    #[test]
    fn a_pass_has_no_fewer_tokens_than_make_it_worthwhile() {
        let passes = read(&expecting(1.0), 64, 2.0, 0.5, 0.0);
        assert!(passes.iter().all(|(tokens, _)| *tokens == FEWEST), "{passes:?}");
    }

    #[test]
    fn a_fast_device_takes_as_many_tokens_as_mlx_lm() {
        let passes = read(&expecting(1e-9), 10_000, 0.001, 1e-6, 0.0);
        assert_eq!(passes.iter().map(|(tokens, _)| *tokens).collect::<Vec<_>>(), [2048, 2048, 2048, 2048, 1808]);
        assert_eq!([1, 2, 3, 5, 6, 11, 12, 500, 2048].map(round_down), [1, 2, 3, 4, 6, 8, 12, 384, 2048]);
    }
}
