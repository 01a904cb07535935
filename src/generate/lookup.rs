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
    place: Place,
    /// Where the copy goes on if the token behind the right guesses took the place of one.
    next: Option<Place>,
}

/// A place in the text, and how much speaks for it: a number of tokens.
#[derive(Debug, Default, Clone, Copy)]
struct Place {
    start: usize,
    strength: usize,
}

impl Lookup {
    /// Guesses at most `most` tokens: what followed where most of the last ones occurred before, or what follows behind a guess
    /// that was wrong, if more speaks for that.
    pub fn guess(&mut self, text: &[u32], most: usize) -> Vec<u32> {
        let found = find(text);
        self.place = self.next.take().filter(|next| next.strength > found.strength).unwrap_or(found);
        let Place { start, .. } = self.place;
        text.get(start..text.len().min(start + most)).unwrap_or_default().to_vec()
    }

    /// Takes note of how many guesses were right.
    pub fn learn(&mut self, guesses: usize, right: usize) {
        let Place { start, strength } = self.place;
        let next = Place { start: start + right + 1, strength: (strength + right).min(LONGEST) / 2 };
        self.next = (right < guesses).then_some(next);
    }
}

/// Returns the place behind the longest earlier occurrence of the last tokens; of several, the last one counts. Without one,
/// it is the end of the text.
fn find(text: &[u32]) -> Place {
    let mut found = Place { start: text.len(), strength: 0 };
    let Some((last, before)) = text.split_last() else { return found };
    for (end, token) in before.iter().enumerate().rev() {
        if token != last {
            continue;
        }
        let earlier = before.get(..=end).unwrap_or_default().iter().rev();
        let same = earlier.zip(text.iter().rev()).take(LONGEST).take_while(|(a, b)| a == b).count();
        if same >= SHORTEST && same > found.strength {
            found = Place { start: end + 1, strength: same };
        }
        if same == LONGEST {
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
        let mut text = vec![1, 2, 3, 4, 5, 6, 7, 9, 7, 5, 9, 1, 2, 3, 4];
        assert_eq!(lookup.guess(&text, 3), [5, 6, 7]);
        lookup.learn(3, 2);
        // 7 was expected; the pair of 6 and 8 is new, that of 8 and 7 as well
        text.extend([5, 6, 8]);
        assert_eq!(lookup.guess(&text, 3), [9, 7, 5]);
        lookup.learn(3, 3);
        text.extend([9, 7, 5, 1]);
        assert_eq!(lookup.guess(&text, 3), NOTHING);
    }

    #[test]
    fn a_long_copy_goes_on_although_its_last_tokens_occurred_elsewhere() {
        let mut lookup = Lookup::default();
        let mut text: Vec<u32> = [20, 21, 30].into_iter().chain(1..=12).chain([20, 40, 41]).chain(1..=12).collect();
        assert_eq!(lookup.guess(&text, 2), [20, 40]);
        lookup.learn(2, 1);
        // 21 takes the place of 40: 30 followed where the pair was, but the copy is longer
        text.extend([20, 21]);
        assert_eq!(lookup.guess(&text, 2), [41, 1]);
    }
}
