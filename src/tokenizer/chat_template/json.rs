// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! `tojson` as transformers defines it: Python's `json.dumps`, without escapes for HTML.

use std::fmt::Write as _;
use std::io;

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, ErrorKind, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::budget;
use super::text::write_float;

const MAX_INDENT: usize = 64;

/// `value|tojson(ensure_ascii=…, indent=…, separators=…, sort_keys=…)`.
pub fn tojson(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(invalid("Undefined is not JSON serializable"));
    }
    if args.len() > 4 {
        return Err(ErrorKind::TooManyArguments.into());
    }
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(given) => Ok(Some(given.clone()).filter(|given| !given.is_none())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let ascii = argument(0, "ensure_ascii")?.is_some_and(|ascii| ascii.is_true());
    let indent = indentation(argument(1, "indent")?)?;
    let separators = argument(2, "separators")?;
    let sort_keys = argument(3, "sort_keys")?.is_some_and(|sort| sort.is_true());
    kwargs.assert_all_used()?;
    let separator = |index: usize, default: &str| match &separators {
        Some(both) => {
            let separator = both.get_item_by_index(index)?;
            separator.as_str().map(str::to_owned).ok_or_else(|| invalid("separators must be strings"))
        }
        None => Ok(default.to_owned()),
    };
    let item = separator(0, if indent.is_some() { "," } else { ", " })?;
    let style = Style { item, key: separator(1, ": ")?, ascii, indent, ..Style::default() };

    budget::scan_deep(value)?;
    if !sort_keys {
        return write(value, style).map(Value::from);
    }
    let plain = write(value, Style::default())?;
    let json = serde_json::from_str(&plain);
    let mut json: serde_json::Value = json.map_err(|error| invalid(&error.to_string()))?;
    json.sort_all_objects();
    write(&json, style).map(Value::from)
}

fn write(value: &impl Serialize, style: Style) -> Result<String, Error> {
    let mut out = Out(Vec::new(), None);
    let written = value.serialize(&mut Serializer::with_formatter(&mut out, style));
    match (written, out.1) {
        (_, Some(error)) => Err(error),
        (Err(error), None) => Err(invalid(&error.to_string())),
        (Ok(()), None) => Ok(String::from_utf8_lossy(&out.0).into_owned()),
    }
}

fn indentation(indent: Option<Value>) -> Result<Option<String>, Error> {
    let Some(indent) = indent else { return Ok(None) };
    let text = match (indent.as_str(), indent.kind()) {
        (Some(text), _) => text.to_owned(),
        (None, ValueKind::Bool) => " ".repeat(usize::from(indent.is_true())),
        _ => {
            let width = i64::try_from(indent)?;
            let width = usize::try_from(width).unwrap_or(0);
            if width > MAX_INDENT {
                return Err(budget::exceeded("indents too far"));
            }
            " ".repeat(width)
        }
    };
    if text.len() > MAX_INDENT {
        return Err(budget::exceeded("indents too far"));
    }
    Ok(Some(text))
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.to_owned())
}

/// Bytes within the budget.
struct Out(Vec<u8>, Option<Error>);

impl io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = budget::create(bytes.len()) {
            self.1 = Some(error);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Style {
    item: String,
    key: String,
    ascii: bool,
    indent: Option<String>,
    depth: usize,
    empty: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { item: ", ".to_owned(), key: ": ".to_owned(), ascii: false, indent: None, depth: 0, empty: true }
    }
}

impl Style {
    fn new_line<W: ?Sized + io::Write>(&self, out: &mut W) -> io::Result<()> {
        if let Some(indent) = &self.indent {
            out.write_all(b"\n")?;
            for _ in 0..self.depth {
                out.write_all(indent.as_bytes())?;
            }
        }
        Ok(())
    }

    fn begin<W: ?Sized + io::Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.empty = true;
        out.write_all(bracket)
    }

    fn end<W: ?Sized + io::Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if !self.empty {
            self.new_line(out)?;
        }
        self.empty = false;
        out.write_all(bracket)
    }

    fn next<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(self.item.as_bytes())?;
        }
        self.empty = false;
        self.new_line(out)
    }
}

impl Formatter for Style {
    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.empty = false;
        Ok(())
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.key.as_bytes())
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.empty = false;
        Ok(())
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, number: f64) -> io::Result<()> {
        let mut text = String::new();
        write_float(&mut text, number).map_err(|_| io::ErrorKind::InvalidData)?;
        out.write_all(text.as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if !self.ascii {
            return out.write_all(fragment.as_bytes());
        }
        let mut text = String::new();
        for c in fragment.chars() {
            if matches!(c, ' '..='~') {
                text.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}").map_err(|_| io::ErrorKind::InvalidData)?;
            }
        }
        out.write_all(text.as_bytes())
    }
}
