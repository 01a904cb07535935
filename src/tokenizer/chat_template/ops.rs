// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The operators of templates, within the budget and with Python's semantics.

use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};

use super::budget;
use super::compile::{internal, is_internal};
use super::filters::printf;
use super::text::Text;

/// A comparison.
type Compare = fn(&Value, &Value) -> bool;

/// The comparisons, by their names as operators and as tests.
pub const COMPARISONS: [(&[&str], Compare); 6] = [
    (&["==", "eq", "equalto"], |l, r| l == r),
    (&["!=", "ne"], |l, r| l != r),
    (&["<", "lt", "lessthan"], |l, r| l < r),
    (&["<=", "le"], |l, r| l <= r),
    (&[">", "gt", "greaterthan"], |l, r| l > r),
    (&[">=", "ge"], |l, r| l >= r),
];

/// The function that charges beginning a loop, or unpacking, and returns its argument.
pub const ENTER: &str = "[*]";

/// Makes the operators callable under names that no template can write.
pub fn register(env: &mut Environment<'static>) {
    env.add_function("~", concat);
    env.add_function("+", add);
    env.add_function("*", mul);
    env.add_function("%", rem);
    for (names, compare) in COMPARISONS {
        let [name, ..] = names else { continue };
        env.add_function(*name, move |l: &Value, r: &Value| check_comparison(l, r).map(|()| compare(l, r)));
    }
    env.add_function("in", contains);
    env.add_function("[]", item);
    env.add_function("[:]", slice);
    env.add_function("list", list);
    env.add_function("map", map);
    env.add_function("*args", all_arguments);
    env.add_function("**kwargs", all_named_arguments);
    env.add_function(ENTER, |value: &Value| enter(value).map(|()| value.clone()));
    env.add_function("store", |value: &Value| budget::check_nesting(value).map(|()| value.clone()));
}

/// Charges a comparison.
pub fn check_comparison(left: &Value, right: &Value) -> Result<(), Error> {
    match (left.as_str(), right.as_str()) {
        (Some(l), Some(r)) => budget::scan(l.len().min(r.len())),
        _ if left.as_object().is_some() && right.as_object().is_some() => {
            budget::scan_deep(left)?;
            budget::scan_deep(right)
        }
        _ => Ok(()),
    }
}

