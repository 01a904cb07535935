// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Guesses of the next tokens, and how many of them are worth a try.

use std::rc::Rc;

use super::draft::Draft;
use super::lookup::Lookup;
use crate::{
    error::Result,
    generate::PromptCache,
    models::LoadedModel,
    options::{RunOptions, Speculative},
};

/// Maximum number of guesses from the text in one pass: from eight rows on, a CPU takes much longer (`nn/linear.rs`).
const LOOKUP_TOKENS: usize = 6;
/// Maximum number of passes without a guess, after guesses that were all wrong.
const LONGEST_PAUSE: u32 = 32;

enum Source {
    Text(Lookup),
    Model(Box<Draft>),
}

/// Where guesses come from, and what became of them.
pub struct Speculation {
    source: Source,
    most: usize,
    /// Number of guesses for the next pass.
    length: usize,
    /// Number of passes since a guess was right, and number of those still to come without guesses.
    misses: u32,
    pause: u32,
    drafted: usize,
    accepted: usize,
}

impl Speculation {
    /// What the options ask for. `draft`: the model that guesses, if one does.
    pub fn new(options: &RunOptions, draft: Option<Rc<LoadedModel>>) -> Option<Self> {
        let (most, source) = match (options.speculative.as_ref()?, draft) {
            (Speculative::PromptLookup, _) => (LOOKUP_TOKENS, Source::Text(Lookup::default())),
            (Speculative::Draft { tokens }, draft) => (*tokens, Source::Model(Box::new(Draft::new(draft?, options)))),
        };
        Some(Self { source, most, length: most, misses: 0, pause: 0, drafted: 0, accepted: 0 })
    }

    /// The model that guesses, if one does.
    pub fn draft(&self) -> Option<&Draft> {
        if let Source::Model(draft) = &self.source { Some(draft) } else { None }
    }

    /// The same, to be changed.
    pub fn draft_mut(&mut self) -> Option<&mut Draft> {
        if let Source::Model(draft) = &mut self.source { Some(draft) } else { None }
    }

    /// Number of guesses, and of those that were right.
    pub fn counts(&self) -> (usize, usize) {
        (self.drafted, self.accepted)
    }

    /// Lets a draft model read the text up to `end`, as far as one of its passes goes.
    pub fn read(&mut self, text: &[u32], end: usize) -> Result<()> {
        self.draft_mut().map_or(Ok(()), |draft| draft.read(text, end))
    }

    /// Guesses at most `most` tokens behind the text. `drawn`: number of tokens drawn so far.
    pub fn guess(&mut self, text: &[u32], most: usize, drawn: u64) -> Result<Vec<u32>> {
        if self.pause > 0 {
            self.pause -= 1;
            return Ok(Vec::new());
        }
        let length = self.length.min(most);
        match &mut self.source {
            _ if length == 0 => Ok(Vec::new()),
            Source::Model(draft) => draft.guess(text, length, drawn),
            Source::Text(lookup) => Ok(lookup.guess(text, length)),
        }
    }

    /// Takes note of how many of the guesses were right.
    pub fn learn(&mut self, guesses: usize, right: usize) {
        self.drafted += guesses;
        self.accepted += right;
        self.misses = if right == 0 { self.misses + 1 } else { 0 };
        if right == guesses {
            self.length = self.most.min(self.length + 2);
        } else if self.misses > 1 {
            self.length = 1.max(self.length / 2);
        }
        if self.misses > 2 {
            self.pause = LONGEST_PAUSE.min(1 << (self.misses - 2).min(5));
        }
        if let Source::Text(lookup) = &mut self.source {
            lookup.learn(guesses, right);
        }
    }

    /// Returns the caches of the draft model, if there is one.
    pub fn into_prompt_cache(self) -> Result<Option<PromptCache>> {
        if let Source::Model(draft) = self.source { draft.into_prompt_cache().map(Some) } else { Ok(None) }
    }
}
