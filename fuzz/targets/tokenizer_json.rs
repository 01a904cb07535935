// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! tokenizer.json and a text: every token stream gives what decoding gives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use node_mlx::tokenizer::Tokenizer;

fuzz_target!(|data: &[u8]| {
    let Some([definition, text]) = node_mlx_fuzz::parts(data) else { return };
    let folder = node_mlx_fuzz::model_with("tokenizer.json", definition.as_bytes());
    let Ok(tokenizer) = Tokenizer::from_dir(&folder) else { return };
    let Ok(ids) = tokenizer.encode(text, true) else { return };
    let Ok(whole) = tokenizer.decode(&ids, true) else { return };
    let mut detokenizer = tokenizer.detokenizer();
    let mut streamed: String = ids.iter().filter_map(|id| detokenizer.push(*id).ok()).collect();
    streamed.extend(detokenizer.finish());
    assert_eq!(streamed, whole);
});