/// Whether a value is in a container. Charges the search.
pub fn contains(value: &Value, container: &Value) -> Result<bool, Error> {
    budget::scan_shallow(container)?;
    match container.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::String => match (container.as_str(), value.as_str()) {
            (Some(text), Some(part)) => Ok(text.contains(part)),
            _ => Err(unsupported("in", value, container)),
        },
        ValueKind::Map => {
            budget::scan_key(value, 1)?;
            Ok(!container.get_item(value)?.is_undefined() || container.try_iter()?.any(|key| &key == value))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            for element in container.try_iter()? {
                check_comparison(value, &element)?;
                if &element == value {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(unsupported("in", value, container)),
    }
}

fn concat(left: &Value, right: &Value) -> Result<Value, Error> {
    let mut text = Text::default();
    text.push(left)?;
    text.push(right)?;
    Ok(text.into_value())
}

fn add(left: &Value, right: &Value) -> Result<Value, Error> {
    if let (Some(l), Some(r)) = (left.as_str(), right.as_str()) {
        budget::create(l.len().saturating_add(r.len()))?;
        return Ok(Value::from([l, r].concat()));
    }
    if is_list(left) && is_list(right) {
        let length = left.len().unwrap_or(0).saturating_add(right.len().unwrap_or(0));
        budget::create_list(length)?;
        return Ok(left.try_iter()?.chain(right.try_iter()?).collect());
    }
    match numbers(left, right) {
        Some(Numbers::Integers(l, r)) => integer(l.checked_add(r)),
        Some(Numbers::Floats(l, r)) => Ok(Value::from(l + r)),
        None => Err(unsupported("+", left, right)),
    }
}

fn mul(left: &Value, right: &Value) -> Result<Value, Error> {
    let (repeated, count) = match right.is_integer() {
        true => (left, right),
        false => (right, left),
    };
    let times = || match i64::try_from(count.clone()) {
        Ok(times) => Ok(usize::try_from(times).unwrap_or(0)),
        Err(_) => Err(unsupported("*", left, right)),
    };
    if let Some(text) = repeated.as_str() {
        let times = times()?;
        budget::create(text.len().saturating_mul(times))?;
        return Ok(Value::from(text.repeat(times)));
    }
    if is_list(repeated) {
        let times = times()?;
        let elements: Vec<Value> = repeated.try_iter()?.collect();
        budget::create_list(elements.len().max(1).saturating_mul(times))?;
        return Ok(std::iter::repeat_n(elements, times).flatten().collect());
    }
    match numbers(left, right) {
        Some(Numbers::Integers(l, r)) => integer(l.checked_mul(r)),
        Some(Numbers::Floats(l, r)) => Ok(Value::from(l * r)),
        None => Err(unsupported("*", left, right)),
    }
}

fn rem(left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(format) = left.as_str() {
        let arguments: Vec<Value> = match is_list(right) {
            true => right.try_iter()?.collect(),
            false => vec![right.clone()],
        };
        return printf(format, &arguments);
    }
    match numbers(left, right) {
        Some(Numbers::Integers(l, r)) => {
            // Python's remainder has the divisor's sign.
            let remainder = l.checked_rem(r).and_then(|m| m.checked_add(r)?.checked_rem(r));
            integer(remainder)
        }
        Some(Numbers::Floats(l, r)) => Ok(Value::from(((l % r) + r) % r)),
        None => Err(unsupported("%", left, right)),
    }
}

fn enter(value: &Value) -> Result<(), Error> {
    budget::scan(value.as_str().map_or_else(|| value.len().unwrap_or(0), str::len))
}

/// `container[key]`.
pub fn item(container: &Value, key: &Value) -> Result<Value, Error> {
    if container.as_str().is_some() {
        budget::scan_shallow(container)?;
    }
    budget::scan_key(key, 1)?;
    let item = container.get_item(key)?;
    match key.as_str() {
        Some(name) if item.is_undefined() && is_internal(name) => Err(internal(name)),
        _ => Ok(item),
    }
}

fn slice(value: &Value, start: &Value, stop: &Value, step: &Value) -> Result<Value, Error> {
    budget::scan_shallow(value)?;
    let step = bound(step)?.unwrap_or(1);
    if let Some(text) = value.as_str() {
        budget::create(text.len().saturating_mul(4))?;
        let chars: Vec<char> = text.chars().collect();
        let picked = indices(chars.len(), bound(start)?, bound(stop)?, step)?;
        let text: String = picked.filter_map(|index| chars.get(index)).collect();
        return Ok(Value::from(text));
    }
    if !is_list(value) {
        let message = format!("a value of type {} cannot be sliced", value.kind());
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    budget::create_list(value.len().unwrap_or(0))?;
    let elements: Vec<Value> = value.try_iter()?.collect();
    let picked = indices(elements.len(), bound(start)?, bound(stop)?, step)?;
    Ok(picked.filter_map(|index| elements.get(index).cloned()).collect())
}

fn bound(value: &Value) -> Result<Option<i64>, Error> {
    match value.is_none() {
        true => Ok(None),
        false => i64::try_from(value.clone()).map(Some),
    }
}

/// Returns the indices of a Python slice.
fn indices(
    length: usize,
    start: Option<i64>,
    stop: Option<i64>,
    step: i64,
) -> Result<impl Iterator<Item = usize>, Error> {
    if step == 0 {
        return Err(Error::new(ErrorKind::InvalidOperation, "slice step cannot be zero"));
    }
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clamp = |bound: i64| {
        let from_start = if bound < 0 { bound.saturating_add(length) } else { bound };
        from_start.clamp(low, high)
    };
    let start = start.map_or(if step > 0 { low } else { high }, clamp);
    let stop = stop.map_or(if step > 0 { high } else { low }, clamp);
    let next = move |index: &i64| index.checked_add(step);
    Ok(std::iter::successors(Some(start), next)
        .take_while(move |&index| if step > 0 { index < stop } else { index > stop })
        .filter_map(|index| usize::try_from(index).ok()))
}

fn list(elements: Rest<Value>) -> Result<Value, Error> {
    budget::create_list(elements.len())?;
    elements.iter().try_for_each(budget::check_nesting)?;
    Ok(Value::from(elements.0))
}

fn map(flat: Rest<Value>) -> Result<Value, Error> {
    budget::create_list(flat.len().saturating_mul(4))?;
    flat.iter().try_for_each(budget::check_nesting)?;
    flat.iter().step_by(2).try_for_each(|key| budget::scan_key(key, 1))?;
    let pairs = flat.chunks_exact(2).filter_map(|pair| match pair {
        [key, value] => Some((key.clone(), value.clone())),
        _ => None,
    });
    Ok(pairs.collect())
}

/// Joins the lists of a call with unpacked arguments.
fn all_arguments(lists: Rest<Value>) -> Result<Value, Error> {
    let mut arguments = Vec::new();
    for list in lists.iter() {
        budget::create_list(list.len().unwrap_or(0))?;
        arguments.extend(list.try_iter()?);
    }
    Ok(Value::from(arguments))
}

/// Joins the maps of a call with unpacked arguments.
fn all_named_arguments(maps: Rest<Value>) -> Result<Value, Error> {
    let mut arguments = Vec::new();
    for map in maps.iter() {
        budget::create_list(map.len().unwrap_or(0).saturating_mul(4))?;
        for key in map.try_iter()? {
            // Found here, and put into two maps.
            budget::scan_key(&key, 3)?;
            let value = map.get_item(&key)?;
            arguments.push((key, value));
        }
    }
    Ok(arguments.into_iter().collect())
}

enum Numbers {
    Integers(i128, i128),
    Floats(f64, f64),
}

fn numbers(left: &Value, right: &Value) -> Option<Numbers> {
    let is_number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if !is_number(left) || !is_number(right) {
        return None;
    }
    let whole = |value: &Value| value.is_integer() || value.kind() == ValueKind::Bool;
    let integer = |value: &Value| match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        _ => i128::try_from(value.clone()).ok(),
    };
    let float = |value: &Value| match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        _ => f64::try_from(value.clone()).ok(),
    };
    if whole(left) && whole(right) {
        return Some(Numbers::Integers(integer(left)?, integer(right)?));
    }
    Some(Numbers::Floats(float(left)?, float(right)?))
}

fn integer(result: Option<i128>) -> Result<Value, Error> {
    let result =
        result.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "integer overflow or division by zero"))?;
    Ok(i64::try_from(result).map_or_else(|_| Value::from(result), Value::from))
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn unsupported(op: &str, left: &Value, right: &Value) -> Error {
    let message = format!("{op} does not support {} and {}", left.kind(), right.kind());
    Error::new(ErrorKind::InvalidOperation, message)
}
