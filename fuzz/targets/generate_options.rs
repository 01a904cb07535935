// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Any options that lib/options.ts lets through: the run keeps to them and gives tokens that the model has, or it is
//! refused by the name of an option.

#![no_main]

use std::{rc::Rc, sync::Arc, time::Instant};

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use mlx_rs::{Array, Dtype};
use node_mlx::{
    cache::Caches,
    error::{self, Error},
    generate::{Chunk, Event, FinishReason, Run},
    grammar::Grammars,
    mlx,
    models::{self, LoadedModel, Model},
    options::{Reasoning, RunOptions},
    session::{Prompt, encode_request},
    tokenizer::{ClassRule, Tokenizer, output::Piece},
};

const VOCABULARY: u32 = 288;
const EOS: u32 = 287;
/// A head's features: they can be quantized in groups of 32 and of 64.
const HEAD_DIM: i32 = 64;
/// Halves of floats have no more digits than this.
const TOLERANCE: f32 = 0.01;

/// A model that says the same whatever it reads.
struct Constant {
    /// (1, 1, vocabulary)
    logits: Array,
}

impl Model for Constant {
    fn hidden_states(&self, tokens: &Array, cache: &mut Caches) -> error::Result<Array> {
        let length = mlx::dim(tokens, 1);
        let zeros = |last| mlx_rs::ops::zeros::<f32>(&[1, length, last]);
        let heads = zeros(HEAD_DIM)?.reshape(&[1, 1, length, HEAD_DIM])?;
        for cache in cache {
            cache.update_and_fetch(&heads, &heads)?;
        }
        Ok(zeros(1)?)
    }

    fn logits(&self, _: &Array) -> error::Result<Array> {
        Ok(self.logits.clone())
    }

    fn num_layers(&self) -> usize {
        1
    }

    fn vocab_size(&self) -> i32 {
        VOCABULARY as i32
    }
}

/// Logits as they may be: all equal, all different, tied at the top, few possible, one possible.
const LOGITS: [fn(u32) -> f32; 5] = [
    |_| 0.0,
    |id| (id as f32 * 7.3) % 40.0 - 20.0,
    |id| if id % 100 == 65 { 9.5 } else { -3.0 },
    |id| if id % 50 == 33 { id as f32 / 30.0 } else { f32::NEG_INFINITY },
    |id| if id == 97 { 1.0 } else { f32::NEG_INFINITY },
];
const DTYPES: [Dtype; 3] = [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16];

thread_local! {
    static TOKENIZER: (Arc<Tokenizer>, Grammars) = tokenizer();
    /// One for each of [`LOGITS`] and [`DTYPES`].
    static MODELS: Vec<Rc<LoadedModel>> =
        LOGITS.iter().flat_map(|logits| DTYPES.map(|dtype| constant(*logits, dtype))).collect();
}

fn tokenizer() -> (Arc<Tokenizer>, Grammars) {
    let tokenizer = Arc::new(Tokenizer::from_dir(&node_mlx_fuzz::fixture("llama"), ClassRule::Named).unwrap());
    let grammars = Grammars::new(Arc::clone(&tokenizer), VOCABULARY as usize, vec![EOS]);
    (tokenizer, grammars)
}

fn constant(logits: fn(u32) -> f32, dtype: Dtype) -> Rc<LoadedModel> {
    let logits: Vec<f32> = (0..VOCABULARY).map(logits).collect();
    let logits = Array::from_slice(&logits, &[1, 1, VOCABULARY as i32]).as_dtype(dtype).unwrap();
    let mut loaded = models::load(&node_mlx_fuzz::fixture("llama"), None).unwrap();
    loaded.model = Box::new(Constant { logits });
    Rc::new(loaded)
}

