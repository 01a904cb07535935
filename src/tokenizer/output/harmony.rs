// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! gpt-oss's Harmony format: messages with a channel, calls with a recipient.
//!
//! `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>commentary to=functions.name
//! <|constrain|>json<|message|>{…}<|call|>`, and the answer on the channel `final`.

use super::deltas::Deltas;
use super::sink::Sink;
use super::tags::{Found, next_tag};
use super::tools::{self, Call};

/// A longer header is text.
const MAX_HEADER: usize = 1024;
const RECIPIENT: &str = "to=";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Start,
    Channel,
    Message,
    End,
}

const TAGS: [(&str, Tag); 6] = [
    ("<|start|>", Tag::Start),
    ("<|channel|>", Tag::Channel),
    ("<|message|>", Tag::Message),
    ("<|end|>", Tag::End),
    ("<|return|>", Tag::End),
    ("<|call|>", Tag::End),
];

#[derive(Debug)]
enum State {
    /// The prompt ended within a header, in which a recipient may follow.
    Begin(String),
    Header(String),
    Text,
    Reasoning,
    Call {
        name: String,
        header: String,
        body: String,
        deltas: Deltas,
    },
}

/// The prompt ends with `<|start|>assistant`, or where reasoning begins.
#[derive(Debug)]
pub struct Harmony {
    state: State,
    /// Text that may be the start of a tag.
    held: String,
}

impl Default for Harmony {
    fn default() -> Self {
        Self { state: State::Begin(String::new()), held: String::new() }
    }
}

impl Harmony {
    pub fn start_in_reasoning(&mut self) {
        self.state = State::Reasoning;
    }

    pub fn is_reasoning(&self) -> bool {
        matches!(self.state, State::Reasoning)
    }

    pub fn push(&mut self, text: &str, sink: &mut Sink) {
        let mut held = std::mem::take(&mut self.held);
        held.push_str(text);
        let mut rest = held.as_str();
        loop {
            match next_tag(rest, &TAGS) {
                Found::Tag { at, tag, to } => {
                    let (before, after) = rest.split_at(at);
                    self.emit(before, sink);
                    self.take_tag(tag, to, sink);
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
        self.end_message("", sink);
    }

    fn emit(&mut self, text: &str, sink: &mut Sink) {
        match &mut self.state {
            State::Begin(begin) => {
                begin.push_str(text);
                let word = begin.trim_start();
                if RECIPIENT.starts_with(word) {
                    return;
                }
                let begin = std::mem::take(begin);
                self.state =
                    if begin.trim_start().starts_with(RECIPIENT) { State::Header(String::new()) } else { State::Text };
                self.emit(&begin, sink);
            }
            State::Header(header) => {
                header.push_str(text);
                if header.len() > MAX_HEADER {
                    self.end_message("", sink);
                }
            }
            State::Text => sink.text(text),
            State::Reasoning => sink.reasoning(text),
            State::Call { body, deltas, .. } => {
                body.push_str(text);
                deltas.push(text, sink);
            }
        }
    }

    fn take_tag(&mut self, text: &str, tag: Tag, sink: &mut Sink) {
        match (tag, &mut self.state) {
            (Tag::Channel, State::Header(header)) => header.push_str(text),
            (Tag::Message, State::Header(header)) => self.state = message(std::mem::take(header)),
            (Tag::Start | Tag::Channel, _) => {
                self.end_message("", sink);
                self.state = State::Header(text.to_owned());
            }
            (Tag::Message | Tag::End, _) => self.end_message(text, sink),
        }
    }

    /// Emits the rest of a message.
    fn end_message(&mut self, end: &str, sink: &mut Sink) {
        match std::mem::replace(&mut self.state, State::Text) {
            State::Begin(text) => sink.text(&text),
            State::Header(header) => sink.text(&(header + end)),
            State::Text | State::Reasoning => {}
            State::Call { name, header, body, .. } => match tools::object(&body) {
                Some(arguments) => sink.call(Call { id: None, name, arguments }),
                None => sink.text(&format!("{header}<|message|>{body}{end}")),
            },
        }
    }
}

/// Returns the kind of a message, from its header.
fn message(header: String) -> State {
    let word = |marker: &str| {
        let (_, rest) = header.split_once(marker)?;
        rest.trim_start().split(|c: char| c.is_whitespace() || c == '<').next()
    };
    match (word(RECIPIENT), word("<|channel|>")) {
        (Some(name), _) if !matches!(name, "" | "assistant" | "user" | "all") => {
            let name = name.strip_prefix("functions.").unwrap_or(name).to_owned();
            let deltas = Deltas::of_arguments(name.clone());
            State::Call { name, header, body: String::new(), deltas }
        }
        (_, Some("analysis")) => State::Reasoning,
        _ => State::Text,
    }
}
