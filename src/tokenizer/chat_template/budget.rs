// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The memory and time budget of one rendering. Templates are untrusted, and minijinja's fuel
//! counts instructions, a single one of which can double a string.
//!
//! Every rendering has its own thread, so the budget is thread-local.

use std::cell::Cell;
use std::fmt;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use crate::watch::is_over;

/// Total bytes that may be created, in addition to those for the size of the input.
const CREATED: u64 = 64 << 20;
/// Total bytes that may be read, in addition to those for the size of the input.
const SCANNED: u64 = 1 << 30;
/// Maximum nesting of lists and maps.
const DEPTH: usize = 64;
/// Memory per list element, in bytes.
const ELEMENT: usize = 32;
/// Cost of reading a list element, in bytes of text that could be read in that time.
const LOOK: usize = 256;

thread_local! {
    static LEFT: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// The source of an error that is due to a limit.
#[derive(Debug)]
pub struct Exceeded(&'static str);

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the template {}", self.0)
    }
}

impl std::error::Error for Exceeded {}

/// Sets the thread's budget for a rendering with input of this size.
pub fn open(input_size: usize) {
    let input = input_size as u64;
    LEFT.set((CREATED.saturating_add(input.saturating_mul(16)), SCANNED.saturating_add(input.saturating_mul(1024))));
}

/// Creates the error of a limit.
pub fn exceeded(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what).with_source(Exceeded(what))
}

/// Charges new memory.
pub fn create(bytes: usize) -> Result<(), Error> {
    let (created, scanned) = LEFT.get();
    let left = created.checked_sub(bytes as u64);
    let left = left.ok_or_else(|| exceeded("uses too much memory"))?;
    LEFT.set((left, scanned));
    Ok(())
}

/// Charges time, as the number of bytes read.
pub fn scan(bytes: usize) -> Result<(), Error> {
    let (created, scanned) = LEFT.get();
    let left = scanned.checked_sub(bytes as u64);
    let left = left.filter(|_| !is_over()).ok_or_else(|| exceeded("takes too long"))?;
    LEFT.set((created, left));
    Ok(())
}

/// Charges a new list.
pub fn create_list(elements: usize) -> Result<(), Error> {
    create(elements.saturating_add(2).saturating_mul(ELEMENT))
}

/// Charges reading a value, without the contents of its elements.
pub fn scan_shallow(value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) => scan(text.len()),
        None if value.as_object().is_some() => scan(value.len().unwrap_or(0).saturating_mul(LOOK)),
        None => scan(1),
    }
}

/// Charges reading everything in a value, and rejects deep nesting.
pub fn scan_deep(value: &Value) -> Result<(), Error> {
    scan_to(value, DEPTH)
}

fn scan_to(value: &Value, depth: usize) -> Result<(), Error> {
    scan_shallow(value)?;
    let depth = depth.checked_sub(1).ok_or_else(|| exceeded("nests values too deeply"))?;
    for child in children(value) {
        scan_to(&child, depth)?;
    }
    Ok(())
}

/// Charges looking for a key that many times: it is hashed and compared.
pub fn scan_key(key: &Value, times: usize) -> Result<(), Error> {
    match key.as_str() {
        Some(text) => scan(text.len().saturating_mul(2).saturating_mul(times)),
        None => (0..times.min(2)).try_for_each(|_| scan_deep(key)),
    }
}

/// Charges what a filter does with its arguments for each element: at most looking for one as often as sorting compares.
pub fn scan_arguments(elements: usize, args: &[Value]) -> Result<(), Error> {
    let times = elements.saturating_mul(elements.checked_ilog2().unwrap_or(0) as usize + 1);
    for arg in args {
        scan_key(arg, times)?;
        if arg.is_kwargs() {
            for name in arg.try_iter()? {
                scan_key(&arg.get_item(&name)?, times)?;
            }
        }
    }
    Ok(())
}

/// Rejects deep nesting, and namespaces inside values, which could form cycles and chains.
pub fn check_nesting(value: &Value) -> Result<(), Error> {
    nesting_to(value, DEPTH)
}

fn nesting_to(value: &Value, depth: usize) -> Result<(), Error> {
    if value.as_object().is_none() {
        return Ok(());
    }
    scan(LOOK)?;
    if is_namespace(value) {
        return Err(Error::new(ErrorKind::InvalidOperation, "a namespace cannot be stored"));
    }
    let depth = depth.checked_sub(1).ok_or_else(|| exceeded("nests values too deeply"))?;
    for child in children(value) {
        nesting_to(&child, depth)?;
    }
    Ok(())
}

fn is_namespace(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"))
}

fn children(value: &Value) -> Box<dyn Iterator<Item = Value>> {
    let Some(object) = value.as_object() else {
        return Box::new(std::iter::empty());
    };
    match value.kind() {
        ValueKind::Map => match object.try_iter_pairs() {
            Some(pairs) => Box::new(pairs.flat_map(|(key, value)| [key, value])),
            None => Box::new(std::iter::empty()),
        },
        ValueKind::Seq | ValueKind::Iterable => match object.try_iter() {
            Some(elements) => Box::new(elements),
            None => Box::new(std::iter::empty()),
        },
        _ => Box::new(std::iter::empty()),
    }
}
