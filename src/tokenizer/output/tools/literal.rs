// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Python literals, as parsed by `ast.literal_eval`, if JSON can represent them.

use serde_json::{Map, Value};

use super::values::{float, without_underscores};
use super::{is_name, is_word, split_run};

/// Text with deeper nesting is not a literal.
const MAX_DEPTH: usize = 64;

/// Parses a text that is a literal as a whole.
pub fn parse(text: &str) -> Option<Value> {
    let mut literal = Literal::new(text.trim_start_matches([' ', '\t']), false);
    let first = literal.value()?;
    let value = match literal.take(',') {
        true => literal.rest_of_sequence(first, None)?,
        false => first,
    };
    literal.is_at_end().then_some(value)
}

/// Reads literals from the front of a text.
#[derive(Debug)]
pub struct Literal<'a> {
    rest: &'a str,
    depth: usize,
    /// Also accepts JSON's names, and strings with quotes and line breaks that are not escaped.
    loose: bool,
}

impl<'a> Literal<'a> {
    pub fn new(text: &'a str, loose: bool) -> Self {
        Self { rest: text, depth: 0, loose }
    }

    pub fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.rest.is_empty()
    }

    /// Consumes a character, and the space before it, if it is next.
    pub fn take(&mut self, c: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Consumes a name and the character after it.
    pub fn name(&mut self, end: char) -> Option<&'a str> {
        self.skip_space();
        let (name, rest) = split_run(self.rest, |c| c != end && is_name(c));
        self.rest = rest;
        (!name.is_empty() && self.take(end)).then_some(name)
    }

    /// Consumes an identifier.
    fn identifier(&mut self) -> Option<&'a str> {
        self.skip_space();
        let (name, rest) = split_run(self.rest, is_word);
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return None;
        }
        self.rest = rest;
        Some(name)
    }

    pub fn value(&mut self) -> Option<Value> {
        self.skip_space();
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let value = match self.rest.chars().next()? {
            '[' => self.list(),
            '(' => self.tuple(),
            '{' => self.dict(),
            '"' | '\'' => self.strings(),
            '+' | '-' | '.' | '0'..='9' => self.number(),
            _ => self.named(),
        };
        self.depth -= 1;
        value
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
    }

    fn list(&mut self) -> Option<Value> {
        self.take('[');
        if self.take(']') {
            return Some(Value::Array(vec![]));
        }
        let first = self.value()?;
        match self.take(']') {
            true => Some(Value::Array(vec![first])),
            false => self.take(',').then(|| self.rest_of_sequence(first, Some(']')))?,
        }
    }

    fn tuple(&mut self) -> Option<Value> {
        self.take('(');
        if self.take(')') {
            return Some(Value::Array(vec![]));
        }
        let first = self.value()?;
        match self.take(')') {
            true => Some(first),
            false => self.take(',').then(|| self.rest_of_sequence(first, Some(')')))?,
        }
    }

    /// Parses the rest of a sequence after the first comma; `end` is `None` for the end of the text.
    fn rest_of_sequence(&mut self, first: Value, end: Option<char>) -> Option<Value> {
        let mut values = vec![first];
        loop {
            if self.take_end(end) {
                return Some(Value::Array(values));
            }
            values.push(self.value()?);
            if !self.take(',') {
                return self.take_end(end).then_some(Value::Array(values));
            }
        }
    }

    fn take_end(&mut self, end: Option<char>) -> bool {
        match end {
            Some(end) => self.take(end),
            None => self.is_at_end(),
        }
    }

    fn dict(&mut self) -> Option<Value> {
        self.take('{');
        let mut members = Map::new();
        while !self.take('}') {
            let key = match self.value()? {
                Value::String(key) => key,
                Value::Array(_) | Value::Object(_) => return None,
                key => key.to_string(),
            };
            if !self.take(':') {
                return None;
            }
            members.insert(key, self.value()?);
            if !self.take(',') {
                return self.take('}').then_some(Value::Object(members));
            }
        }
        Some(Value::Object(members))
    }

    fn named(&mut self) -> Option<Value> {
        let name = self.identifier()?;
        match name {
            "None" => Some(Value::Null),
            "True" => Some(true.into()),
            "False" => Some(false.into()),
            "null" if self.loose => Some(Value::Null),
            "true" if self.loose => Some(true.into()),
            "false" if self.loose => Some(false.into()),
            "r" | "R" if self.rest.starts_with(['"', '\'']) => self.string(true).map(Value::from),
            "u" | "U" if self.rest.starts_with(['"', '\'']) => self.strings(),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        let (sign, unsigned) = split_run(self.rest, |c| matches!(c, '+' | '-'));
        let token_length = unsigned
            .char_indices()
            .scan(' ', |last, (at, c)| {
                let goes_on = is_word(c) || c == '.' || (matches!(c, '+' | '-') && matches!(*last, 'e' | 'E'));
                *last = c;
                goes_on.then_some(at + c.len_utf8())
            })
            .last()?;
        let (token, rest) = unsigned.split_at(token_length);
        self.rest = rest;
        let digits = without_underscores(token)?;
        let (_, after_zeros) = split_run(&digits, |c| c == '0');
        let based = |radix: u32| u64::from_str_radix(digits.get(2..)?, radix).ok();
        let magnitude = match after_zeros.as_bytes().first() {
            _ if sign.len() > 1 => return None,
            Some(b'x' | b'X') => Value::from(based(16)?),
            Some(b'o' | b'O') => Value::from(based(8)?),
            Some(b'b' | b'B') => Value::from(based(2)?),
            Some(_) if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.starts_with('0') {
                true => return None,
                false => digits.parse::<u64>().map_or_else(|_| float(&digits).map(Value::from), |n| Some(n.into()))?,
            },
            None => Value::from(0),
            Some(_) => Value::from(float(&digits).filter(|_| digits.starts_with(|c: char| !c.is_alphabetic()))?),
        };
        match (sign, magnitude.as_u64()) {
            ("-", Some(n)) => Some(0_i64.checked_sub_unsigned(n).map_or_else(|| (-(n as f64)).into(), Value::from)),
            ("-", None) => Some((-magnitude.as_f64()?).into()),
            _ => Some(magnitude),
        }
    }

    /// Parses adjacent strings as one.
    fn strings(&mut self) -> Option<Value> {
        let mut text = String::new();
        while self.rest.starts_with(['"', '\'']) {
            text.push_str(&self.string(false)?);
            self.skip_space();
        }
        Some(text.into())
    }

    fn string(&mut self, raw: bool) -> Option<String> {
        let quote = if self.rest.starts_with('"') { ["\"\"\"", "\""] } else { ["'''", "'"] };
        let quote = quote.into_iter().find(|quote| self.rest.starts_with(quote))?;
        let mut rest = self.rest.strip_prefix(quote)?;
        let mut text = String::new();
        loop {
            if let Some(after) = rest.strip_prefix(quote).filter(|after| !self.loose || ends_string(after)) {
                self.rest = after;
                return Some(text);
            }
            let mut chars = rest.chars();
            match chars.next()? {
                '\\' if raw => {
                    text.push('\\');
                    text.push(chars.next()?);
                }
                '\\' => {
                    rest = match escape(chars.as_str(), &mut text) {
                        None if self.loose => {
                            text.push('\\');
                            chars.as_str()
                        }
                        rest => rest?,
                    };
                    continue;
                }
                '\n' if quote.len() == 1 && !self.loose => return None,
                c => text.push(c),
            }
            rest = chars.as_str();
        }
    }
}

/// Whether a text can follow a string.
fn ends_string(after: &str) -> bool {
    let next = after.trim_start().chars().next();
    next.is_none_or(|c| matches!(c, ',' | ':' | ')' | ']' | '}' | '"' | '\''))
}

/// Parses an escape sequence after the backslash.
fn escape<'a>(after: &'a str, text: &mut String) -> Option<&'a str> {
    let mut chars = after.chars();
    let simple = match chars.next()? {
        '\n' => return Some(chars.as_str()),
        c @ ('\\' | '\'' | '"') => c,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => return code(chars.as_str(), 2, text),
        'u' => return code(chars.as_str(), 4, text),
        'U' => return code(chars.as_str(), 8, text),
        '0'..='7' => {
            let length = after.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            let (digits, rest) = after.split_at(length);
            text.push(char::from_u32(u32::from_str_radix(digits, 8).ok()?)?);
            return Some(rest);
        }
        'N' => return None,
        c => {
            text.push('\\');
            c
        }
    };
    text.push(simple);
    Some(chars.as_str())
}

fn code<'a>(after: &'a str, length: usize, text: &mut String) -> Option<&'a str> {
    let (digits, rest) = after.split_at_checked(length)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    text.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
    Some(rest)
}
