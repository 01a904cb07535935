// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Holds an answer to a grammar: the value begins after the reasoning, and where functions are offered, the model may call
//! one instead. docs/decisions/constrained-output.md describes it.

use crate::{
    error::Result,
    grammar::{Mask, Matcher},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The next token begins the value, a call, or the reasoning if there was none.
    Choice {
        may_reason: bool,
    },
    Reasoning,
    Value,
    /// The model calls a function.
    Call,
}

/// What an answer must follow, and how far it has got.
pub struct Constraint {
    matcher: Matcher,
    phase: Phase,
    /// Whether the reasoning has begun in the text.
    has_reasoned: bool,
    /// Tokens that begin the reasoning.
    opening: Vec<u32>,
    /// Tokens between the reasoning and the value.
    gap: Vec<u32>,
    /// The token that begins a call, if the model may call functions.
    call: Option<u32>,
    /// The tokens allowed in the reasoning: it does not end the answer.
    in_reasoning: Mask,
}

/// How the value is preceded by reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    WithValue,
    /// The prompt has opened the reasoning.
    InReasoning,
    /// The model may reason first.
    WithChoice,
    /// The model always reasons; the answer begins with the opening.
    WithReasoning,
}

/// The tokens of a model's format around the value.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// Begins the reasoning.
    pub opening: Vec<u32>,
    /// Stands between the reasoning and the value.
    pub gap: Vec<u32>,
    /// Begins a call, if the model may call functions.
    pub call: Option<u32>,
    /// End the answer.
    pub eos: Vec<u32>,
}

impl Constraint {
    /// `vocab_size`: number of logits.
    pub fn new(matcher: Matcher, begins: Begins, frame: Frame, vocab_size: usize) -> Self {
        let Frame { opening, gap, call, eos } = frame;
        let mut in_reasoning = Mask::all(vocab_size);
        eos.into_iter().chain(call).for_each(|token| in_reasoning.forbid(token));
        let phase = match begins {
            Begins::WithValue => after_reasoning(call),
            Begins::WithChoice => Phase::Choice { may_reason: true },
            Begins::InReasoning | Begins::WithReasoning => Phase::Reasoning,
        };
        let has_reasoned = begins == Begins::InReasoning;
        Self { matcher, phase, has_reasoned, opening, gap, call, in_reasoning }
    }

    /// Whether all that follows belongs to the value.
    pub fn is_value(&self) -> bool {
        self.phase == Phase::Value
    }

    /// Whether the value is whole and nothing can follow.
    pub fn is_done(&self) -> bool {
        self.is_value() && self.matcher.is_done()
    }

    /// Returns the tokens that the answer begins with before anything is drawn, at most `limit`.
    pub fn begin(&mut self, limit: usize) -> Result<Vec<u32>> {
        match self.phase {
            Phase::Reasoning if !self.has_reasoned => {
                let mut opening = self.opening.clone();
                opening.truncate(limit);
                Ok(opening)
            }
            Phase::Value => self.matcher.force(limit),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether a drawn token is the first one of the value.
    pub fn begins_value_with(&self, token: u32) -> bool {
        match self.phase {
            Phase::Choice { may_reason } => {
                !(may_reason && self.opening.first() == Some(&token) || self.call == Some(token))
            }
            _ => false,
        }
    }

    /// Adds a token that was drawn. Returns the tokens that must follow it outside of the value.
    pub fn accept(&mut self, token: u32) -> Result<Vec<u32>> {
        match self.phase {
            Phase::Choice { .. } if self.begins_value_with(token) => {
                self.phase = Phase::Value;
                self.matcher.accept(token)?;
            }
            Phase::Choice { .. } if self.call == Some(token) => self.phase = Phase::Call,
            Phase::Choice { .. } => {
                self.phase = Phase::Reasoning;
                return Ok(self.opening.get(1..).unwrap_or_default().to_vec());
            }
            Phase::Value => self.matcher.accept(token)?,
            Phase::Reasoning | Phase::Call => {}
        }
        Ok(Vec::new())
    }

    /// Takes note of whether the text so far ends within the reasoning. Where that has just ended, returns the tokens between
    /// it and the value.
    pub fn note(&mut self, is_reasoning: bool) -> Option<Vec<u32>> {
        if self.phase != Phase::Reasoning {
            return None;
        }
        if is_reasoning || !self.has_reasoned {
            self.has_reasoned |= is_reasoning;
            return None;
        }
        self.phase = after_reasoning(self.call);
        Some(std::mem::take(&mut self.gap))
    }

    /// Adds and returns the tokens of the value that must come next, at most `limit`.
    pub fn force(&mut self, limit: usize) -> Result<Vec<u32>> {
        if self.is_value() { self.matcher.force(limit) } else { Ok(Vec::new()) }
    }

    /// Returns the tokens that may come next; `None`: all.
    pub fn allowed(&mut self) -> Result<Option<Mask>> {
        Ok(match self.phase {
            Phase::Call => None,
            Phase::Reasoning => Some(self.in_reasoning.clone()),
            Phase::Value => Some(self.matcher.mask()?),
            Phase::Choice { may_reason } => {
                let mut mask = self.matcher.mask()?;
                let opening = self.opening.first().copied().filter(|_| may_reason);
                opening.into_iter().chain(self.call).for_each(|token| mask.allow(token));
                Some(mask)
            }
        })
    }
}

/// A value must follow unless a function may be called.
fn after_reasoning(call: Option<u32>) -> Phase {
    if call.is_some() { Phase::Choice { may_reason: false } } else { Phase::Value }
}
