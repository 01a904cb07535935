// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The filters, tests and functions of templates: minijinja's, each behind a budget check, and those
//! that transformers defines or that must behave like Python's.

use std::borrow::Cow;
use std::sync::LazyLock;

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, FormatStyle, State, Value, filters, format_filter, tests};

use super::budget;
use super::json::tojson;
use super::ops;
use super::text::{Text, to_text};

const MAX_RANGE: i128 = 100_000;
const MAX_WIDTH: usize = 10_000;

/// An unmodified minijinja, for the filters that are only guarded.
static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(Environment::new);

/// Filters of one string.
const ON_TEXT: [&str; 10] =
    ["upper", "lower", "title", "capitalize", "trim", "escape", "e", "safe", "replace", "reverse"];
/// Filters that read everything in a list.
const ON_LISTS: [&str; 7] = ["min", "max", "sum", "sort", "unique", "dictsort", "items"];
/// Filters and functions that no chat template needs, and that could be misused.
const REMOVED: [&str; 9] = ["batch", "slice", "groupby", "chain", "zip", "pprint", "lines", "split", "urlencode"];

/// Registers filters, tests and functions.
pub fn register(env: &mut Environment<'static>) {
    for name in REMOVED {
        env.remove_filter(name);
    }
    for name in ON_TEXT {
        env.add_filter(name, move |args: Rest<Value>| on_text(name, args));
    }
    for name in ON_LISTS {
        env.add_filter(name, move |args: Rest<Value>| on_list(name, &args));
    }
    for name in ["int", "float", "first", "last"] {
        env.add_filter(name, move |args: Rest<Value>| {
            args.first().map_or(Ok(()), budget::scan_shallow)?;
            plain(name, &args)
        });
    }
    env.add_filter("string", to_text);
    env.add_filter("tojson", tojson);
    env.add_filter("join", join);
    env.add_filter("indent", indent);
    env.add_filter("attr", ops::item);
    env.add_filter("list", list);
    env.add_filter("length", length);
    env.add_filter("count", length);
    env.add_filter("format", |format: &str, args: Rest<Value>| printf(format, &args));
    register_mapping(env);
    register_tests(env);

    env.remove_global("debug");
    env.add_function("range", range);
    for name in ["dict", "namespace"] {
        let builtin = PLAIN.globals().find(|(global, _)| *global == name);
        let Some((_, builtin)) = builtin else { continue };
        env.add_function(name, move |state: &State, args: Rest<Value>| {
            args.iter().try_for_each(budget::check_nesting)?;
            budget::create_list(16)?;
            for arg in args.iter() {
                budget::create_list(arg.len().unwrap_or(0).saturating_mul(4))?;
                if arg.kind() == ValueKind::Map {
                    arg.try_iter()?.try_for_each(|key| budget::scan_key(&key, 2))?;
                }
            }
            builtin.call(state, &args)
        });
    }
}

/// `format % arguments`.
pub fn printf(format: &str, arguments: &[Value]) -> Result<Value, Error> {
    formatted(FormatStyle::Printf, format, arguments)
}

/// Formats within the budget: a width can make a text arbitrarily long.
pub fn formatted(style: FormatStyle, format: &str, args: &[Value]) -> Result<Value, Error> {
    let marker = match style {
        FormatStyle::Printf => '%',
        FormatStyle::StrFormat => '{',
    };
    let mut fields = 0_usize;
    for field in format.split(marker).skip(1) {
        fields += 1;
        let spec = match style {
            FormatStyle::Printf => field.split(|c: char| c.is_ascii_alphabetic()).next(),
            FormatStyle::StrFormat => field.split('}').next(),
        };
        let numbers = spec.unwrap_or_default().split(|c: char| !c.is_ascii_digit());
        for number in numbers.filter(|number| !number.is_empty()) {
            if !number.parse().is_ok_and(|width: usize| width <= MAX_WIDTH) {
                return Err(budget::exceeded("formats text to too large a width"));
            }
        }
    }
    let mut sizes = 0_usize;
    let mut texts = Vec::with_capacity(args.len());
    for arg in args {
        let simple = arg.is_kwargs() || arg.kind() == ValueKind::Number;
        let text = if simple { arg.clone() } else { to_text(arg)? };
        sizes = sizes.saturating_add(text.as_str().map_or(64, str::len));
        texts.push(text);
    }
    if let Some(kwargs) = args.last().filter(|arg| arg.is_kwargs()) {
        for key in kwargs.try_iter()? {
            let text = to_text(&kwargs.get_item(&key)?)?;
            sizes = sizes.saturating_add(text.as_str().map_or(0, str::len));
        }
    }
    budget::create(format.len().saturating_add(fields.saturating_mul(sizes)))?;
    budget::create(fields.saturating_mul(64))?;
    format_filter(style, format, &texts).map(Value::from)
}

