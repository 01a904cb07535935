// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Formats values as Python does, within the budget.

use std::fmt::{self, Write};

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::budget;

/// A string that grows within the budget.
#[derive(Default)]
pub struct Text {
    text: String,
    error: Option<Error>,
}

impl Text {
    /// Adds `str(value)`.
    pub fn push(&mut self, value: &Value) -> Result<(), Error> {
        let written = write_str(self, value);
        self.check(written)
    }

    /// Adds a piece unchanged.
    pub fn push_str(&mut self, piece: &str) -> Result<(), Error> {
        let written = self.write_str(piece);
        self.check(written)
    }

    /// Returns the string as a value.
    pub fn into_value(self) -> Value {
        Value::from(self.text)
    }

    /// Returns the string.
    pub fn into_string(self) -> String {
        self.text
    }

    fn check(&mut self, written: fmt::Result) -> Result<(), Error> {
        match self.error.take() {
            Some(error) => Err(error),
            None => written.map_err(|_| budget::exceeded("nests values too deeply")),
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        match budget::create(piece.len()) {
            Ok(()) => self.text.push_str(piece),
            Err(error) => {
                self.error = Some(error);
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

/// Returns `str(value)`; a string stays unchanged.
pub fn to_text(value: &Value) -> Result<Value, Error> {
    if value.as_str().is_some() {
        return Ok(value.clone());
    }
    let mut text = Text::default();
    text.push(value)?;
    Ok(text.into_value())
}

fn write_str(out: &mut Text, value: &Value) -> fmt::Result {
    match value.as_str() {
        Some(text) => out.write_str(text),
        None if value.is_undefined() => Ok(()),
        None => write_repr(out, value, 64),
    }
}

fn write_repr(out: &mut Text, value: &Value, depth: usize) -> fmt::Result {
    let depth = depth.checked_sub(1).ok_or(fmt::Error)?;
    match value.kind() {
        ValueKind::Undefined => out.write_str("Undefined"),
        ValueKind::None => out.write_str("None"),
        ValueKind::Bool if value.is_true() => out.write_str("True"),
        ValueKind::Bool => out.write_str("False"),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(number) => write_float(out, number),
            Err(_) => write!(out, "{value}"),
        },
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            out.write_char('[')?;
            for (index, element) in value.try_iter().into_iter().flatten().enumerate() {
                out.write_str(if index > 0 { ", " } else { "" })?;
                write_repr(out, &element, depth)?;
            }
            out.write_char(']')
        }
        ValueKind::Map => {
            out.write_char('{')?;
            for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                out.write_str(if index > 0 { ", " } else { "" })?;
                write_repr(out, &key, depth)?;
                out.write_str(": ")?;
                write_repr(out, &value.get_item(&key).unwrap_or_default(), depth)?;
            }
            out.write_char('}')
        }
        _ => write!(out, "{value}"),
    }
}

fn write_quoted(out: &mut Text, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.write_char(quote)?;
    let special = |c: char| c == quote || c == '\\' || c.is_control();
    let mut rest = text;
    while let Some((plain, c)) = rest.find(special).and_then(|at| {
        let (plain, tail) = rest.split_at(at);
        Some((plain, tail.chars().next()?))
    }) {
        out.write_str(plain)?;
        match c {
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if c.is_control() => write!(out, "\\x{:02x}", u32::from(c))?,
            c => write!(out, "\\{c}")?,
        }
        rest = rest.get(plain.len() + c.len_utf8()..).unwrap_or_default();
    }
    out.write_str(rest)?;
    out.write_char(quote)
}

/// Formats a float as Python does: `1.0`, `1e-05`, `1e+16`.
pub fn write_float(out: &mut impl Write, number: f64) -> fmt::Result {
    let size = number.abs();
    if !number.is_finite() {
        let name = if number.is_nan() { "nan" } else { "inf" };
        return write!(out, "{}{name}", if number < 0.0 { "-" } else { "" });
    }
    if size == 0.0 || (1e-4..1e16).contains(&size) {
        return write!(out, "{number:?}");
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    write!(out, "{digits}e{sign}{exponent:0>2}")
}
