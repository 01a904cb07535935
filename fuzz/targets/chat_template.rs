// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A chat template, messages and tools: a prompt or a typed error, soon.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use node_mlx::{
    error::Error,
    limits::text_time,
    tokenizer::{TemplateOptions, chat_template},
};
use serde_json::{Map, Value};

/// What a rendering may create, whatever it is given.
const MAX_BYTES: usize = 64 << 20;
const MAX_BYTES_PER_INPUT: usize = 1 << 10;

fuzz_target!(init: node_mlx_fuzz::init(), |data: &[u8]| {
    let Some([template, messages, tools]) = node_mlx_fuzz::parts(data) else { return };
    let Ok(messages) = serde_json::from_str(messages) else { return };
    let tools = serde_json::from_str(tools).ok();
    let options = TemplateOptions { add_generation_prompt: true, tools, ..TemplateOptions::default() };
    let tokens = ["bos_token", "eos_token"].map(|name| (name.to_owned(), Value::from(name)));
    let start = Instant::now();
    let rendered = chat_template::apply(template, &messages, Map::from_iter(tokens), &options);
    // One step more, and parsing.
    assert!(start.elapsed() < text_time(data.len()) + Duration::from_secs(2), "{:?}", start.elapsed());
    match rendered {
        Ok(prompt) => assert!(prompt.len() <= MAX_BYTES + data.len() * MAX_BYTES_PER_INPUT),
        Err(Error::ChatTemplate { .. } | Error::ChatTemplateLimit { .. }) => {}
        Err(error) => panic!("{error}"),
    }
});
