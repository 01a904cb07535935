// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A chat template, messages and tools: a prompt or a typed error, soon.

#![no_main]

use libfuzzer_sys::fuzz_target;
use node_mlx::tokenizer::{TemplateOptions, Tokenizer};

fuzz_target!(|data: &[u8]| {
    let Some([template, messages, tools]) = node_mlx_fuzz::parts(data) else { return };
    let Ok(messages) = serde_json::from_str(messages) else { return };
    let folder = node_mlx_fuzz::model_with("chat_template.jinja", template.as_bytes());
    let Ok(tokenizer) = Tokenizer::from_dir(&folder) else { return };
    let tools = serde_json::from_str(tools).ok();
    let options = TemplateOptions { add_generation_prompt: true, tools, ..TemplateOptions::default() };
    drop(tokenizer.apply_chat_template(&messages, &options));
});
