// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Guesses from the text itself: where its last tokens occurred before, the same ones may follow again.

/// Number of last tokens that must have occurred before, and number beyond which more of them make no difference.
const SHORTEST: usize = 2;
const LONGEST: usize = 16;

/// What is being copied.
#[derive(Debug, Default)]
pub struct Lookup {
    /// Where the last guesses were found.
    start: usize,
    /// Where the copy goes on if the token behind the right guesses took the place of one.
    next: Option<usize>,
}

impl Lookup {
    /// Guesses at most `most` tokens: what followed where most of the last ones occurred before, or else what follows behind a
    /// guess that was wrong.
    pub fn guess(&mut self, text: &[u32], most: usize) -> Vec<u32> {
        let start = find(text).or(self.next.take()).unwrap_or(text.len());
        self.start = start;
        text.get(start..text.len().min(start + most)).unwrap_or_default().to_vec()
    }

    /// Takes note of how many guesses were right.
    pub fn learn(&mut self, guesses: usize, right: usize) {
        self.next = (right < guesses).then_some(self.start + right + 1);
    }
}

/// Returns the position behind the longest earlier occurrence of the last tokens; of several, the last one counts.
fn find(text: &[u32]) -> Option<usize> {
    let (last, before) = text.split_last()?;
    let (mut length, mut found) = (SHORTEST - 1, None);
    for (end, token) in before.iter().enumerate().rev() {
        if token != last {
            continue;
        }
        let earlier = before.get(..=end).unwrap_or_default().iter().rev();
        let same = earlier.zip(text.iter().rev()).take(LONGEST).take_while(|(a, b)| a == b).count();
        if same > length {
            (length, found) = (same, Some(end + 1));
        }
        if length == LONGEST {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::Lookup;

    const NOTHING: [u32; 0] = [];

    fn guess(text: &[u32], most: usize) -> Vec<u32> {
        Lookup::default().guess(text, most)
    }

    #[test]
    fn what_followed_the_longest_and_then_the_last_match_is_guessed() {
        assert_eq!(guess(&[1, 2, 3, 4, 5, 9, 1, 2, 3], 2), [4, 5]);
        assert_eq!(guess(&[1, 2, 3, 4, 7, 2, 3, 5, 1, 2, 3], 1), [4]);
        assert_eq!(guess(&[2, 3, 4, 2, 3, 5, 2, 3], 1), [5]);
        assert_eq!(guess(&[8, 8, 8, 8], 3), [8]);
        assert_eq!(guess(&[1, 2, 3, 1], 3), NOTHING, "one token is not enough");
        assert_eq!(guess(&[1, 2, 3], 3), NOTHING);
        assert_eq!(guess(&[], 3), NOTHING);
    }

    #[test]
    fn a_copy_goes_on_behind_a_token_that_was_replaced() {
        let mut lookup = Lookup::default();
        let mut text = vec![1, 2, 3, 4, 5, 9, 1, 2];
        assert_eq!(lookup.guess(&text, 2), [3, 4]);
        lookup.learn(2, 0);
        text.push(7);
        assert_eq!(lookup.guess(&text, 2), [4, 5]);
        text.extend([4, 8]);
        lookup.learn(2, 1);
        assert_eq!(lookup.guess(&text, 2), [9, 1]);
        lookup.learn(2, 2);
        text.extend([9, 1, 6]);
        assert_eq!(lookup.guess(&text, 2), NOTHING);
    }
}
