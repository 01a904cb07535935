// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Sections whose values stand between two tags, as they are.
//!
//! A value ends at an end tag that another tag of the call follows. Where the end tag was left out, it ends at the
//! next tag that begins a line.

use std::ops::Range;

use super::quoted::{Quoted, Syntax};
use super::{End, Found};
use crate::tokenizer::output::ToolSpec;

/// More space than this between two tags is text.
const MAX_SPACE: usize = 256;
/// A longer name is none.
const MAX_NAME: usize = 256;

/// The tags of a format.
#[derive(Debug, Clone, Copy)]
pub struct Grammar {
    /// Around a section.
    pub section: (&'static str, &'static str),
    /// Before a call's name and at its end. Without them, a section is one call and begins with its name.
    pub call: Option<(&'static str, &'static str)>,
    /// What begins the next argument.
    pub member: &'static str,
    /// Around a value. The first may include the argument's name.
    pub value: (&'static str, &'static str),
    /// A section may be JSON instead.
    pub json: bool,
}

/// A part of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A call; its name is next.
    Call(usize),
    Member {
        /// The text before the value's tag.
        before: Range<usize>,
        value: Range<usize>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between values; `from`: the end of the last part.
    Structure { from: usize },
    /// `tag` and `start`: both ends of the value's tag.
    Value { from: usize, tag: usize, start: usize },
}

/// What comes next in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A tag, and its position.
    Tag(&'static str, usize),
    Text,
    End,
    /// The text is too short to tell.
    Unknown,
}

#[derive(Debug)]
pub struct Members {
    grammar: &'static Grammar,
    /// Reads a section that is JSON.
    json: Option<Quoted>,
    /// Whether the section's first character is known.
    begun: bool,
    /// Not in a section.
    bare: bool,
    settled: usize,
    at: usize,
    state: State,
    parts: Vec<Part>,
    /// The first tag of a section within the open value.
    doubtful: Option<End>,
}

impl Members {
    pub fn new(grammar: &'static Grammar, settled: usize) -> Self {
        let state = State::Structure { from: 0 };
        Self { grammar, json: None, begun: false, bare: false, settled, at: 0, state, parts: vec![], doubtful: None }
    }

    /// Reads one call outside of a section.
    pub fn bare(grammar: &'static Grammar) -> Self {
        Self { bare: true, ..Self::new(grammar, 0) }
    }

