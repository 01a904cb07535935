// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Finds where a section of calls ends: a tag within a string or a value does not end it.
//!
//! Whether a tag is within a value shows only later. Scanners read on, and remember the first tag in doubt; if the
//! text turns out to be malformed, the section ends at that tag.

pub mod members;
pub mod quoted;

use self::members::Members;
use self::quoted::{Quoted, Syntax};
use super::tools::grammar;
use super::{ToolFormat, ToolSpec};

/// Where a section ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The end of the section's text.
    pub at: usize,
    /// Where the text after the section begins; the same as `at` where the next section begins without an end tag.
    pub next: usize,
    /// How far the text was read. Up to there no other value contains a tag.
    pub read: usize,
}

impl End {
    pub fn new(at: usize, next: usize) -> Self {
        Self { at, next, read: next }
    }

    /// How much of the text was taken for the section's before it ended.
    pub fn shown(self) -> usize {
        // The section may end where it was in doubt.
        if self.read > self.next { self.read } else { self.at }
    }
}

/// What [`Scanner::advance`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The section goes on.
    More,
    End(End),
    /// This is no section, although it begins as one.
    Nothing,
}

/// Reads a section as it arrives. Each format has its own way of marking values.
#[derive(Debug)]
pub enum Scanner {
    /// The format has no end tag.
    Endless,
    Quoted(Quoted),
    Members(Members),
}

impl Scanner {
    /// `settled`: the length of the text in which no value contains a tag; see [`End::read`].
    pub fn new(format: ToolFormat, settled: usize) -> Self {
        let quoted = |syntax| match format.tags() {
            Some((start, Some(end))) => Self::Quoted(Quoted::new(syntax, vec![end], Some(start), settled)),
            _ => Self::Endless,
        };
        match format {
            ToolFormat::None | ToolFormat::Harmony | ToolFormat::Mistral => Self::Endless,
            ToolFormat::JsonTools => quoted(Syntax::Json),
            ToolFormat::KimiK2 => quoted(Syntax::WithJson),
            ToolFormat::Pythonic => quoted(Syntax::Python),
            ToolFormat::FunctionGemma => quoted(Syntax::Quoted("<escape>")),
            ToolFormat::Gemma4 => quoted(Syntax::Quoted("<|\"|>")),
            ToolFormat::Qwen3Coder
            | ToolFormat::Glm47
            | ToolFormat::Longcat
            | ToolFormat::MinimaxM2
            | ToolFormat::Minicpm5 => {
                grammar(format).map_or(Self::Endless, |grammar| Self::Members(Members::new(grammar, settled)))
            }
        }
    }

    /// Creates a scanner for a call outside of a section; the text begins with the call's tag.
    pub fn of_bare_call(format: ToolFormat) -> Self {
        grammar(format).map_or(Self::Endless, |grammar| Self::Members(Members::bare(grammar)))
    }

    /// Reads on in the text of a section, which has grown since the last time. `last`: it will not grow again.
    pub fn advance(&mut self, text: &str, last: bool, tools: &[ToolSpec]) -> Found {
        match self {
            Self::Endless => Found::More,
            Self::Quoted(quoted) => quoted.advance(text, last),
            Self::Members(members) => members.advance(text, last, tools),
        }
    }

    /// Returns how much of the text belongs to the section for certain.
    pub fn read(&self, text: &str) -> usize {
        match self {
            Self::Endless => text.len(),
            Self::Quoted(quoted) => quoted.read(),
            Self::Members(members) => members.read(),
        }
    }
}
