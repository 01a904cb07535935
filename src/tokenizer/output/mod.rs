// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/generate.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: one part for each state that a text passes.

//! Parses a model's output into text, reasoning and tool calls while it streams.

mod deltas;
mod format;
mod harmony;
mod section;
mod sink;
mod tagged;
mod tags;
#[cfg(test)]
pub(crate) mod tests;
mod tools;

use serde_json::Value;

pub use self::format::{ReasoningFormat, ToolFormat};
use self::harmony::Harmony;
use self::sink::Sink;
use self::tagged::Tagged;
pub use self::tools::allows_text;

/// A part of a model's output.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Text of the answer.
    Text(String),
    /// Text of the reasoning.
    Reasoning(String),
    /// More of the call with the given index, as the model writes it.
    ///
    /// The first delta of a call has its id and its name. Deltas are a preview: a call is final once it is returned
    /// as [`Piece::ToolCall`]. A call that turns out to be malformed is returned as text instead, and the
    /// next call takes its index. Only formats that write arguments as one JSON object have deltas.
    ToolCallDelta { index: usize, id: Option<String>, name: Option<String>, arguments: String },
    /// A complete call. `arguments` is an object; `id` is that of its deltas, the model's own, or else random.
    ToolCall { index: usize, id: String, name: String, arguments: Value },
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ToolSpec {
    /// The function's name.
    pub name: String,
    /// The JSON schema of its arguments.
    pub parameters: Value,
}

impl ToolSpec {
    /// Reads `{ type: 'function', function: { name, parameters } }`; `None` for anything else.
    pub fn from_json(tool: &Value) -> Option<Self> {
        let function = tool.get("function")?;
        let name = function.get("name")?.as_str()?.to_owned();
        Some(Self { name, parameters: function.get("parameters").cloned().unwrap_or_default() })
    }
}

/// Parses a model's output as it arrives.
///
/// Apart from where texts and deltas are split, the pieces do not depend on how the input was split. Text
/// is held back only while it may be the start of a tag, and calls until they end. The input must contain
/// control tokens. Parsing takes linear time.
#[derive(Debug)]
pub struct OutputParser {
    machine: Machine,
    markers: Vec<&'static str>,
    sink: Sink,
}

#[derive(Debug)]
enum Machine {
    Tagged(Box<Tagged>),
    Harmony(Harmony),
}

/// Processes a text from its start on, and returns what is left. `next` returns how much it has processed; `None` if it
/// needs more text.
fn consume(text: String, mut next: impl FnMut(&str) -> Option<usize>) -> String {
    let mut at = 0;
    while let Some(length) = text.get(at..).and_then(&mut next) {
        at += length;
    }
    if at == 0 { text } else { text.get(at..).unwrap_or_default().to_owned() }
}

impl OutputParser {
    /// Creates a parser for one output. `tools` has the types of arguments, for formats without types.
    pub fn new(format: ToolFormat, reasoning: ReasoningFormat, tools: &[ToolSpec]) -> Self {
        let machine = match format == ToolFormat::Harmony || reasoning == ReasoningFormat::Harmony {
            true => Machine::Harmony(Harmony::default()),
            false => Machine::Tagged(Box::new(Tagged::new(format, reasoning, tools))),
        };
        let markers = format.markers().iter().chain(reasoning.markers()).copied().collect();
        Self { machine, markers, sink: Sink::default() }
    }

    /// Starts in the reasoning, for prompts that open it; see [`ReasoningFormat::starts_in_reasoning`].
    #[must_use]
    pub fn starting_in_reasoning(mut self) -> Self {
        match &mut self.machine {
            Machine::Tagged(machine) => machine.start_in_reasoning(),
            Machine::Harmony(machine) => machine.start_in_reasoning(),
        }
        self
    }

    /// Takes calls in the reasoning for a part of it.
    #[must_use]
    pub fn without_calls_in_reasoning(mut self) -> Self {
        if let Machine::Tagged(machine) = &mut self.machine {
            machine.forbid_calls_in_reasoning();
        }
        self
    }

    /// Whether the next text is reasoning.
    pub fn is_reasoning(&self) -> bool {
        match &self.machine {
            Machine::Tagged(machine) => machine.is_reasoning(),
            Machine::Harmony(machine) => machine.is_reasoning(),
        }
    }

    /// Returns the control tokens that the input must contain.
    pub fn markers(&self) -> &[&'static str] {
        &self.markers
    }

    /// Parses the next part of the output.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        match &mut self.machine {
            Machine::Tagged(machine) => machine.push(text, &mut self.sink),
            Machine::Harmony(machine) => machine.push(text, &mut self.sink),
        }
        self.sink.take()
    }

    /// Ends the output. A call that lacks only its end tag is complete: some models' end tag is the token
    /// that ends the generation.
    pub fn finish(&mut self) -> Vec<Piece> {
        match &mut self.machine {
            Machine::Tagged(machine) => machine.finish(&mut self.sink),
            Machine::Harmony(machine) => machine.finish(&mut self.sink),
        }
        self.sink.take()
    }
}