    /// Returns the parts of a complete section, and the text after the last one; `None` if a value does not end.
    pub fn split<'a>(grammar: &'static Grammar, text: &'a str, tools: &[ToolSpec]) -> Option<(Vec<Part>, &'a str)> {
        let mut members = Self::new(grammar, 0);
        members.scan(text, true, tools);
        if let State::Value { start, .. } = members.state {
            // The section's end tag begins a line.
            let end = text.len();
            begins_line(text.get(start..)?).then(|| members.end_value_before_line(text, end))?;
        }
        match members.state {
            State::Structure { from } => Some((members.parts, text.get(from..)?)),
            State::Value { .. } => None,
        }
    }

    pub fn read(&self) -> usize {
        self.json.as_ref().map_or(self.at, Quoted::read)
    }

    pub fn advance(&mut self, text: &str, last: bool, tools: &[ToolSpec]) -> Found {
        if !self.begun {
            let begin = text.get(self.at..).unwrap_or_default().trim_start();
            self.at = text.len() - begin.len();
            self.begun = !begin.is_empty();
            if self.grammar.json && begin.starts_with(['{', '[']) {
                let (start, end) = self.grammar.section;
                self.json = Some(Quoted::new(Syntax::Json, vec![end], Some(start), self.settled));
            }
        }
        match &mut self.json {
            Some(json) => json.advance(text, last),
            None => self.scan(text, last, tools),
        }
    }

    fn scan(&mut self, text: &str, last: bool, tools: &[ToolSpec]) -> Found {
        while let Some(rest) = text.get(self.at..) {
            let (between, rest) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
            if self.is_no_call(text, between) {
                return Found::Nothing;
            }
            if rest.is_empty() {
                self.at = text.len();
                break;
            }
            self.at += between.len();
            let tag = match self.next(rest, last, self.tags()) {
                Next::Tag(tag, _) => tag,
                Next::Unknown => return Found::More,
                Next::Text | Next::End if self.bare && self.in_structure() => return Found::Nothing,
                Next::Text | Next::End => {
                    self.at += 1;
                    continue;
                }
            };
            let found = match self.state {
                State::Structure { from } => self.tag_in_structure(text, tag, from, last, tools),
                State::Value { start, .. } => self.tag_in_value(text, tag, start, last, tools),
            };
            if let Some(found) = found {
                return found;
            }
        }
        match self.doubtful {
            Some(end) if last => Found::End(End { read: text.len(), ..end }),
            _ => Found::More,
        }
    }

    /// Whether other text than a name stands between the tags of a bare call.
    fn is_no_call(&self, text: &str, between: &str) -> bool {
        let State::Structure { from } = self.state else { return false };
        let header = text.get(from..self.at).unwrap_or_default();
        let is_name = matches!(self.parts.last(), Some(Part::Call(at)) if *at == from) && !header.contains('>');
        let text = if is_name { between.split_once('>').map_or("", |(_, text)| text) } else { between };
        self.bare && !text.trim().is_empty()
    }

    fn in_structure(&self) -> bool {
        matches!(self.state, State::Structure { .. })
    }

    fn tags(&self) -> impl Iterator<Item = &'static str> + use<> {
        let Grammar { section, call, member, value, .. } = *self.grammar;
        let call = call.map(|(open, close)| [open, close]).into_iter().flatten();
        [section.0, section.1, member, value.0, value.1].into_iter().chain(call)
    }

    /// Returns what a text begins with.
    fn next(&self, text: &str, last: bool, tags: impl Iterator<Item = &'static str>) -> Next {
        let rest = text.trim_start();
        let space = text.len() - rest.len();
        if space > MAX_SPACE {
            return Next::Text;
        }
        if rest.is_empty() {
            return if last { Next::End } else { Next::Unknown };
        }
        let mut is_partial = false;
        for tag in tags {
            if rest.starts_with(tag) {
                return Next::Tag(tag, space);
            }
            is_partial |= tag.starts_with(rest);
        }
        if is_partial && !last { Next::Unknown } else { Next::Text }
    }

    fn tag_in_structure(
        &mut self,
        text: &str,
        tag: &'static str,
        from: usize,
        last: bool,
        tools: &[ToolSpec],
    ) -> Option<Found> {
        let Grammar { section, call, value, .. } = *self.grammar;
        let behind = self.at + tag.len();
        let is_call = |which: fn((&'static str, &'static str)) -> &'static str| call.map(which) == Some(tag);
        if tag == section.1 {
            return Some(Found::End(End::new(self.at, behind)));
        }
        if tag == section.0 {
            let next = End::new(self.at, self.at);
            return Some(if self.bare { Found::Nothing } else { Found::End(next) });
        }
        if tag == value.0 {
            self.state = State::Value { from, tag: self.at, start: behind };
        } else if is_call(|(open, _)| open) {
            if self.bare {
                match offered(text.get(behind..)?, last, tools) {
                    Some(true) => {}
                    Some(false) => return Some(Found::Nothing),
                    None => return Some(Found::More),
                }
            }
            self.parts.push(Part::Call(behind));
            self.state = State::Structure { from: behind };
        } else if is_call(|(_, close)| close) {
            self.state = State::Structure { from: behind };
            if self.bare {
                return self.end_of_bare_call(text, behind, last);
            }
        }
        self.at = self.at.max(behind);
        None
    }

    /// An end tag may follow, although the section has no start tag.
    fn end_of_bare_call(&self, text: &str, at: usize, last: bool) -> Option<Found> {
        let (end, open) = (self.grammar.section.1, self.grammar.call?.0);
        let next = match self.next(text.get(at..)?, last, [end, open].into_iter()) {
            Next::Tag(tag, space) if tag == end => at + space + end.len(),
            Next::Tag(_, space) => at + space,
            Next::Text | Next::End => at,
            Next::Unknown => return Some(Found::More),
        };
        Some(Found::End(End::new(at, next)))
    }

    fn tag_in_value(
        &mut self,
        text: &str,
        tag: &'static str,
        start: usize,
        last: bool,
        tools: &[ToolSpec],
    ) -> Option<Found> {
        let Grammar { section, call, member, value, .. } = *self.grammar;
        let behind = self.at + tag.len();
        let after = text.get(behind..)?;
        let in_new_line = begins_line(text.get(start..self.at)?);
        if tag == section.1 {
            let end = End::new(self.at, behind);
            if self.at < self.settled {
                return Some(Found::End(end));
            }
            self.doubtful.get_or_insert(end);
        } else if tag == section.0 && (in_new_line || self.doubtful.is_some()) {
            match self.begins_call(tag, after, last, tools) {
                None => return Some(Found::More),
                Some(true) => {
                    let end = self.doubtful.unwrap_or(End::new(self.at, self.at));
                    return Some(Found::End(End { read: self.at, ..end }));
                }
                Some(false) => {}
            }
        } else if tag == value.1 {
            let tags = self.tags().filter(|tag| *tag != value.1 && (call.is_none() || *tag != section.1));
            let ends = match self.next(after, last, tags) {
                Next::Tag(tag, space) if tag == section.0 || call.is_some_and(|(open, _)| tag == open) => {
                    self.begins_call(tag, after.get(space + tag.len()..)?, last, tools)
                }
                Next::Tag(..) | Next::End => Some(true),
                Next::Text => Some(false),
                Next::Unknown => None,
            };
            match ends {
                None => return Some(Found::More),
                Some(true) => {
                    self.end_value(self.at, behind);
                    return None;
                }
                Some(false) => {}
            }
        } else if in_new_line && tag == member {
            self.end_value_before_line(text, self.at);
            return None;
        } else if in_new_line && let Some((open, close)) = call {
            let ends = match tag {
                tag if tag == open => self.begins_call(tag, after, last, tools),
                tag if tag == close => match self.next(after, last, [section.0, section.1, open].into_iter()) {
                    Next::Unknown => None,
                    next => Some(next != Next::Text),
                },
                _ => Some(false),
            };
            match ends {
                None => return Some(Found::More),
                Some(true) => {
                    self.end_value_before_line(text, self.at);
                    return None;
                }
                Some(false) => {}
            }
        }
        self.at = behind;
        None
    }

    /// Whether a call begins after the tag of a section or a call: its name is that of a function that is offered.
    fn begins_call(&self, tag: &str, after: &str, last: bool, tools: &[ToolSpec]) -> Option<bool> {
        match self.grammar.call {
            Some((open, _)) if tag != open => match self.next(after, last, [open].into_iter()) {
                Next::Tag(_, space) => offered(after.get(space + open.len()..)?, last, tools),
                Next::Text | Next::End => Some(false),
                Next::Unknown => None,
            },
            _ => offered(after, last, tools),
        }
    }

    /// Ends a value without an end tag before a tag that begins a line. This line break is not part of the value, but for
    /// that of a value with a line of its own, which goes with the one before it.
    fn end_value_before_line(&mut self, text: &str, at: usize) {
        let State::Value { start, .. } = self.state else { return };
        let value = text.get(start..at).unwrap_or_default().trim_end_matches([' ', '\t']);
        let value = if value.starts_with('\n') { value } else { value.strip_suffix('\n').unwrap_or(value) };
        self.end_value(start + value.len(), at);
    }

    fn end_value(&mut self, end: usize, at: usize) {
        if let State::Value { from, tag, start } = self.state {
            self.parts.push(Part::Member { before: from..tag, value: start..end });
        }
        self.state = State::Structure { from: at };
        self.at = at;
        self.doubtful = None;
    }
}

/// Whether the next tag after this text begins a line.
fn begins_line(before: &str) -> bool {
    before.trim_end_matches([' ', '\t']).ends_with('\n')
}

/// Whether a text begins with the name of a function that is offered; `None` if it is too short to tell.
fn offered(text: &str, last: bool, tools: &[ToolSpec]) -> Option<bool> {
    let name = text.trim_start();
    let name = name.strip_prefix(['"', '\'']).unwrap_or(name);
    let length = name.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\''));
    if length.is_none() && !last && text.len() < MAX_NAME {
        return None;
    }
    let (name, _) = name.split_at(length.unwrap_or(name.len()));
    Some(tools.iter().any(|tool| tool.name == name))
}