fuzz_target!(init: node_mlx_fuzz::init(), |data: &[u8]| {
    let mut data = Unstructured::new(data);
    let Ok(which) = data.choose_index(LOGITS.len() * DTYPES.len()) else { return };
    let Ok((prompt, options)) = prompt(&mut data).and_then(|prompt| Ok((prompt, options(&mut data)?))) else { return };
    let model = MODELS.with(|models| Rc::clone(&models[which]));
    match run(model, LOGITS[which / DTYPES.len()], prompt, options) {
        Err(Error::InvalidArgValue { name, message }) => {
            assert!(["kvBits", "kvGroupSize", "reasoning"].contains(&name.as_str()), "{name}: {message}");
        }
        Err(error) => panic!("{error}"),
        Ok(()) => {}
    }
});

fn run(model: Rc<LoadedModel>, logits: fn(u32) -> f32, prompt: Prompt, options: RunOptions) -> error::Result<()> {
    let RunOptions { stop, logprobs: wanted, max_tokens, .. } = options.clone();
    let request = TOKENIZER.with(|(tokenizer, grammars)| {
        encode_request(tokenizer, grammars, prompt, options.clone(), 512, Instant::now())
    })?;
    let mut run = Run::new(model, None, request)?;
    let (mut tokens, mut text, mut ended) = (Vec::new(), String::new(), None);
    while ended.is_none() {
        run.advance(&mut |event| match event {
            Event::Prefill { .. } => {}
            Event::Chunk(chunk) => {
                if let Some(wanted) = wanted {
                    check_logprobs(&chunk, wanted);
                }
                tokens.extend(chunk.tokens);
                if let Piece::Text(part) = chunk.piece {
                    text += &part;
                }
            }
            Event::Done(summary) => ended = Some(summary),
        })?;
    }
    for token in &tokens {
        let possible = *token < VOCABULARY && logits(*token).is_finite();
        assert!(possible, "{token} by {options:?}");
    }
    assert!(!stop.iter().any(|stop| text.contains(stop)), "{text:?}");
    let summary = ended.unwrap();
    assert!(summary.completion_tokens <= max_tokens.unwrap_or_default());
    if summary.finish_reason == FinishReason::Stop && summary.stop_string.is_none() {
        assert!(logits(EOS).is_finite(), "the end by {options:?}");
    }
    Ok(())
}

fn check_logprobs(chunk: &Chunk, wanted: i32) {
    assert_eq!(chunk.logprobs.len(), chunk.tokens.len());
    for (token, of_token) in chunk.tokens.iter().zip(&chunk.logprobs) {
        assert!(of_token.token <= TOLERANCE && of_token.token.is_finite());
        assert_eq!(of_token.top.len(), wanted as usize);
        assert!(of_token.top.iter().all(|(id, _)| *id < VOCABULARY));
        assert!(of_token.top.is_sorted_by(|(_, better), (_, worse)| better >= worse));
        let same = of_token.top.iter().find(|(id, _)| id == token);
        assert!(same.is_none_or(|(_, logprob)| *logprob == of_token.token));
    }
}

/// A template needs a thread, which takes longer than everything else.
fn prompt(data: &mut Unstructured) -> Result<Prompt> {
    let text = text(data)?;
    Ok(if data.ratio(1, 16)? { Prompt::Text(text) } else { Prompt::Raw(text) })
}

