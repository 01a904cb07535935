// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Collects pieces and numbers calls.

use std::collections::{BTreeMap, hash_map::RandomState};
use std::hash::BuildHasher;

use super::Piece;
use super::tools::Call;

/// Mistral's chat templates only accept ids of nine letters and digits.
const ID_LENGTH: u32 = 9;

/// What is known of a call before its arguments.
#[derive(Debug)]
pub struct Head {
    /// The model's own, if it has written one by then.
    pub id: Option<String>,
    pub name: String,
}

#[derive(Debug, Default)]
pub struct Sink {
    pieces: Vec<Piece>,
    calls: usize,
    /// The ids of the calls that have begun, by their indexes.
    begun: BTreeMap<usize, String>,
    random: RandomState,
}

impl Sink {
    pub fn text(&mut self, text: &str) {
        // Calls that are malformed become text, so whatever begins later takes their indexes.
        self.begun.clear();
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    pub fn reasoning(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Reasoning(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Reasoning(text.to_owned())),
        }
    }

    /// `ahead`: the number of earlier calls in the same section.
    pub fn delta(&mut self, ahead: usize, head: Option<Head>, arguments: String) {
        let index = self.calls + ahead;
        let (id, name) = match head {
            Some(Head { id, name }) => (Some(id.unwrap_or_else(|| self.random_id(index))), Some(name)),
            None => (None, None),
        };
        self.begun.extend(id.clone().map(|id| (index, id)));
        self.pieces.push(Piece::ToolCallDelta { index, id, name, arguments });
    }

    pub fn call(&mut self, Call { id, name, arguments }: Call) {
        let begun = self.begun.remove(&self.calls);
        let id = begun.or(id).unwrap_or_else(|| self.random_id(self.calls));
        self.pieces.push(Piece::ToolCall { index: self.calls, id, name, arguments: arguments.into() });
        self.calls += 1;
    }

    pub fn take(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.pieces)
    }

    fn random_id(&self, index: usize) -> String {
        let bits = self.random.hash_one(index);
        let digit = |place: u32| char::from_digit((bits / 36_u64.pow(place) % 36) as u32, 36);
        (0..ID_LENGTH).filter_map(digit).collect()
    }
}
