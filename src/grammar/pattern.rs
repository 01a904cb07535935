// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! JavaScript's regular expressions, in which schemas have their patterns, written for Rust's regex-syntax. What means the
//! same in both is left as it is.

use std::{iter::Peekable, str::Chars};

use llguidance::{derivre::RegexBuilder, regex_to_lark};

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = r"\t\n\x0B\x0C\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";
const NO_LINE_BREAK: &str = r"[^\n\r\x{2028}\x{2029}]";

/// # Errors
/// What is wrong with the pattern, or not supported.
pub fn translate(pattern: &str) -> Result<String, String> {
    let written = write(pattern)?;
    RegexBuilder::new().mk_regex(&regex_to_lark(&written, "")).map_err(|error| {
        // The last line of regex-syntax's errors says what is wrong.
        let message = error.to_string();
        let reason = message.lines().last().unwrap_or_default();
        format!("the regular expression is not supported: {}", reason.strip_prefix("error: ").unwrap_or(reason))
    })?;
    Ok(written)
}

fn write(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let escaped = chars.next().ok_or("it ends with a backslash")?;
                escape(escaped, in_class, &mut chars, &mut out)?;
            }
            '[' if in_class => out.push_str(r"\["),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                if chars.next_if_eq(&']').is_some() {
                    // Any character, or none: `[^]` and `[]`.
                    out.push_str(if negated { r"(?s:.)" } else { r"[^\x00-\x{10FFFF}]" });
                } else {
                    out.push_str(if negated { "[^" } else { "[" });
                    in_class = true;
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Operators on sets in regex-syntax.
            '&' | '~' if in_class => out.extend(['\\', c]),
            '-' if in_class && out.ends_with('-') => out.push_str(r"\-"),
            '.' if !in_class => out.push_str(NO_LINE_BREAK),
            _ => out.push(c),
        }
    }
    Ok(out)
}

fn escape(escaped: char, in_class: bool, rest: &mut Peekable<Chars>, out: &mut String) -> Result<(), String> {
    let class = match escaped.to_ascii_lowercase() {
        'd' => Some(DIGIT),
        'w' => Some(WORD),
        's' => Some(SPACE),
        _ => None,
    };
    if let Some(class) = class {
        let negated = if escaped.is_ascii_uppercase() { "^" } else { "" };
        out.push_str(&format!("[{negated}{class}]"));
        return Ok(());
    }
    match escaped {
        'b' if in_class => out.push_str(r"\x08"),
        'v' => out.push_str(r"\x0B"),
        '0' if !rest.peek().is_some_and(char::is_ascii_digit) => out.push_str(r"\x00"),
        'c' => {
            let letter = rest.next().filter(char::is_ascii_alphabetic).ok_or(r"\c without a letter")?;
            out.push_str(&format!(r"\x{:02X}", letter as u32 % 32));
        }
        'k' | '0'..='9' => return Err("references to groups are not supported".to_owned()),
        'b' | 'B' | 'f' | 'n' | 'r' | 't' | 'p' | 'P' | 'u' | 'x' => out.extend(['\\', escaped]),
        _ if escaped.is_ascii_alphanumeric() => return Err(format!(r"\{escaped} is not an escape of JavaScript's")),
        // With a backslash, angle brackets are the edges of words in regex-syntax.
        _ if escaped.is_ascii_punctuation() && !matches!(escaped, '<' | '>') => out.extend(['\\', escaped]),
        _ => out.push(escaped),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_javascript_is_written_out() {
        let same = |pattern: &str| assert_eq!(write(pattern).as_deref(), Ok(pattern));
        let becomes = |pattern: &str, other: &str| assert_eq!(write(pattern).as_deref(), Ok(other));
        same(r"^(?:a|b)+\.[a-z0-9^-]{2,5}\/\u0041\u{1F600}\p{L}\x41$");
        becomes(".", NO_LINE_BREAK);
        becomes(r"[.]\.", r"[.]\.");
        becomes(r"\d\W[\w-]", "[0-9][^0-9A-Za-z_][[0-9A-Za-z_]-]");
        becomes(r"[^<>()[\]&&~~+--]", r"[^<>()\[\]\&\&\~\~+-\-]");
        becomes(r"[\b]\v\0\cJ", r"[\x08]\x0B\x00\x0A");
        becomes("[^]|[]", r"(?s:.)|[^\x00-\x{10FFFF}]");
        becomes(r"\é\-\<", r"é\-<");
    }

    #[test]
    fn what_javascript_does_not_have_is_refused() {
        for pattern in [r"\", r"(a)\1", r"\k<a>", r"\A", r"\z", r"\Qa", r"\00", r"\c1"] {
            assert!(write(pattern).is_err(), "{pattern}");
        }
        let error = translate("^(?=a)b$").unwrap_err();
        assert!(error.starts_with("the regular expression is not supported: look-around"), "{error}");
    }
}
