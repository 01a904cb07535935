// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! gpt-oss's Harmony format: messages with a channel, calls with a recipient.
//!
//! `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>commentary to=functions.name
//! <|constrain|>json<|message|>{…}<|call|>`, and the answer on the channel `final`.

use super::consume;
use super::deltas::Deltas;
use super::section::quoted::{Quoted, Syntax};
use super::section::{End, Found as Section};
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
    Begin,
    Header(String),
    Text,
    Reasoning,
    Call(Box<OpenCall>),
}

#[derive(Debug)]
struct OpenCall {
    name: String,
    header: String,
    scanner: Quoted,
    deltas: Deltas,
    /// How much of the arguments the deltas contain.
    shown: usize,
}

/// The prompt ends with `<|start|>assistant`, or where reasoning begins.
#[derive(Debug)]
pub struct Harmony {
    state: State,
    /// Text that was not emitted yet: what may be the start of a tag, or the arguments of the open call.
    held: String,
    /// The length of the text in which no string contains a tag.
    settled: usize,
}

impl Default for Harmony {
    fn default() -> Self {
        Self { state: State::Begin, held: String::new(), settled: 0 }
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
        if let State::Begin = self.state {
            let word = text.trim_start();
            if !last && RECIPIENT.starts_with(word) {
                return None;
            }
            let is_header = word.starts_with(RECIPIENT) || (text.starts_with(' ') && RECIPIENT.starts_with(word));
            self.state = if is_header { State::Header(String::new()) } else { State::Text };
        }
        if let State::Call(call) = &mut self.state {
            let end = call.read(text, last, sink)?;
            return self.end_call(text, end, sink);
        }
        match next_tag(text, &TAGS) {
            Found::Tag { at, tag, to } => {
                self.emit(text.get(..at)?, sink);
                let length = at + tag.len();
                self.take_tag(tag, to, self.settled.saturating_sub(length));
                Some(length)
            }
            Found::Partial { at } if !last => {
                self.emit(text.get(..at)?, sink);
                (at > 0).then_some(at)
            }
            Found::Partial { .. } | Found::Nothing => {
                self.emit(text, sink);
                (!text.is_empty()).then_some(text.len())
            }
        }
    }

    fn emit(&mut self, text: &str, sink: &mut Sink) {
        match &mut self.state {
            State::Header(header) => {
                header.push_str(text);
                if header.len() > MAX_HEADER {
                    sink.text(header);
                    self.state = State::Text;
                }
            }
            State::Text => sink.text(text),
            State::Reasoning => sink.reasoning(text),
            State::Begin | State::Call(_) => {}
        }
    }

    fn take_tag(&mut self, text: &str, tag: Tag, settled: usize) {
        self.state = match (tag, &mut self.state) {
            (Tag::Channel, State::Header(header)) => return header.push_str(text),
            (Tag::Message, State::Header(header)) => message(std::mem::take(header), settled),
            (Tag::Start | Tag::Channel, _) => State::Header(text.to_owned()),
            // A header without a message is no text.
            (Tag::Message | Tag::End, _) => State::Text,
        };
    }

    /// Emits a call, or its text with the tags if it is malformed. Returns the length of the text.
    fn end_call(&mut self, text: &str, end: End, sink: &mut Sink) -> Option<usize> {
        self.settled = self.settled.max(end.read);
        let State::Call(call) = std::mem::replace(&mut self.state, State::Text) else { return None };
        let OpenCall { name, header, .. } = *call;
        let (body, tag) = text.get(..end.next)?.split_at(end.at);
        let to = TAGS.iter().find(|(text, _)| *text == tag).map(|(_, to)| *to);
        match tools::object(body) {
            Some(arguments) => sink.call(Call { id: None, name, arguments }),
            None => {
                let begins_header = matches!(to, Some(Tag::Start | Tag::Channel));
                sink.text(&format!("{header}<|message|>{body}{}", if begins_header { "" } else { tag }));
            }
        }
        if let Some(to) = to {
            self.take_tag(tag, to, 0);
        }
        Some(end.next)
    }
}

impl OpenCall {
    /// Reads on in the arguments. Returns where they end.
    fn read(&mut self, text: &str, last: bool, sink: &mut Sink) -> Option<End> {
        let end = match self.scanner.advance(text, last) {
            Section::End(end) => Some(end),
            Section::More | Section::Nothing => last.then(|| End::new(text.len(), text.len())),
        };
        let read = end.map_or_else(|| self.scanner.read(), End::shown);
        self.deltas.push(text.get(self.shown..read).unwrap_or_default(), sink);
        self.shown = self.shown.max(read);
        end
    }
}

/// Returns the kind of a message, from its header. For `settled` see [`End::read`].
fn message(header: String, settled: usize) -> State {
    let word = |marker: &str| {
        let (_, rest) = header.split_once(marker)?;
        rest.trim_start().split(|c: char| c.is_whitespace() || c == '<').next()
    };
    match (word(RECIPIENT), word("<|channel|>")) {
        (Some(name), _) if !matches!(name, "" | "assistant" | "user" | "all") => {
            let name = name.strip_prefix("functions.").unwrap_or(name).to_owned();
            let deltas = Deltas::of_arguments(name.clone());
            let tags = TAGS.iter().map(|(tag, _)| *tag).collect();
            let scanner = Quoted::new(Syntax::Json, tags, None, settled);
            State::Call(Box::new(OpenCall { name, header, scanner, deltas, shown: 0 }))
        }
        (_, Some("analysis")) => State::Reasoning,
        _ => State::Text,
    }
}
