// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/generate.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: one part for each state that a text passes.
// Differs from mlx-lm: tags within strings and values do not end a section, and a lost end tag costs one call.

//! Outputs that mark reasoning and tool calls with a pair of tags each.

use super::deltas::Deltas;
use super::section::{End, Found as Section, Scanner};
use super::sink::Sink;
use super::tags::{Found, next_tag};
use super::tools;
use super::{ReasoningFormat, ToolFormat, ToolSpec, consume};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    Reasoning,
    Tool {
        in_reasoning: bool,
    },
    /// A call without the section's start tag.
    BareCall,
}

#[derive(Debug)]
pub struct Tagged {
    format: ToolFormat,
    reasoning: ReasoningFormat,
    tools: Vec<ToolSpec>,
    /// Whether a call may stand in the reasoning.
    calls_in_reasoning: bool,
    state: State,
    /// Text that was not emitted yet: what may be the start of a tag, or the open section without its start tag.
    held: String,
    /// The length of the text in which no value contains a tag.
    settled: usize,
    scanner: Scanner,
    deltas: Deltas,
    /// How much of the section the deltas contain.
    shown: usize,
}

impl Tagged {
    pub fn new(format: ToolFormat, reasoning: ReasoningFormat, tools: &[ToolSpec]) -> Self {
        Self {
            format,
            reasoning,
            tools: tools.to_vec(),
            calls_in_reasoning: true,
            state: State::Text,
            held: String::new(),
            settled: 0,
            scanner: Scanner::Endless,
            deltas: Deltas::Off,
            shown: 0,
        }
    }

    pub fn start_in_reasoning(&mut self) {
        if self.reasoning.tags().is_some() {
            self.state = State::Reasoning;
        }
    }

    pub fn forbid_calls_in_reasoning(&mut self) {
        self.calls_in_reasoning = false;
    }

    pub fn is_reasoning(&self) -> bool {
        self.state == State::Reasoning
    }

    pub fn push(&mut self, text: &str, sink: &mut Sink) {
        self.held.push_str(text);
        self.read(false, sink);
    }

    pub fn finish(&mut self, sink: &mut Sink) {
        self.read(true, sink);
    }

    fn read(&mut self, last: bool, sink: &mut Sink) {
        let held = std::mem::take(&mut self.held);
        self.held = consume(held, |rest| {
            let length = self.next(rest, last, sink)?;
            self.settled = self.settled.saturating_sub(length);
            Some(length)
        });
    }

    /// Processes the start of a text up to a change of the state. Returns its length; `None` if more text is needed.
    fn next(&mut self, text: &str, last: bool, sink: &mut Sink) -> Option<usize> {
        match self.state {
            State::Tool { in_reasoning } => self.section(text, in_reasoning, last, sink),
            State::BareCall => self.bare_call(text, last, sink),
            State::Text | State::Reasoning => {
                let (at, length, to) = match next_tag(text, &self.edges()) {
                    Found::Tag { at, to: State::BareCall, .. } => (at, at, State::BareCall),
                    Found::Tag { at, tag, to } => (at, at + tag.len(), to),
                    Found::Partial { at } if !last => (at, at, self.state),
                    Found::Partial { .. } | Found::Nothing => (text.len(), text.len(), self.state),
                };
                self.emit(text.get(..at)?, sink);
                let has_changed = to != self.state;
                self.enter(to, self.settled.saturating_sub(length));
                (length > 0 || has_changed).then_some(length)
            }
        }
    }

    /// Returns the tags that are valid in the current state, and the states that they lead to.
    fn edges(&self) -> Vec<(&'static str, State)> {
        let reasoning = self.reasoning.tags();
        let tool = self.format.tags().map(|(start, _)| start);
        let edges = match self.state {
            State::Text => [
                reasoning.map(|(start, _)| (start, State::Reasoning)),
                tool.map(|start| (start, State::Tool { in_reasoning: false })),
                self.format.bare_call().map(|start| (start, State::BareCall)),
            ],
            _ => [
                reasoning.map(|(_, end)| (end, State::Text)),
                tool.filter(|_| self.calls_in_reasoning).map(|start| (start, State::Tool { in_reasoning: true })),
                None,
            ],
        };
        edges.into_iter().flatten().collect()
    }

