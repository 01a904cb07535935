// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

use super::*;
use crate::tokenizer::{
    Tokenizer,
    output::tests::joined,
    tests::{
        Numbers,
        splits::{Kind, TEXTS, ids, kept, kinds, parse, parser, stop_of},
        texts::{DIALECTS, Dialect},
    },
};

#[test]
fn a_streamed_answer_equals_its_text_parsed_as_a_whole() {
    let mut numbers = Numbers(5);
    for (index, Kind { name, tokenizer, .. }) in kinds().iter().take(3).enumerate() {
        for text in TEXTS.iter() {
            let ids = ids(tokenizer, text);
            for dialect in &DIALECTS {
                let whole = kept(tokenizer, &ids, dialect);
                let stop = stop_of(&whole, &mut numbers).filter(|_| numbers.below(3) == 0);
                assert_answer(name, tokenizer, dialect, &ids, stop);
            }
            for end in 0..if index == 0 { ids.len() } else { 0 } {
                assert_answer(name, tokenizer, &DIALECTS[text.dialect], &ids[..end], None);
            }
        }
    }
}

fn assert_answer(name: &str, tokenizer: &Tokenizer, dialect: &Dialect, ids: &[u32], stop: Option<String>) {
    let text = kept(tokenizer, ids, dialect);
    let end = stop.as_ref().and_then(|stop| text.find(stop));
    let expected = trimmed(parse(dialect, [&text[..end.unwrap_or(text.len())]]));

    let stop = Vec::from_iter(stop);
    let detokenizer = tokenizer.detokenizer();
    let mut answer = Answer::new(detokenizer, stop.clone(), Some(parser(dialect)));
    let (mut pieces, mut tokens) = (vec![], vec![]);
    let mut emit = |chunk: Chunk| {
        pieces.push(chunk.piece);
        tokens.extend(chunk.tokens);
    };
    let mut taken = 0;
    let mut matched = None;
    for &token in ids {
        taken += 1;
        matched = answer.push(Step { token, logprobs: None }, &mut emit).unwrap();
        if matched.is_some() {
            break;
        }
    }
    if matched.is_none() {
        matched = answer.finish(&mut emit).unwrap();
    }
    let context = format!("{name}, {:?}, {stop:?}: {text:?}", dialect.format);
    assert_eq!(matched.is_some(), end.is_some(), "{context}");
    assert_eq!(tokens, ids[..taken], "{context}");
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    assert_eq!(joined(pieces), expected, "{context}");
}

/// Removes the line breaks around reasoning.
fn trimmed(pieces: Vec<Piece>) -> Vec<Piece> {
    let is_reasoning = |piece: Option<&Piece>| matches!(piece, Some(Piece::Reasoning(_)));
    let without = |text: &str| text.trim_start_matches('\n').to_owned();
    let trim = |(index, piece): (usize, &Piece)| {
        let after_reasoning = is_reasoning(index.checked_sub(1).and_then(|before| pieces.get(before)));
        match piece {
            Piece::Reasoning(text) => Piece::Reasoning(without(text.trim_end_matches('\n'))),
            Piece::Text(text) if after_reasoning => Piece::Text(without(text)),
            piece => piece.clone(),
        }
    };
    let trimmed = pieces.iter().enumerate().map(trim);
    joined(trimmed.filter(|piece| !matches!(piece, Piece::Text(text) | Piece::Reasoning(text) if text.is_empty())))
}