/// What lib/options.ts lets through.
fn options(data: &mut Unstructured) -> Result<RunOptions> {
    let defaults = RunOptions::default();
    Ok(RunOptions {
        reasoning: optional(data, reasoning)?,
        max_tokens: Some(data.int_in_range(1..=2)?),
        temperature: number(data, 0.0, f64::MAX)?,
        top_p: number(data, 0.0, 1.0)?,
        top_k: integer(data, 0, i32::MAX)?,
        min_p: number(data, 0.0, 1.0)?,
        min_tokens_to_keep: integer(data, 1, i32::MAX)?.unwrap_or(defaults.min_tokens_to_keep),
        xtc_probability: number(data, 0.0, 1.0)?.unwrap_or(defaults.xtc_probability),
        xtc_threshold: number(data, 0.0, 0.5)?.unwrap_or(defaults.xtc_threshold),
        repetition_penalty: number(data, 0.01, 100.0)?,
        repetition_context_size: integer(data, 0, i32::MAX)?,
        presence_penalty: number(data, -100.0, 100.0)?.unwrap_or(defaults.presence_penalty),
        presence_context_size: integer(data, 0, i32::MAX)?.unwrap_or(defaults.presence_context_size),
        frequency_penalty: number(data, -100.0, 100.0)?.unwrap_or(defaults.frequency_penalty),
        frequency_context_size: integer(data, 0, i32::MAX)?.unwrap_or(defaults.frequency_context_size),
        logit_bias: optional(data, logit_bias)?.unwrap_or_default(),
        seed: optional(data, |data| data.int_in_range(0..=(1 << 53) - 1))?,
        stop: optional(data, |data| (0..data.int_in_range(0..=3)?).map(|_| text(data)).collect())?.unwrap_or_default(),
        ignore_eos: data.arbitrary()?,
        prefill_step_size: integer(data, 1, i32::MAX)?.map_or(defaults.prefill_step_size, |tokens| Some(tokens as usize)),
        max_kv_size: integer(data, 8, i32::MAX)?,
        kv_bits: optional(data, |data| data.choose(&[2, 3, 4, 5, 6, 8]).copied())?,
        kv_group_size: *data.choose(&[32, 64, 128])?,
        quantized_kv_start: integer(data, 0, i32::MAX)?.unwrap_or(defaults.quantized_kv_start),
        logprobs: integer(data, 0, 20)?,
        sanitize_control_tokens: data.arbitrary()?,
        ..defaults
    })
}

fn reasoning(data: &mut Unstructured) -> Result<Reasoning> {
    let budget = integer(data, 0, i32::MAX)?.map(|tokens| Reasoning::Budget { budget: tokens as usize });
    budget.map_or_else(|| data.arbitrary().map(Reasoning::Switch), Ok)
}

fn optional<'a, T>(
    data: &mut Unstructured<'a>,
    value: impl FnOnce(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Option<T>> {
    if data.arbitrary()? { value(data).map(Some) } else { Ok(None) }
}

/// A few ASCII characters, at least one.
fn text(data: &mut Unstructured) -> Result<String> {
    (0..data.int_in_range(1..=4)?).map(|_| data.int_in_range(b'!'..=b'~').map(char::from)).collect()
}

/// Often an end of the range.
fn integer(data: &mut Unstructured, min: i32, max: i32) -> Result<Option<i32>> {
    optional(data, |data| match data.int_in_range(0..=3)? {
        0 => Ok(min),
        1 => Ok(max),
        2 => data.int_in_range(min..=max.min(min.saturating_add(300))),
        _ => data.int_in_range(min..=max),
    })
}

/// Often an end of the range; any number in it, the smallest of all as well.
fn number(data: &mut Unstructured, min: f64, max: f64) -> Result<Option<f32>> {
    let number = optional(data, |data| match data.int_in_range(0..=3)? {
        0 => Ok(min),
        1 => Ok(max),
        2 => Ok(min + (max.min(4.0) - min) * f64::from(data.arbitrary::<u16>()?) / f64::from(u16::MAX)),
        _ => Ok(Some(data.arbitrary()?).filter(|any| (min..=max).contains(any)).unwrap_or(min)),
    })?;
    Ok(number.map(|number| number as f32))
}

/// Each id once.
fn logit_bias(data: &mut Unstructured) -> Result<Vec<(u32, f32)>> {
    let mut biases: Vec<(u32, f32)> = Vec::new();
    for _ in 0..data.int_in_range(0..=4)? {
        let (id, bias) = (data.int_in_range(0..=VOCABULARY - 1)?, number(data, -100.0, 100.0)?.unwrap_or(0.0));
        if biases.iter().all(|(other, _)| *other != id) {
            biases.push((id, bias));
        }
    }
    Ok(biases)
}