/// Charges a replacement in a text.
pub fn check_replace(text: &str, from: &str, to: &str) -> Result<(), Error> {
    budget::scan(text.len())?;
    let count = match from.is_empty() {
        true => text.len() + 1,
        false => text.matches(from).count(),
    };
    budget::create(text.len().saturating_add(count.saturating_mul(to.len())))
}

fn plain(name: &str, args: &[Value]) -> Result<Value, Error> {
    PLAIN.empty_state().apply_filter(name, args)
}

fn on_text(name: &str, mut args: Rest<Value>) -> Result<Value, Error> {
    let reverses_list = name == "reverse" && args.first().is_some_and(|v| v.as_str().is_none());
    if reverses_list {
        return on_list(name, &args);
    }
    for arg in args.iter_mut().filter(|arg| !arg.is_kwargs()) {
        if arg.as_object().is_some() {
            *arg = to_text(arg)?;
        }
    }
    if let Some(text) = args.first_mut() {
        *text = to_text(text)?;
    }
    let text = args.first().and_then(Value::as_str).unwrap_or_default();
    budget::scan(text.len())?;
    match (name, args.get(1), args.get(2)) {
        ("replace", Some(from), Some(to)) => {
            let (from, to) = (from.as_str().unwrap_or(" "), to.as_str().unwrap_or(" "));
            check_replace(text, from, to)?;
        }
        ("escape" | "e", ..) => budget::create(text.len().saturating_mul(6))?,
        ("trim" | "safe" | "reverse", ..) => budget::create(text.len())?,
        _ => budget::create(text.len().saturating_mul(3))?,
    }
    plain(name, &args)
}

fn indent(
    text: &Value,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let width = width.or(kwargs.get("width")?).unwrap_or(Value::from(4));
    let first = first.or(kwargs.get("first")?).unwrap_or(false);
    let blank = blank.or(kwargs.get("blank")?).unwrap_or(false);
    kwargs.assert_all_used()?;
    let margin = match width.as_str() {
        Some(margin) => margin.to_owned(),
        None => {
            let width = usize::try_from(i64::try_from(width)?.max(0)).unwrap_or(usize::MAX);
            budget::create(width)?;
            " ".repeat(width)
        }
    };
    let mut out = Text::default();
    let text = to_text(text)?;
    for (index, line) in text.as_str().unwrap_or_default().split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        out.push_str(if index > 0 { "\n" } else { "" })?;
        if if index > 0 { blank || !line.is_empty() } else { first } {
            out.push_str(&margin)?;
        }
        out.push_str(line)?;
    }
    Ok(out.into_value())
}

fn on_list(name: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(value) = args.first() else {
        return plain(name, args);
    };
    if value.is_undefined() {
        return Ok(Value::from(Vec::<Value>::new()));
    }
    // These two only move elements; the others compare or add their contents.
    if name == "items" || name == "reverse" {
        budget::scan_shallow(value)?;
    } else {
        budget::scan_deep(value)?;
    }
    let length = value.len().unwrap_or(0);
    budget::create_list(length.saturating_mul(4))?;
    budget::scan_arguments(length, args.get(1..).unwrap_or_default())?;
    if name == "sort" || name == "dictsort" {
        // Each element is compared as often as this.
        (0..length.checked_ilog2().unwrap_or(0)).try_for_each(|_| budget::scan_deep(value))?;
    }
    let result = plain(name, args)?;
    match result.kind() {
        // A lazy value would be evaluated again on every use.
        ValueKind::Iterable => Ok(Value::from(result.try_iter()?.collect::<Vec<_>>())),
        _ => Ok(result),
    }
}

fn join(value: &Value, joiner: Option<&Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let attribute: Option<&str> = kwargs.get("attribute")?;
    kwargs.assert_all_used()?;
    let mut text = Text::default();
    let attribute_length = attribute.map_or(0, str::len);
    for (index, element) in value.try_iter()?.enumerate() {
        budget::scan(attribute_length.saturating_mul(2).saturating_add(32))?;
        if let (true, Some(joiner)) = (index > 0, joiner) {
            text.push(joiner)?;
        }
        match attribute {
            Some(attribute) => text.push(&element.get_attr(attribute)?)?,
            None => text.push(&element)?,
        }
    }
    Ok(text.into_value())
}

fn list(value: &Value) -> Result<Value, Error> {
    budget::create_list(value.len().unwrap_or(0))?;
    Ok(Value::from(value.try_iter()?.collect::<Vec<_>>()))
}

