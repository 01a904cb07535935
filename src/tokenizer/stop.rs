// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Stop strings in streamed text.

use std::ops::Range;

/// The result of a piece of text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopOutcome {
    /// Text that is not, and cannot become, part of a stop string.
    pub emit: String,
    /// The stop string that ended the text; nothing after it is ever emitted.
    pub matched: Option<String>,
}

/// Finds stop strings, also across pieces.
#[derive(Debug, Clone)]
pub struct StopMatcher {
    stops: Vec<String>,
    held: String,
    /// Parts of what is held that are never emitted: special tokens.
    hidden: Vec<Range<usize>>,
    done: bool,
}

impl StopMatcher {
    /// Empty stop strings are ignored.
    pub fn new(mut stops: Vec<String>) -> Self {
        stops.retain(|stop| !stop.is_empty());
        Self { stops, held: String::new(), hidden: vec![], done: false }
    }

    /// Adds the next piece, of which the last `hidden` bytes count for stop strings but are never emitted.
    ///
    /// A match ends the text immediately, even if a longer stop string could follow. Of several matches in one piece the
    /// first wins, or the longest of those that start there.
    pub fn push(&mut self, piece: &str, hidden: usize) -> StopOutcome {
        if self.done {
            return StopOutcome::default();
        }
        self.held.push_str(piece);
        if hidden > 0 {
            self.hidden.push(self.held.len() - hidden..self.held.len());
        }
        if let Some((at, matched)) = self.first_match() {
            self.done = true;
            let emit = self.release(at);
            self.held.clear();
            self.hidden.clear();
            return StopOutcome { emit, matched: Some(matched) };
        }
        let keep_from = self.possible_start();
        StopOutcome { emit: self.release(keep_from), matched: None }
    }

    /// Takes what is held up to `end`, without the hidden parts.
    fn release(&mut self, end: usize) -> String {
        let rest = self.held.split_off(end);
        let mut released = std::mem::replace(&mut self.held, rest);
        for part in self.hidden.iter().rev().filter(|part| part.start < end) {
            released.replace_range(part.start..part.end.min(end), "");
        }
        self.hidden.retain_mut(|part| {
            *part = part.start.saturating_sub(end)..part.end.saturating_sub(end);
            part.start < part.end
        });
        released
    }

    /// Returns what was held back; no stop string reaches across this point.
    pub fn finish_part(&mut self) -> String {
        self.release(self.held.len())
    }

    /// Ends the text. Returns what was held back.
    pub fn finish(&mut self) -> String {
        self.done = true;
        self.finish_part()
    }

    fn first_match(&self) -> Option<(usize, String)> {
        self.stops
            .iter()
            .filter_map(|stop| Some((self.held.find(stop.as_str())?, stop.as_str())))
            .min_by_key(|(at, stop)| (*at, usize::MAX - stop.len()))
            .map(|(at, stop)| (at, stop.to_owned()))
    }

    /// Returns the start of the longest suffix that is a prefix of a stop string.
    fn possible_start(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest.saturating_sub(1));
        (from..self.held.len())
            .filter_map(|at| Some((at, self.held.get(at..)?)))
            .find(|(_, tail)| self.stops.iter().any(|stop| stop.starts_with(tail)))
            .map_or(self.held.len(), |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let mut matcher = StopMatcher::new(stops.iter().map(|s| (*s).to_owned()).collect());
        let mut text = String::new();
        for piece in pieces {
            let outcome = matcher.push(piece, 0);
            text.push_str(&outcome.emit);
            if outcome.matched.is_some() {
                assert_eq!(matcher.finish(), "");
                return (text, outcome.matched);
            }
        }
        text.push_str(&matcher.finish());
        (text, None)
    }

    #[test]
    fn a_stop_string_is_found_across_pieces() {
        let (text, matched) = run(&["</s>"], &["one <", "/", "s", "> two"]);
        assert_eq!((text.as_str(), matched.as_deref()), ("one ", Some("</s>")));
    }

    #[test]
    fn a_false_start_is_emitted() {
        assert_eq!(run(&["</s>"], &["a <", "/b"]), ("a </b".to_owned(), None));
        assert_eq!(run(&["</s>"], &["a </"]), ("a </".to_owned(), None));
        let (text, matched) = run(&["aab"], &["a", "a", "a", "b"]);
        assert_eq!((text.as_str(), matched.as_deref()), ("a", Some("aab")));
    }

    #[test]
    fn the_earliest_match_wins_and_then_the_longest() {
        let (text, matched) = run(&["cd", "bc", "bcd"], &["abcd"]);
        assert_eq!((text.as_str(), matched.as_deref()), ("a", Some("bcd")));
    }

    #[test]
    fn multi_byte_characters_are_never_split() {
        let (text, matched) = run(&["終わり"], &["これで終", "わ", "りです"]);
        assert_eq!((text.as_str(), matched.as_deref()), ("これで", Some("終わり")));
        // The two emoji share their first three bytes.
        assert_eq!(run(&["😀"], &["😁", "x"]), ("😁x".to_owned(), None));
    }

    #[test]
    fn text_that_cannot_match_is_not_held_back() {
        let mut matcher = StopMatcher::new(vec!["END".to_owned(), String::new()]);
        assert_eq!(matcher.push("hello E", 0).emit, "hello ");
        assert_eq!(matcher.push("N", 0).emit, "");
        assert_eq!(matcher.push("d", 0).emit, "ENd");
        assert_eq!(StopMatcher::new(vec![]).push("all", 0).emit, "all");
    }

    #[test]
    fn hidden_parts_count_for_stop_strings_and_are_not_emitted() {
        let mut matcher = StopMatcher::new(vec!["there<e>".to_owned(), "<e> an".to_owned()]);
        assert_eq!(matcher.push("Hi there", 0).emit, "Hi ");
        assert_eq!(matcher.push("<e>", 3), StopOutcome { emit: String::new(), matched: Some("there<e>".to_owned()) });
        let mut matcher = StopMatcher::new(vec!["<e> and".to_owned()]);
        let emitted: String = [("Hi<e>", 3), (" an", 0), ("<e>", 3), (" or", 0), (" a<e> and", 0)]
            .into_iter()
            .map(|(piece, hidden)| matcher.push(piece, hidden).emit)
            .collect();
        assert_eq!(emitted, "Hi an or a");
        let mut matcher = StopMatcher::new(vec!["<e>!".to_owned()]);
        assert_eq!((matcher.push("a<e>", 3).emit, matcher.finish()), ("a".to_owned(), String::new()));
    }
}
