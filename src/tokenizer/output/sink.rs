// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Collects pieces and numbers calls.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::Piece;
use super::tools::Call;

/// Mistral's chat templates only accept ids of nine letters and digits.
const ID_LENGTH: u32 = 9;

#[derive(Debug, Default)]
pub struct Sink {
    pieces: Vec<Piece>,
    calls: usize,
    random: RandomState,
}

impl Sink {
    pub fn text(&mut self, text: &str) {
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
    pub fn delta(&mut self, ahead: usize, name: Option<String>, arguments: String) {
        let index = self.calls + ahead;
        self.pieces.push(Piece::ToolCallDelta { index, name, arguments });
    }

    pub fn call(&mut self, Call { id, name, arguments }: Call) {
        let id = id.unwrap_or_else(|| self.random_id());
        self.pieces.push(Piece::ToolCall { index: self.calls, id, name, arguments: arguments.into() });
        self.calls += 1;
    }

    pub fn take(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.pieces)
    }

    fn random_id(&self) -> String {
        let bits = self.random.hash_one(self.calls);
        let digit = |place: u32| char::from_digit((bits / 36_u64.pow(place) % 36) as u32, 36);
        (0..ID_LENGTH).filter_map(digit).collect()
    }
}
