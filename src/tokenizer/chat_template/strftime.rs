// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! `strftime_now`: formats a time like Python's `strftime` for a naive datetime.

use std::fmt::Write as _;

use chrono::format::{Fixed, Item, Numeric, StrftimeItems};
use chrono::{DateTime, Local, Timelike};
use minijinja::{Error, ErrorKind};

const MAX_LENGTH: usize = 1024;

/// `now.strftime(format)`.
pub fn format(now: DateTime<Local>, format: &str) -> Result<String, Error> {
    let wrong = || Error::new(ErrorKind::InvalidOperation, "strftime_now: invalid format");
    if format.len() > MAX_LENGTH {
        return Err(wrong());
    }
    let items = StrftimeItems::new(format).map(|item| match item {
        Item::Numeric(Numeric::Nanosecond, _) => {
            Item::OwnedLiteral(format!("{:06}", now.nanosecond() / 1000 % 1_000_000).into())
        }
        Item::Fixed(Fixed::TimezoneName | Fixed::TimezoneOffset) => Item::Literal(""),
        item => item,
    });
    let mut text = String::new();
    write!(text, "{}", now.format_with_items(items)).map_err(|_| wrong())?;
    Ok(text)
}