    fn emit(&mut self, text: &str, sink: &mut Sink) {
        match self.state {
            State::Reasoning => sink.reasoning(text),
            _ => sink.text(text),
        }
    }

    fn enter(&mut self, state: State, settled: usize) {
        self.state = state;
        self.shown = 0;
        (self.scanner, self.deltas) = match state {
            State::Tool { .. } => (Scanner::new(self.format, settled), Deltas::new(self.format)),
            State::BareCall => (Scanner::of_bare_call(self.format), Deltas::Off),
            State::Text | State::Reasoning => (Scanner::Endless, Deltas::Off),
        };
    }

    fn section(&mut self, text: &str, in_reasoning: bool, last: bool, sink: &mut Sink) -> Option<usize> {
        let found = self.scanner.advance(text, last, &self.tools);
        let end = match found {
            Section::End(end) => Some(end),
            Section::More | Section::Nothing => None,
        };
        let read = end.map_or_else(|| self.scanner.read(text), End::shown);
        self.deltas.push(text.get(self.shown..read).unwrap_or_default(), sink);
        self.shown = self.shown.max(read);
        match end {
            Some(end) => {
                self.settled = self.settled.max(end.read);
                self.end_section(text, end, in_reasoning, true, sink);
                Some(end.next)
            }
            None if last => {
                let body = text.trim_end();
                let closed = self.format.closers().iter().any(|closer| body.ends_with(closer));
                self.deltas.push(text.get(self.shown..).unwrap_or_default(), sink);
                self.end_section(text, End::new(text.len(), text.len()), in_reasoning, closed, sink);
                Some(text.len())
            }
            None => None,
        }
    }

    fn bare_call(&mut self, text: &str, last: bool, sink: &mut Sink) -> Option<usize> {
        let found = match self.settled {
            0 => self.scanner.advance(text, last, &self.tools),
            _ => Section::Nothing,
        };
        let end = match found {
            Section::More if !last => return None,
            Section::More | Section::Nothing => None,
            Section::End(end) => Some(end),
        };
        let read = end.map_or_else(|| self.scanner.read(text), |end| end.read);
        self.settled = self.settled.max(read);
        let calls = end.and_then(|end| Some((end.next, tools::parse(self.format, text.get(..end.at)?, &self.tools)?)));
        self.enter(State::Text, 0);
        match calls {
            Some((next, calls)) => {
                calls.into_iter().for_each(|call| sink.call(call));
                Some(next)
            }
            None => {
                let tag = self.format.bare_call().unwrap_or_default();
                sink.text(tag);
                Some(tag.len())
            }
        }
    }

    /// Emits the calls of a section, or its text with the tags if there are none.
    fn end_section(&mut self, text: &str, end: End, in_reasoning: bool, closed: bool, sink: &mut Sink) {
        self.enter(State::Text, 0);
        let body = text.get(..end.at).unwrap_or_default();
        let calls = if closed { tools::parse(self.format, body, &self.tools) } else { None };
        if let Some(calls) = calls {
            calls.into_iter().for_each(|call| sink.call(call));
            return;
        }
        let start = self.format.tags().map_or("", |(start, _)| start);
        let text = format!("{start}{}", text.get(..end.next).unwrap_or_default());
        match (in_reasoning, self.reasoning.tags()) {
            // The model only wrote about calls, and may have ended its reasoning in the meantime.
            (true, Some((_, reasoning_end))) => match text.split_once(reasoning_end) {
                Some((reasoning, text)) => {
                    sink.reasoning(reasoning);
                    sink.text(text);
                }
                None => {
                    sink.reasoning(&text);
                    self.state = State::Reasoning;
                }
            },
            _ => sink.text(&text),
        }
    }
}
