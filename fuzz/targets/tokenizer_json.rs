// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! tokenizer.json and a text: every id has a token, and every stream of them gives what decoding gives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use node_mlx::{
    error::Error,
    tokenizer::{ClassRule, Tokenizer},
};

fuzz_target!(init: node_mlx_fuzz::init(), |data: &[u8]| {
    let Some([definition, text]) = node_mlx_fuzz::parts(data) else { return };
    let folder = node_mlx_fuzz::folder_with("tokenizer.json", definition.as_bytes());
    let tokenizer = match Tokenizer::from_dir(folder, ClassRule::Named) {
        Ok(tokenizer) => tokenizer,
        Err(Error::TokenizerInvalid { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let largest = tokenizer.largest_id().max(tokenizer.largest_added_id());
    // What a post-processor adds may have no token: the model refuses such ids.
    for (special, known) in [(false, true), (true, false)] {
        let ids = match tokenizer.encode(text, special) {
            Ok(ids) => ids,
            Err(Error::TokenizeFailed { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        assert!(!known || ids.iter().all(|id| *id <= largest), "{ids:?}");
        for skip_special_tokens in [true, false] {
            drop(tokenizer.decode(&ids, skip_special_tokens));
        }
        let Ok(whole) = tokenizer.decode(&ids, true) else { return };
        let mut detokenizer = tokenizer.detokenizer();
        let mut streamed: String = ids.iter().map(|id| detokenizer.push(*id).unwrap()).collect();
        streamed += &detokenizer.finish().unwrap();
        assert_eq!(streamed, whole);
    }
});