fn length(value: &Value) -> Result<usize, Error> {
    budget::scan(value.as_str().map_or(1, str::len))?;
    match value.is_undefined() {
        true => Ok(0),
        false => filters::length(value),
    }
}

fn range(args: Rest<Value>) -> Result<Value, Error> {
    let number = |index: usize| args.get(index).map(|v| i128::try_from(v.clone())).transpose();
    let (first, second, step) = (number(0)?.unwrap_or(0), number(1)?, number(2)?.unwrap_or(1));
    let (start, stop) = second.map_or((0, first), |second| (first, second));
    let length = stop.saturating_sub(start).checked_div(step).unwrap_or(0);
    if length > MAX_RANGE {
        return Err(budget::exceeded("requests a range that is too long"));
    }
    let last = usize::try_from(length.saturating_add(2)).unwrap_or(0);
    budget::create_list(last)?;
    let elements = std::iter::successors(Some(start), |at| at.checked_add(step))
        .take(last)
        .take_while(|&at| if step > 0 { at < stop } else { at > stop });
    Ok(elements.filter_map(|at| i64::try_from(at).ok()).map(Value::from).collect())
}

type Name<'a> = Option<Cow<'a, str>>;

fn register_mapping(env: &mut Environment<'static>) {
    fn check(value: &Value, args: &[Value]) -> Result<(), Error> {
        budget::scan_shallow(value)?;
        let length = value.len().unwrap_or(0);
        budget::create_list(length)?;
        budget::scan_arguments(length, args)
    }
    fn check_attribute(value: &Value, attribute: &str, args: &[Value]) -> Result<(), Error> {
        budget::scan(attribute.len().saturating_mul(value.len().unwrap_or(0)).saturating_mul(2))?;
        check(value, args)
    }
    env.add_filter("map", |state: &State, value: Value, args: Rest<Value>| {
        check(&value, &args)?;
        filters::map(state, value, args)
    });
    env.add_filter("select", |s: &State, v: Value, test: Name<'_>, args: Rest<Value>| {
        check(&v, &args)?;
        filters::select(s, v, test, args)
    });
    env.add_filter("reject", |s: &State, v: Value, test: Name<'_>, args: Rest<Value>| {
        check(&v, &args)?;
        filters::reject(s, v, test, args)
    });
    env.add_filter("selectattr", |s: &State, v: Value, attr: Cow<'_, str>, test: Name<'_>, args: Rest<Value>| {
        check_attribute(&v, &attr, &args)?;
        filters::selectattr(s, v, attr, test, args)
    });
    env.add_filter("rejectattr", |s: &State, v: Value, attr: Cow<'_, str>, test: Name<'_>, args: Rest<Value>| {
        check_attribute(&v, &attr, &args)?;
        filters::rejectattr(s, v, attr, test, args)
    });
}

fn register_tests(env: &mut Environment<'static>) {
    for (names, compare) in ops::COMPARISONS {
        for name in names {
            env.add_test(*name, move |l: &Value, r: &Value| ops::check_comparison(l, r).map(|()| compare(l, r)));
        }
    }
    env.add_test("in", ops::contains);
    for (name, upper) in [("upper", true), ("lower", false)] {
        env.add_test(name, move |text: &str| -> Result<bool, Error> {
            budget::scan(text.len())?;
            let wrong = |c: char| if upper { c.is_lowercase() } else { c.is_uppercase() };
            Ok(!text.contains(wrong))
        });
    }
    env.add_test("startingwith", |text: &str, part: &str| budget::scan(part.len()).map(|()| text.starts_with(part)));
    env.add_test("endingwith", |text: &str, part: &str| budget::scan(part.len()).map(|()| text.ends_with(part)));
    env.add_test("sameas", |l: &Value, r: &Value| ops::check_comparison(l, r).map(|()| tests::is_sameas(l, r)));
    env.add_test("sequence", |value: &Value| {
        use ValueKind::{Iterable, Map, Seq, String};
        matches!(value.kind(), String | Seq | Iterable | Map)
    });
    env.add_test("iterable", |value: &Value| {
        use ValueKind::{Iterable, Map, Seq, String, Undefined};
        matches!(value.kind(), String | Seq | Iterable | Map | Undefined)
    });
    env.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
}

/// The exception that a template raises.
#[derive(Debug)]
pub struct Raised(pub String);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// `raise_exception(message)`.
pub fn raise_exception(message: &Value) -> Result<Value, Error> {
    let message = to_text(message)?.as_str().unwrap_or_default().to_owned();
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}
