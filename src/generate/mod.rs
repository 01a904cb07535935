// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Generation: the loop over the model ([`step`]), which tokens may come ([`constraint`]), tokens to text ([`answer`]), when
//! a run stops ([`run`]), guesses that save passes ([`speculation`]), and the caches that it leaves for the next one ([`prompt_cache`]), also in a file
//! ([`saved_cache`]). And what is read of a text without an answer ([`reading`]).

mod allowed;
mod answer;
mod constraint;
mod draft;
mod logprobs;
mod lookup;
mod prompt_cache;
mod reading;
mod run;
mod saved_cache;
mod speculation;
mod step;
mod summary;
mod tokens;

pub use answer::{Answer, Chunk};
pub use constraint::{Begins, Constraint, Frame};
pub use logprobs::TokenLogprobs;
pub use prompt_cache::PromptCache;
pub use reading::{Reading, Readout};
pub use run::{Event, Request, Run};
pub use saved_cache::{CacheFacts, SavedCache};
pub use speculation::Speculation;
pub use step::{Step, Steps};
pub use summary::{FinishReason, Summary};
