// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Writes a grammar in Lark.

use serde_json::Value;

use crate::{
    error::Result,
    grammar::schema::{self, Problem, Suspect},
    tokenizer::Tokenizer,
};

/// Text that stands in a call, or before it, as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text {
    pub min: usize,
    pub max: Option<usize>,
    /// A regular expression in Rust's syntax that matches the whole text.
    pub pattern: Option<String>,
    /// Whether the text has no line of its own: readers drop the line breaks around one that has.
    pub is_inline: bool,
    /// What it may not contain.
    pub without: Vec<&'static str>,
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Control(u32),
}

/// A grammar being written. What the methods return stands for what they describe within a rule.
pub struct Writer<'a> {
    tokenizer: &'a Tokenizer,
    rules: String,
    count: usize,
    /// What no string may contain.
    tags: Vec<&'static str>,
}

impl<'a> Writer<'a> {
    /// `tags`: what no string may contain.
    pub fn new(tokenizer: &'a Tokenizer, tags: Vec<&'static str>) -> Self {
        Self { tokenizer, rules: String::new(), count: 0, tags }
    }

    pub fn tags(&self) -> &[&'static str] {
        &self.tags
    }

    /// Ends the grammar, with the rule that the answer follows.
    pub fn finish(self, start: &str) -> String {
        format!("start: {start}\n{}", self.rules)
    }

    /// A text as it is, with its control tokens.
    pub fn literal(&self, text: &str) -> Result<String> {
        Ok(parts_of(self.tokenizer, text)?.into_iter().map(written).collect::<Vec<_>>().join(" "))
    }

    /// Text, and then a tag, which may be empty.
    pub fn text(&mut self, text: &Text, tag: &str) -> Result<String> {
        let parts = parts_of(self.tokenizer, tag)?;
        let Some((Part::Text(first), rest)) = parts.split_first() else {
            // A terminal is never empty.
            let is_optional = text.min == 0 && text.pattern.is_none();
            let name = self.terminal(&Self::matching(&Text { min: text.min.max(1), ..text.clone() }));
            let rest = parts.into_iter().map(written).collect::<Vec<_>>().join(" ");
            return Ok(format!("{name}{} {rest}", if is_optional { "?" } else { "" }));
        };
        // One terminal, as that of the text alone would take the start of the tag for its own.
        let text = self.terminal(&Self::matching(text));
        let name = self.terminal(&format!("{text} {}", quoted(first)));
        let rest = rest.iter().copied().map(written).collect::<Vec<_>>().join(" ");
        Ok(format!("{name} {rest}"))
    }

    /// A rule of its own.
    pub fn rule(&mut self, body: &str) -> String {
        self.count += 1;
        let name = format!("r{}", self.count);
        self.rules += &format!("{name}: {body}\n");
        name
    }

    /// JSON that follows a prepared schema.
    pub fn json(&mut self, schema: &Value) -> String {
        self.rule(&format!("%json {schema}"))
    }

    /// Whether a text begins with a control token.
    pub fn begins_with_control(&self, text: &str) -> Result<bool> {
        Ok(matches!(parts_of(self.tokenizer, text)?.first(), Some(Part::Control(_))))
    }

    fn terminal(&mut self, body: &str) -> String {
        self.count += 1;
        let name = format!("T{}", self.count);
        self.rules += &format!("{name}: {body}\n");
        name
    }

    fn matching(text: &Text) -> String {
        let max = text.max.map_or_else(String::new, |max| max.to_string());
        let mut all = vec![format!("/(?s:.){{{},{max}}}/", text.min)];
        all.extend(text.pattern.as_ref().map(|pattern| format!("/{}/", llguidance::regex_to_lark(pattern, ""))));
        if !text.without.is_empty() {
            let tags: Vec<String> = text.without.iter().map(|tag| escaped(tag)).collect();
            all.push(format!("~/(?s:.*)({})(?s:.*)/", tags.join("|")));
        }
        if text.is_inline {
            all.push(r"~/\n(?s:.*)\n/".to_owned());
        }
        all.join(" & ")
    }
}

