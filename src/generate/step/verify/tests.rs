// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! With and without guesses, the tokens are the same: for the fixtures of all families, and every kind of cache.

use std::{fs, path::PathBuf, rc::Rc, time::Duration};

use super::*;
use crate::{
    models::{self, LoadedModel},
    options::{RunOptions, Speculative},
};

const TOKENS: usize = 32;

fn fixture(name: &str) -> Rc<LoadedModel> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("__test__/fixtures").join(name);
    Rc::new(models::load(&folder, None).unwrap())
}

/// All fixtures; on the CPU they compute in f32.
fn families() -> Vec<(String, Rc<LoadedModel>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("__test__/fixtures");
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.retain(|name| !name.contains("lora") && !name.contains("dora") && !name.ends_with(".json"));
    names.into_iter().map(|name| (name.clone(), fixture(&name))).collect()
}

/// A prompt that repeats itself in parts.
fn prompt(number: usize, vocabulary: usize) -> Vec<u32> {
    let token = |index: usize| ((number * 31 + index * index * 7 + index) % vocabulary) as u32;
    (0..3 + number % 20).map(|index| token(index % (4 + number % 7))).collect()
}

struct Outcome {
    tokens: Vec<u32>,
    /// Natural logarithms of the probabilities.
    logprobs: Vec<f32>,
    guesses: (usize, usize),
    kept: PromptCache,
    kept_of_draft: Option<PromptCache>,
}

fn run(model: &Rc<LoadedModel>, prompt: Vec<u32>, options: &RunOptions, draft: Option<&Rc<LoadedModel>>) -> Outcome {
    let mut options = options.clone();
    options.resolve(&model.info);
    options.logprobs = Some(0);
    let speculation = Speculation::new(&options, draft.cloned());
    let mut steps = Steps::new(Rc::clone(model), prompt, options).unwrap();
    if let Some(speculation) = speculation {
        steps.speculate(speculation);
    }
    let (mut tokens, mut logprobs) = (Vec::new(), Vec::new());
    while tokens.len() < TOKENS {
        while !steps.prefilled() {
            steps.limit(TOKENS - tokens.len());
            steps.prefill().unwrap();
        }
        let step = steps.next(tokens.len() + 1 == TOKENS).unwrap();
        tokens.push(step.token);
        logprobs.push(step.logprobs.unwrap().token);
    }
    let guesses = steps.guesses();
    let kept_of_draft = steps.take_draft_cache().unwrap();
    Outcome { tokens, logprobs, guesses, kept: steps.into_prompt_cache().unwrap(), kept_of_draft }
}

#[test]
fn guesses_do_not_change_the_tokens() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let (mut prompts, mut accepted, mut problems) = (0, 0, Vec::new());
    for (name, model) in families() {
        let wide_heads = name.contains("gqa") || name.contains("heads");
        let has_own_caches = model.model.make_cache().is_some();
        for number in 0..4 {
            let options = RunOptions {
                temperature: Some(if number % 2 == 0 { 0.0 } else { 1.0 }),
                top_p: Some(if number == 3 { 0.9 } else { 1.0 }),
                repetition_penalty: (number == 1).then_some(1.3),
                seed: Some(number as u64),
                max_kv_size: (number == 1 && !has_own_caches).then_some(16),
                kv_bits: (number > 1 && wide_heads).then_some(8),
                kv_group_size: 32,
                quantized_kv_start: if number == 2 { 0 } else { 20 },
                ..RunOptions::default()
            };
            let text = prompt(prompts, model.info.vocab_size);
            let plain = run(&model, text.clone(), &options, None);
            let of_text = RunOptions { speculative: Some(Speculative::PromptLookup), ..options.clone() };
            let of_model = RunOptions { speculative: Some(Speculative::Draft { tokens: 1 + number * 2 }), ..options };
            for (kind, options, draft) in [("text", of_text, None), ("model", of_model, Some(&model))] {
                let guessed = run(&model, text.clone(), &options, draft);
                let what = format!("{name}, prompt {number}, guesses of the {kind}");
                if let Some(at) = guessed.tokens.iter().zip(&plain.tokens).position(|(ours, theirs)| ours != theirs) {
                    problems.push(format!("{what}: another token at {at}"));
                }
                let apart =
                    guessed.logprobs.iter().zip(&plain.logprobs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                if apart > 0.01 {
                    problems.push(format!("{what}: log-probabilities {apart} apart"));
                }
                let kept = &guessed.kept;
                if kept.caches.iter().any(|cache| cache.offset() as usize != kept.tokens.len()) {
                    problems.push(format!("{what}: caches of another length than the text"));
                }
                accepted += guessed.guesses.1;
            }
            prompts += 1;
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(prompts >= 200 && accepted > 10 * prompts, "{prompts} prompts, {accepted} right guesses");
}

#[test]
fn a_draft_model_that_is_faster_than_expected_keeps_up_with_the_prompt() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let (model, draft) = (fixture("llama"), fixture("llama"));
    draft.pace.took(1, Duration::from_secs(10));
    let options = RunOptions { speculative: Some(Speculative::Draft { tokens: 2 }), ..RunOptions::default() };
    let text: Vec<u32> = (0..400).map(|index| index % 256).collect();
    let (drafted, accepted) = run(&model, text, &options, Some(&draft)).guesses;
    assert!(accepted > TOKENS / 2, "{accepted} of {drafted}");
}

#[test]
fn a_draft_model_reads_no_further_once_a_bounded_cache_is_full() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let model = fixture("llama");
    let speculative = Some(Speculative::Draft { tokens: 2 });
    let options = RunOptions { speculative, max_kv_size: Some(16), ..RunOptions::default() };
    let outcome = run(&model, (1..9).collect(), &options, Some(&model));
    let read = outcome.kept_of_draft.unwrap().tokens.len();
    assert!(outcome.guesses.1 > 0 && (8..=18).contains(&read), "{read} tokens read");
}
