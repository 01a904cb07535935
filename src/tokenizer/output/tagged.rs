// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/generate.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: one part for each state that a text passes.

//! Outputs that mark reasoning and tool calls with a pair of tags each.

use super::deltas::Deltas;
use super::sink::Sink;
use super::tags::{Found, next_tag};
use super::tools;
use super::{ReasoningFormat, ToolFormat, ToolSpec};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    Reasoning,
    Tool { in_reasoning: bool },
}

#[derive(Debug)]
pub struct Tagged {
    format: ToolFormat,
    reasoning: ReasoningFormat,
    tools: Vec<ToolSpec>,
    state: State,
    /// Text that may be the start of a tag.
    held: String,
    /// The open section of calls.
    body: String,
    deltas: Deltas,
}

impl Tagged {
    pub fn new(format: ToolFormat, reasoning: ReasoningFormat, tools: &[ToolSpec]) -> Self {
        Self {
            format,
            reasoning,
            tools: tools.to_vec(),
            state: State::Text,
            held: String::new(),
            body: String::new(),
            deltas: Deltas::Off,
        }
    }

    pub fn start_in_reasoning(&mut self) {
        if self.reasoning.tags().is_some() {
            self.state = State::Reasoning;
        }
    }

    pub fn is_reasoning(&self) -> bool {
        self.state == State::Reasoning
    }

    pub fn push(&mut self, text: &str, sink: &mut Sink) {
        let mut held = std::mem::take(&mut self.held);
        held.push_str(text);
        let mut rest = held.as_str();
        loop {
            match next_tag(rest, &self.edges()) {
                Found::Tag { at, tag, to } => {
                    let (before, after) = rest.split_at(at);
                    self.emit(before, sink);
                    self.enter(to, sink);
                    rest = after.strip_prefix(tag).unwrap_or_default();
                }
                Found::Partial { at } => {
                    let (before, after) = rest.split_at(at);
                    self.emit(before, sink);
                    after.clone_into(&mut self.held);
                    return;
                }
                Found::Nothing => return self.emit(rest, sink),
            }
        }
    }

    pub fn finish(&mut self, sink: &mut Sink) {
        let held = std::mem::take(&mut self.held);
        self.emit(&held, sink);
        if let State::Tool { in_reasoning } = self.state {
            let body = self.body.trim_end();
            let closed = self.format.closers().iter().any(|closer| body.ends_with(closer));
            self.end_section(in_reasoning, closed, "", sink);
        }
    }

    /// Returns the tags that are valid in the current state, and the states that they lead to.
    fn edges(&self) -> Vec<(&'static str, State)> {
        let reasoning = self.reasoning.tags();
        let tool = self.format.tags();
        let edges = match self.state {
            State::Text => [
                reasoning.map(|(start, _)| (start, State::Reasoning)),
                tool.map(|(start, _)| (start, State::Tool { in_reasoning: false })),
            ],
            State::Reasoning => [
                reasoning.map(|(_, end)| (end, State::Text)),
                tool.map(|(start, _)| (start, State::Tool { in_reasoning: true })),
            ],
            State::Tool { .. } => [tool.and_then(|(_, end)| Some((end?, State::Text))), None],
        };
        edges.into_iter().flatten().collect()
    }

    fn emit(&mut self, text: &str, sink: &mut Sink) {
        match self.state {
            State::Text => sink.text(text),
            State::Reasoning => sink.reasoning(text),
            State::Tool { .. } => {
                self.body.push_str(text);
                self.deltas.push(text, sink);
            }
        }
    }

    fn enter(&mut self, state: State, sink: &mut Sink) {
        if let State::Tool { in_reasoning } = self.state {
            let end = self.format.tags().and_then(|(_, end)| end).unwrap_or_default();
            return self.end_section(in_reasoning, true, end, sink);
        }
        self.state = state;
        self.deltas = match state {
            State::Tool { .. } => Deltas::new(self.format),
            State::Text | State::Reasoning => Deltas::Off,
        };
    }

    /// Emits the calls of a section, or its text with the tags if there are none.
    fn end_section(&mut self, in_reasoning: bool, closed: bool, end: &str, sink: &mut Sink) {
        self.state = State::Text;
        let body = std::mem::take(&mut self.body);
        let calls = if closed { tools::parse(self.format, &body, &self.tools) } else { None };
        if let Some(calls) = calls {
            calls.into_iter().for_each(|call| sink.call(call));
            return;
        }
        let start = self.format.tags().map_or("", |(start, _)| start);
        let text = format!("{start}{body}{end}");
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
