// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The methods of Python's strings, lists and dicts, within the budget.

use minijinja::value::from_args;
use minijinja::{Error, FormatStyle, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::budget;
use super::filters::{check_replace, formatted};
use super::text::Text;

/// A list element with its string.
const PIECE: usize = 64;

/// Calls a method that minijinja does not have.
pub fn call(state: &State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        if name == "count" {
            budget::scan_deep(value)?;
        }
        if name != "get" {
            budget::create_list(value.len().unwrap_or(0))?;
        }
        budget::scan_arguments(1, args)?;
        return unknown_method_callback(state, value, name, args);
    };
    budget::scan(text.len())?;
    args.iter().try_for_each(budget::scan_deep)?;
    match name {
        "format" => return formatted(FormatStyle::StrFormat, text, args),
        "join" => return join(text, args),
        "rsplit" => return rsplit(text, args),
        "removeprefix" | "removesuffix" => {
            let (affix,): (&str,) = from_args(args)?;
            let rest = match name {
                "removeprefix" => text.strip_prefix(affix),
                _ => text.strip_suffix(affix),
            };
            budget::create(text.len())?;
            return Ok(Value::from(rest.unwrap_or(text)));
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            budget::create(text.len())?;
            let parts = match name {
                "partition" => {
                    text.split_once(separator).map_or([text, "", ""], |(head, tail)| [head, separator, tail])
                }
                _ => text.rsplit_once(separator).map_or(["", "", text], |(head, tail)| [head, separator, tail]),
            };
            return Ok(parts.into_iter().map(Value::from).collect());
        }
        "ljust" | "rjust" | "center" | "zfill" => return pad(name, text, args),
        "replace" => {
            if let [from, to, ..] = args {
                let (from, to) = (from.as_str(), to.as_str());
                check_replace(text, from.unwrap_or(" "), to.unwrap_or_default())?;
            }
        }
        "split" | "splitlines" => {
            let separator = args.first().and_then(Value::as_str).filter(|s| !s.is_empty());
            let pieces = match separator {
                Some(separator) => text.matches(separator).count(),
                None => text.matches(char::is_whitespace).count(),
            };
            budget::create(text.len().saturating_add((pieces + 1).saturating_mul(PIECE)))?;
        }
        "strip" | "lstrip" | "rstrip" => budget::create(text.len())?,
        "upper" | "lower" | "title" | "capitalize" => budget::create(text.len().saturating_mul(3))?,
        _ => {}
    }
    unknown_method_callback(state, value, name, args)
}

fn join(joiner: &str, args: &[Value]) -> Result<Value, Error> {
    let (values,): (&Value,) = from_args(args)?;
    let mut text = Text::default();
    for (index, value) in values.try_iter()?.enumerate() {
        budget::scan(PIECE)?;
        if index > 0 {
            text.push_str(joiner)?;
        }
        text.push(&value)?;
    }
    Ok(text.into_value())
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, limit): (Option<&str>, Option<i64>) = from_args(args)?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.map_or(usize::MAX, |limit| limit.saturating_add(1));
    budget::create(text.len().saturating_mul(PIECE))?;
    let mut parts: Vec<&str> = match separator {
        Some(separator) => text.rsplitn(limit, separator).collect(),
        None => text.rsplitn(limit, char::is_whitespace).collect(),
    };
    if separator.is_none() {
        parts.retain(|part| !part.is_empty());
    }
    Ok(parts.into_iter().rev().map(Value::from).collect())
}

fn pad(name: &str, text: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (usize, Option<&str>) = from_args(args)?;
    let fill = if name == "zfill" { "0" } else { fill.unwrap_or(" ") };
    let missing = width.saturating_sub(text.chars().count());
    budget::create(missing.saturating_mul(fill.len()).saturating_add(text.len()))?;
    let (before, after) = match name {
        "ljust" => (0, missing),
        "center" => (missing / 2, missing - missing / 2),
        _ => (missing, 0),
    };
    Ok(Value::from(format!("{}{text}{}", fill.repeat(before), fill.repeat(after))))
}