/// Alternatives of which one follows.
pub fn one_of(all: &[String]) -> String {
    match all {
        [one] => one.clone(),
        all => format!("({})", all.join(" | ")),
    }
}

/// Divides a text at its control tokens.
fn parts_of<'t>(tokenizer: &Tokenizer, text: &'t str) -> Result<Vec<Part<'t>>> {
    let is_text = |part: &Part| !matches!(part, Part::Text(""));
    let parts = tokenizer.control_tokens()?.split(text).into_iter().map(|(part, is_control)| {
        let token = tokenizer.token_to_id(part).filter(|_| is_control);
        token.map_or(Part::Text(part), Part::Control)
    });
    Ok(parts.filter(is_text).collect())
}

fn written(part: Part) -> String {
    match part {
        Part::Text(text) => quoted(text),
        Part::Control(id) => format!("<[{id}]>"),
    }
}

/// A string of Lark's, which are JSON's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\x7f', "\\u007f")
}

fn escaped(text: &str) -> String {
    let is_meta = |c: char| c.is_ascii_punctuation() && !matches!(c, '<' | '>');
    text.chars().flat_map(|c| is_meta(c).then_some('\\').into_iter().chain([c])).collect()
}

/// A regular expression that matches what contains a match of another one, in Rust's syntax; JSON schemas have such patterns.
pub fn search(pattern: &str) -> String {
    let alternatives = alternatives(pattern).into_iter().map(|part| {
        let (part, from) = part.strip_prefix('^').map_or((part, "(?s:.*)"), |part| (part, ""));
        let is_escaped = |text: &str| (text.len() - text.trim_end_matches('\\').len()) % 2 == 1;
        match part.strip_suffix('$').filter(|part| !is_escaped(part)) {
            Some(part) => format!("{from}(?:{part})"),
            None => format!("{from}(?:{part})(?s:.*)"),
        }
    });
    alternatives.collect::<Vec<_>>().join("|")
}

/// Splits a regular expression at the bars that are not in a group or a class.
fn alternatives(pattern: &str) -> Vec<&str> {
    let (mut all, mut from, mut is_escaped) = (Vec::new(), 0, false);
    // Classes may be nested, and a bracket within is none.
    let (mut groups, mut classes) = (0_usize, 0_usize);
    for (at, c) in pattern.char_indices() {
        match c {
            _ if std::mem::take(&mut is_escaped) => {}
            '\\' => is_escaped = true,
            '[' => classes += 1,
            ']' => classes = classes.saturating_sub(1),
            _ if classes > 0 => {}
            '(' => groups += 1,
            ')' => groups = groups.saturating_sub(1),
            '|' if groups == 0 => {
                all.push(pattern.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
    }
    all.push(pattern.get(from..).unwrap_or_default());
    all
}

/// Prepares the schema of a value within a call, at a place in the tools.
///
/// # Errors
/// For what llguidance would take and not hold.
pub fn prepared(schema: Value, suspects: &mut Vec<Suspect>, path: &str) -> Result<Value, Problem> {
    let within = |problem: Problem| Problem { path: format!("{path}{}", problem.path), ..problem };
    let (schema, found) = schema::prepare(schema::without_exponents(schema)).map_err(within)?;
    suspects.extend(found.into_iter().map(|Suspect { problem, clue }| Suspect { problem: within(problem), clue }));
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_anywhere_unless_it_has_anchors() {
        assert_eq!(search("a"), "(?s:.*)(?:a)(?s:.*)");
        assert_eq!(search("^a|b$|^(c|d)$"), "(?:a)(?s:.*)|(?s:.*)(?:b)|(?:(c|d))");
        assert_eq!(search(r"^[|(]\|\$"), r"(?:[|(]\|\$)(?s:.*)");
    }
}
