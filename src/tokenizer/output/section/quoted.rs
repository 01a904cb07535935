// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Sections with brackets and strings: JSON, Python, and Gemma's formats.

use super::{End, Found};

/// How a format writes strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// JSON, and nothing else.
    Json,
    /// Text with JSON in it.
    WithJson,
    /// Python, also with quotes that are not escaped.
    Python,
    /// Strings between two equal tokens, without escapes.
    Quoted(&'static str),
}

impl Syntax {
    /// Returns the quote at the start of a text.
    fn quote(self, text: &str) -> Option<&'static str> {
        let quotes: &[&'static str] = match &self {
            Self::Json | Self::WithJson => &["\""],
            Self::Python => &["\"", "'"],
            Self::Quoted(quote) => std::slice::from_ref(quote),
        };
        quotes.iter().copied().find(|quote| text.starts_with(quote))
    }

    /// Whether this can follow a string.
    fn can_follow(self, c: char) -> bool {
        matches!(c, ',' | ':' | ']' | '}' | ')') || (self == Self::Python && matches!(c, '"' | '\''))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Structure,
    String(&'static str),
    /// In a string, after a backslash.
    Escape(&'static str),
    /// After a string.
    Closed(&'static str),
    /// Malformed: the next tag ends the section.
    Broken,
}

#[derive(Debug)]
pub struct Quoted {
    syntax: Syntax,
    ends: Vec<&'static str>,
    start: Option<&'static str>,
    settled: usize,
    at: usize,
    depth: usize,
    state: State,
    /// The first tag within a string.
    doubtful: Option<End>,
    /// Whether a string contains the start of another section.
    restarts: bool,
}

impl Quoted {
    /// `start` begins the next section. For `settled` see [`End::read`].
    pub fn new(syntax: Syntax, ends: Vec<&'static str>, start: Option<&'static str>, settled: usize) -> Self {
        Self { syntax, ends, start, settled, at: 0, depth: 0, state: State::Structure, doubtful: None, restarts: false }
    }

    pub fn read(&self) -> usize {
        self.at
    }

    pub fn advance(&mut self, text: &str, last: bool) -> Found {
        while let Some(rest) = text.get(self.at..).filter(|rest| !rest.is_empty()) {
            let end = self.ends.iter().find(|tag| rest.starts_with(**tag)).map(|tag| self.at + tag.len());
            let start = self.start.filter(|tag| rest.starts_with(*tag)).map(|_| self.at);
            if let Some(next) = end.or(start) {
                if let Some(end) = self.tag(End::new(self.at, next)) {
                    return Found::End(end);
                }
                self.at += 1;
                continue;
            }
            if !last && self.is_partial(rest) {
                return Found::More;
            }
            if let Some(end) = self.step(rest) {
                return Found::End(end);
            }
        }
        match self.doubtful {
            Some(end) if last => Found::End(End { read: text.len(), ..end }),
            _ => Found::More,
        }
    }

    /// Whether a text may be the start of a tag or a quote.
    fn is_partial(&self, rest: &str) -> bool {
        let quote = match self.syntax {
            Syntax::Quoted(quote) => Some(quote),
            _ => None,
        };
        let mut tags = self.ends.iter().copied().chain(self.start).chain(quote);
        tags.any(|tag| tag.len() > rest.len() && tag.starts_with(rest))
    }

    /// Returns where the section ends if it ends at this tag or before.
    fn tag(&mut self, tag: End) -> Option<End> {
        if let State::Closed(quote) = self.state
            && self.may_be_quote()
        {
            self.state = State::String(quote);
        }
        match self.state {
            State::String(_) | State::Escape(_) if self.at >= self.settled => {
                self.doubtful.get_or_insert(tag);
                self.restarts |= tag.at == tag.next;
                None
            }
            _ => Some(self.ending(tag)),
        }
    }

    /// Whether the last quote may be a part of its string.
    fn may_be_quote(&self) -> bool {
        self.syntax == Syntax::Python && !self.restarts
    }

    fn ending(&self, tag: End) -> End {
        match self.doubtful {
            Some(doubtful) if self.depth > 0 => End { read: self.at, ..doubtful },
            _ => tag,
        }
    }

    /// Processes the next character. Returns where the section ends if it is malformed.
    fn step(&mut self, rest: &str) -> Option<End> {
        let c = rest.chars().next()?;
        let quote = self.syntax.quote(rest);
        let mut length = c.len_utf8();
        match self.state {
            State::String(open) if quote == Some(open) => {
                length = open.len();
                self.state = State::Closed(open);
            }
            State::String(open) if c == '\\' && !matches!(self.syntax, Syntax::Quoted(_)) => {
                self.state = State::Escape(open);
            }
            State::Escape(open) => self.state = State::String(open),
            State::Closed(_) if c.is_whitespace() => {}
            State::Closed(_) if self.syntax.can_follow(c) => {
                self.state = State::Structure;
                return None;
            }
            State::Closed(open) if self.may_be_quote() => {
                self.state = State::String(open);
                return None;
            }
            State::Closed(_) => {
                self.state = State::Broken;
                return self.doubtful.map(|doubtful| End { read: self.at, ..doubtful });
            }
            State::Structure => match (c, quote) {
                ('{' | '[' | '(', _) => self.depth += 1,
                ('}' | ']' | ')', _) => self.depth = self.depth.saturating_sub(1),
                (_, Some(quote)) if self.depth > 0 => {
                    length = quote.len();
                    self.state = State::String(quote);
                }
                _ if self.depth == 0 && self.syntax == Syntax::Json && !c.is_whitespace() => self.state = State::Broken,
                _ => {}
            },
            State::String(_) | State::Broken => {}
        }
        self.at += length;
        None
    }
}
