// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Finds tags in text that comes in pieces.

/// What [`next_tag`] came upon first. Text before it belongs to no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<T> {
    /// A tag, where it begins, and what it leads to.
    Tag { at: usize, tag: &'static str, to: T },
    /// The end of the text, which may be the beginning of a tag.
    Partial { at: usize },
    /// No tag.
    Nothing,
}

/// Looks for the first of some tags, of which none is the beginning of another.
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

/// What lies between two tags, again and again; the end tag is the first after the start tag.
pub fn between<'a>(mut text: &'a str, start: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    std::iter::from_fn(move || {
        let (inside, rest) = text.split_once(start)?.1.split_once(end)?;
        text = rest;
        Some(inside)
    })
}
