// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Holds an answer to a grammar: the value begins after the reasoning, and where functions are offered, the model may call
//! one instead, or all that follows is calls and text. docs/decisions/constrained-output.md describes it.

use crate::{
    error::Result,
    grammar::{Mask, Matcher},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The next token begins the value, calls, or the reasoning if there was none.
    Choice {
        may_reason: bool,
    },
    Reasoning,
    Value,
    /// The model calls functions, or may do so.
    Calls,
}

/// What an answer must follow, and how far it has got.
pub struct Constraint {
    value: Option<Matcher>,
    /// `None`: calls are not held to anything.
    calls: Option<Matcher>,
    phase: Phase,
    /// Whether the reasoning has begun in the text.
    has_reasoned: bool,
    /// Tokens that begin the reasoning.
    opening: Vec<u32>,
    /// Tokens between the reasoning and the value.
    gap: Vec<u32>,
    /// The token that begins a call, if the model may call functions and that token is known.
    call: Option<u32>,
    /// The tokens allowed in the reasoning: it does not end the answer.
    in_reasoning: Mask,
}

/// How the value, or calls, are preceded by reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    WithAnswer,
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
    /// Without a `value`, all is calls, which may be within text. `vocab_size`: number of logits.
    pub fn new(
        value: Option<Matcher>,
        calls: Option<Matcher>,
        begins: Begins,
        frame: Frame,
        vocab_size: usize,
    ) -> Self {
        let Frame { opening, gap, call, eos } = frame;
        let mut in_reasoning = Mask::all(vocab_size);
        eos.into_iter().chain(call).for_each(|token| in_reasoning.forbid(token));
        let has_reasoned = begins == Begins::InReasoning;
        let mut this = Self { value, calls, phase: Phase::Reasoning, has_reasoned, opening, gap, call, in_reasoning };
        match begins {
            Begins::WithAnswer => this.phase = this.after_reasoning(),
            Begins::WithChoice => this.phase = Phase::Choice { may_reason: true },
            Begins::InReasoning | Begins::WithReasoning => {}
        }
        this
    }

    /// A value must follow unless a function may be called.
    fn after_reasoning(&self) -> Phase {
        match (&self.value, self.call) {
            (None, _) => Phase::Calls,
            (Some(_), None) => Phase::Value,
            (Some(_), Some(_)) => Phase::Choice { may_reason: false },
        }
    }

    /// What all that follows is held to.
    fn matcher(&mut self) -> Option<&mut Matcher> {
        match self.phase {
            Phase::Value => self.value.as_mut(),
            Phase::Calls => self.calls.as_mut(),
            Phase::Choice { .. } | Phase::Reasoning => None,
        }
    }

    /// Whether all that follows belongs to the value.
    pub fn is_value(&self) -> bool {
        self.phase == Phase::Value
    }

    /// Whether the answer is whole and nothing can follow.
    pub fn is_done(&self) -> bool {
        match self.phase {
            Phase::Value => self.value.as_ref().is_some_and(Matcher::is_done),
            Phase::Calls => self.calls.as_ref().is_some_and(Matcher::is_done),
            Phase::Choice { .. } | Phase::Reasoning => false,
        }
    }

    /// Returns the tokens that the answer begins with before anything is drawn, at most `limit`.
    pub fn begin(&mut self, limit: usize) -> Result<Vec<u32>> {
        match self.phase {
            Phase::Reasoning if !self.has_reasoned => {
                let mut opening = self.opening.clone();
                opening.truncate(limit);
                Ok(opening)
            }
            _ => self.force(limit),
        }
    }

    /// Whether a drawn token is the first one of the value.
    pub fn begins_value_with(&self, token: u32) -> bool {
        match self.phase {
            Phase::Choice { may_reason } => {
                self.value.is_some() && !self.begins_reasoning(may_reason, token) && self.call != Some(token)
            }
            _ => false,
        }
    }

    fn begins_reasoning(&self, may_reason: bool, token: u32) -> bool {
        may_reason && self.opening.first() == Some(&token)
    }

    /// Adds a token that was drawn. Returns the tokens that must follow it outside of the value.
    pub fn accept(&mut self, token: u32) -> Result<Vec<u32>> {
        if let Phase::Choice { may_reason } = self.phase {
            if self.begins_reasoning(may_reason, token) {
                self.phase = Phase::Reasoning;
                return Ok(self.opening.get(1..).unwrap_or_default().to_vec());
            }
            self.phase = if self.begins_value_with(token) { Phase::Value } else { Phase::Calls };
        }
        self.matcher().map_or(Ok(()), |matcher| matcher.accept(token))?;
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
        self.phase = self.after_reasoning();
        Some(std::mem::take(&mut self.gap))
    }

    /// Adds and returns the tokens of the value or the calls that must come next, at most `limit`.
    pub fn force(&mut self, limit: usize) -> Result<Vec<u32>> {
        self.matcher().map_or_else(|| Ok(Vec::new()), |matcher| matcher.force(limit))
    }

    /// Returns the tokens that may come next; `None`: all.
    pub fn allowed(&mut self) -> Result<Option<Mask>> {
        let Phase::Choice { may_reason } = self.phase else {
            return match self.phase {
                Phase::Reasoning => Ok(Some(self.in_reasoning.clone())),
                _ => self.matcher().map(Matcher::mask).transpose(),
            };
        };
        let matcher = self.value.as_mut().or(self.calls.as_mut());
        let mut mask = matcher.map(Matcher::mask).transpose()?;
        let opening = self.opening.first().copied().filter(|_| may_reason);
        if let Some(mask) = &mut mask {
            let call = self.call.filter(|_| self.value.is_some());
            opening.into_iter().chain(call).for_each(|token| mask.allow(token));
        }
        Ok(mask)
    }
}
