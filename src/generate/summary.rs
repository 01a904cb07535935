// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How a run ended: why, usage and timings.

use std::time::Duration;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    Aborted,
}

/// Usage and timings of a completed run.
#[derive(Debug, Clone)]
pub struct Summary {
    pub finish_reason: FinishReason,
    pub stop_string: Option<String>,
    pub prompt_tokens: usize,
    /// Number of prompt tokens that were already in the cache.
    pub cached_tokens: usize,
    /// Without the end-of-sequence token.
    pub completion_tokens: usize,
    /// Number of reasoning tokens among them.
    pub reasoning_tokens: usize,
    /// Number of tokens that were guessed, and of those that were right.
    pub drafted_tokens: usize,
    pub accepted_tokens: usize,
    /// From the call to the run's first turn.
    pub queue: Duration,
    /// From the first turn to the first token; zero without one.
    pub prompt: Duration,
    /// From the call to the first token; zero without one.
    pub time_to_first_token: Duration,
    /// From the first token to the last.
    pub generation: Duration,
    pub peak_memory: usize,
}

impl Summary {
    /// Over the prompt's tokens that were not in the cache.
    pub fn prompt_tokens_per_second(&self) -> f64 {
        per_second(self.prompt_tokens - self.cached_tokens, self.prompt)
    }

    /// Over the tokens after the first, which belongs to the prompt's time.
    pub fn generation_tokens_per_second(&self) -> f64 {
        per_second(self.completion_tokens.saturating_sub(1), self.generation)
    }
}

fn per_second(count: usize, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
