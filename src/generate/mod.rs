// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Generation: the loop over the model ([`step`]), which tokens may come ([`constraint`]), tokens to text ([`answer`]), when
//! a run stops ([`run`]), and the caches that it leaves for the next one ([`prompt_cache`]), also in a file
//! ([`saved_cache`]). And what is read of a text without an answer ([`reading`]).

mod allowed;
mod answer;
mod constraint;
mod logprobs;
mod prompt_cache;
mod reading;
mod run;
mod saved_cache;
mod step;
mod tokens;

pub use answer::{Answer, Chunk};
pub use constraint::{Begins, Constraint, Frame};
pub use logprobs::TokenLogprobs;
pub use prompt_cache::PromptCache;
pub use reading::{Reading, Readout};
pub use run::{Event, FinishReason, Request, Run, Summary};
pub use saved_cache::{CacheFacts, SavedCache};
pub use step::{Step, Steps};
