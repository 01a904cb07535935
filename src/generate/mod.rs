// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Generation: the loop over the model ([`step`]), when it stops and what it has to say ([`run`]), what it leaves
//! for the next one ([`prompt_cache`]), and a model's own defaults ([`config`]).

mod config;
mod prompt_cache;
mod run;
mod step;

pub use config::GenerationConfig;
pub use prompt_cache::PromptCache;
pub use run::{Chunk, Event, FinishReason, Request, Run, SamplingRequest, Summary};
pub use step::{Step, StepOptions, Steps, TokenLogprobs};
