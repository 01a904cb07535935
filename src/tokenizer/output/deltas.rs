// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Previews of calls whose arguments are one JSON object.

use super::ToolFormat;
use super::sink::{Head, Sink};
use super::tools::{kimi_k2, mistral};

/// Text with a longer header or name is not a call.
const MAX_HEADER: usize = 4096;

/// Tracks a section of calls while it is written.
#[derive(Debug)]
pub enum Deltas {
    /// The format has no previews, or the text is malformed.
    Off,
    /// `{"name": …, "arguments": {…}}`.
    Envelope(Envelope),
    /// A header, a separator and the arguments, repeated.
    Headed(Headed),
}

impl Deltas {
    pub fn new(format: ToolFormat) -> Self {
        let headed = |separator, head| Self::Headed(Headed { separator, head, ..Headed::NONE });
        match format {
            ToolFormat::JsonTools => Self::Envelope(Envelope::default()),
            ToolFormat::Mistral => headed(mistral::SEPARATOR, |header| {
                let (name, id) = mistral::header(header)?;
                Some(Head { id: id.map(str::to_owned), name: name.to_owned() })
            }),
            ToolFormat::KimiK2 => headed(kimi_k2::SEPARATOR, |header| {
                let (id, name) = kimi_k2::header(header)?;
                Some(Head { id: Some(id.to_owned()), name: name.to_owned() })
            }),
            _ => Self::Off,
        }
    }

    /// Creates deltas for bare arguments.
    pub fn of_arguments(name: String) -> Self {
        let head = Head { id: None, name };
        Self::Headed(Headed { state: HeadedState::Separator(Some(head)), ..Headed::NONE })
    }

    pub fn push(&mut self, text: &str, sink: &mut Sink) {
        let mut out = Chunk::default();
        let on = match self {
            Self::Off => return,
            Self::Envelope(envelope) => text.chars().all(|c| envelope.step(c, &mut out, sink)),
            Self::Headed(headed) => text.chars().all(|c| headed.step(c, &mut out, sink)),
        };
        out.flush(sink);
        if !on {
            *self = Self::Off;
        }
    }
}

/// The delta being built.
#[derive(Debug, Default)]
struct Chunk {
    ahead: usize,
    head: Option<Head>,
    arguments: String,
}

impl Chunk {
    fn begin(&mut self, ahead: usize, head: Option<Head>, sink: &mut Sink) {
        self.flush(sink);
        *self = Self { ahead, head, arguments: String::new() };
    }

    fn push(&mut self, ahead: usize, c: char) {
        self.ahead = ahead;
        self.arguments.push(c);
    }

    fn flush(&mut self, sink: &mut Sink) {
        let Self { ahead, head, arguments } = std::mem::take(self);
        if head.is_some() || !arguments.is_empty() {
            sink.delta(ahead, head, arguments);
        }
    }
}

/// Finds the end of a JSON object.
#[derive(Debug, Default)]
struct Extent {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Extent {
    /// Processes the next character. Returns false if it is the last.
    fn step(&mut self, c: char) -> bool {
        match c {
            _ if self.escaped => self.escaped = false,
            '\\' if self.in_string => self.escaped = true,
            '"' => self.in_string = !self.in_string,
            '{' | '[' if !self.in_string => self.depth += 1,
            '}' | ']' if !self.in_string => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.depth > 0
    }
}

#[derive(Debug)]
pub struct Headed {
    separator: &'static str,
    head: fn(&str) -> Option<Head>,
    state: HeadedState,
    ahead: usize,
}

#[derive(Debug)]
enum HeadedState {
    Header(String),
    Separator(Option<Head>),
    Arguments(Extent),
}

impl Headed {
    const NONE: Self = Self { separator: "", head: |_| None, state: HeadedState::Header(String::new()), ahead: 0 };

    /// Processes the next character. Returns false if this is not a call.
    fn step(&mut self, c: char, out: &mut Chunk, sink: &mut Sink) -> bool {
        match &mut self.state {
            HeadedState::Header(header) => {
                header.push(c);
                if let Some(before) = header.strip_suffix(self.separator).filter(|_| !self.separator.is_empty()) {
                    let Some(head) = (self.head)(before) else { return false };
                    self.state = HeadedState::Separator(Some(head));
                    return true;
                }
                header.len() <= MAX_HEADER
            }
            HeadedState::Separator(_) if c.is_whitespace() => true,
            HeadedState::Separator(head) if c == '{' => {
                out.begin(self.ahead, head.take(), sink);
                self.state = HeadedState::Arguments(Extent::default());
                self.step(c, out, sink)
            }
            HeadedState::Separator(_) => false,
            HeadedState::Arguments(extent) => {
                out.push(self.ahead, c);
                if !extent.step(c) {
                    self.ahead += 1;
                    self.state = HeadedState::Header(String::new());
                }
                true
            }
        }
    }
}

#[derive(Debug, Default)]
pub struct Envelope {
    extent: Extent,
    /// The open string at the outermost level.
    string: Option<String>,
    /// The open member.
    key: Option<String>,
    id: Option<String>,
    name: Option<String>,
    arguments: Option<Extent>,
}

impl Envelope {
    /// Processes the next character. Returns false once nothing is left to show.
    fn step(&mut self, c: char, out: &mut Chunk, sink: &mut Sink) -> bool {
        if let Some(arguments) = &mut self.arguments {
            out.push(0, c);
            return arguments.step(c);
        }
        let outermost = self.extent.depth == 1;
        if outermost && !self.extent.in_string {
            match (c, self.key.as_deref(), &self.name) {
                (',', ..) => self.key = None,
                ('"', ..) => self.string = Some(String::new()),
                ('{', Some("arguments"), Some(name)) => {
                    out.begin(0, Some(Head { id: self.id.take(), name: name.clone() }), sink);
                    self.arguments = Some(Extent::default());
                    return self.step(c, out, sink);
                }
                ('{', Some("arguments"), None) => return false,
                _ => {}
            }
        }
        self.extent.step(c);
        let Some(string) = &mut self.string else { return true };
        string.push(c);
        if !self.extent.in_string {
            let value = serde_json::from_str::<String>(string).ok();
            self.string = None;
            match self.key.as_deref() {
                None => self.key = value,
                Some("id") => self.id = value.filter(|id| !id.is_empty()),
                Some("name") => self.name = value,
                Some(_) => {}
            }
            return true;
        }
        string.len() <= MAX_HEADER
    }
}
