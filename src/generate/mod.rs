// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Generation: the loop over the model ([`step`]), when it stops and what it has to say ([`run`]), and a model's own
//! defaults ([`config`]).

mod config;
mod run;
mod step;

pub use config::GenerationConfig;
pub use run::{Chunk, Event, FinishReason, Request, Run, SamplingRequest, Summary};
pub use step::{Step, StepOptions, Steps, TokenLogprobs};
