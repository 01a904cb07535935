// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Finds tags in text that comes in pieces.

/// The result of [`next_tag`]. Text before it belongs to no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<T> {
    /// A tag, its position, and what it leads to.
    Tag { at: usize, tag: &'static str, to: T },
    /// A suffix of the text that may be the start of a tag.
    Partial { at: usize },
    /// No tag.
    Nothing,
}

/// Finds the first of several tags, none of which is a prefix of another.
pub fn next_tag<T: Copy>(text: &str, tags: &[(&'static str, T)]) -> Found<T> {
    let is_first = |c: char| tags.iter().any(|(tag, _)| tag.starts_with(c));
    for (at, _) in text.match_indices(is_first) {
        let rest = text.get(at..).unwrap_or_default();
        for &(tag, to) in tags {
            if rest.starts_with(tag) {
                return Found::Tag { at, tag, to };
            }
            if tag.starts_with(rest) {
                return Found::Partial { at };
            }
        }
    }
    Found::Nothing
}

/// Returns the texts between two tags; each end tag is the first after its start tag.
pub fn between<'a>(mut text: &'a str, start: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    std::iter::from_fn(move || {
        let (inside, rest) = text.split_once(start)?.1.split_once(end)?;
        text = rest;
        Some(inside)
    })
}
