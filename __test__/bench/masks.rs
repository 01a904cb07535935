// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What grammars cost on the CPU, without a model: the setup for a tokenizer, the time from a schema to its first mask, the
//! longest of all schemas, and the times from a drawn token to the next mask. Tokens are drawn at random among those
//! allowed, which leads to more different masks than a model's choice. `hidden` is the speed with masks over that without
//! where a pass takes STEP milliseconds, and masks are made meanwhile. One line of JSON, in milliseconds.
//!
//! usage: masks FOLDER [VALUES [STEP]]

#![allow(clippy::print_stdout, reason = "a program")]

use std::{error::Error, path::PathBuf, sync::Arc, time::Instant};

use node_mlx::{
    grammar::{Grammars, Mask, Matcher, Source},
    models::{check_folder, tokenizer_class},
    tokenizer::Tokenizer,
};
use serde_json::{Value, json};

const MAX_TOKENS: usize = 400;
/// As many as Qwen3 has; there are fewer tokens.
const LOGITS: usize = 151_936;

fn schemas() -> Vec<Value> {
    let person = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 40 },
            "age": { "type": "integer", "minimum": 0, "maximum": 150 },
            "email": { "type": "string", "format": "email" },
            "born": { "type": "string", "format": "date-time" },
            "role": { "enum": ["admin", "user", "guest"] },
            "home": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/place" }] },
        },
        "required": ["name", "age", "email", "born", "role", "home"],
        "$defs": {
            "place": {
                "type": "object",
                "properties": { "city": { "type": "string" }, "position": { "$ref": "#/$defs/point" } },
                "required": ["city", "position"],
            },
            "point": { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 },
        },
    });
    let words: Vec<_> = (0..500).map(|n| format!("word {}", n * 7919 % 1000)).collect();
    vec![
        json!({}),
        person,
        json!({ "type": "array", "items": { "type": "string" }, "minItems": 10 }),
        json!({ "type": "array", "items": { "type": "string", "maxLength": 200 }, "minItems": 3 }),
        json!({ "type": "array", "items": { "enum": words }, "minItems": 20 }),
        json!({ "type": "array", "items": { "type": "string", "pattern": r"^[A-Z]\w+( \w+){2,8}\.$" }, "minItems": 5 }),
        json!({ "type": "object", "additionalProperties": { "type": "number" }, "minProperties": 1 }),
    ]
}

/// What a run does between two passes: the logits' addends are made where the mask has changed.
struct Answer {
    matcher: Matcher,
    last: Option<(Mask, Vec<f32>)>,
}

impl Answer {
    fn next(&mut self, size: usize) -> Result<(), Box<dyn Error>> {
        self.matcher.force(usize::MAX)?;
        if self.matcher.is_done() {
            return Ok(());
        }
        let mask = self.matcher.mask()?;
        if self.last.as_ref().is_none_or(|(last, _)| *last != mask) {
            let addends = mask.choose(size, 0.0, f32::NEG_INFINITY);
            self.last = Some((mask, addends));
        }
        Ok(())
    }
}

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    /// A quote that may come does so often, so that strings end.
    fn draw(&mut self, mask: &Mask, size: usize, quote: u32) -> Option<u32> {
        if mask.allows(quote) && self.below(8) == 0 {
            return Some(quote);
        }
        let ids = || (0..size as u32).filter(|id| mask.allows(*id));
        ids().nth(self.below(ids().count()))
    }
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("usage: masks FOLDER [VALUES [STEP]]")?);
    let values: usize = args.next().map_or(Ok(20), |values| values.parse())?;
    let step: f64 = args.next().map_or(Ok(3.0), |step| step.parse())?;
    let tokenizer = Arc::new(Tokenizer::from_dir(&folder, tokenizer_class(&check_folder(&folder)?)?)?);
    let quote = *tokenizer.encode("\"", false)?.first().ok_or("no token for a quote")?;
    let eos: Vec<u32> = tokenizer.eos_token_id().into_iter().collect();
    let size = LOGITS.max(tokenizer.largest_id().max(tokenizer.largest_added_id()) as usize + 1);
    let grammars = Grammars::new(Arc::clone(&tokenizer), size, eos.clone());

    let start = Instant::now();
    grammars.compile(Source::Regex("a".to_owned()))?;
    let setup = ms(start);

    let (mut first, mut times, mut numbers) = (0.0_f64, Vec::new(), Numbers(1));
    for schema in schemas() {
        for _ in 0..values {
            let start = Instant::now();
            let mut answer = Answer { matcher: grammars.compile(Source::Schema(schema.clone()))?, last: None };
            answer.next(size)?;
            first = first.max(ms(start));
            for _ in 0..MAX_TOKENS {
                let mask = answer.last.as_ref().map(|(mask, _)| mask).filter(|_| !answer.matcher.is_done());
                let token = mask.and_then(|mask| numbers.draw(mask, size, quote)).filter(|token| !eos.contains(token));
                let Some(token) = token else { break };
                let start = Instant::now();
                answer.matcher.accept(token)?;
                answer.next(size)?;
                times.push(ms(start));
            }
        }
    }
    times.sort_by(f64::total_cmp);
    let tokens = times.len();
    let mean = times.iter().sum::<f64>() / tokens as f64;
    let p99 = times.get(tokens * 99 / 100).copied().unwrap_or(f64::NAN);
    let with: f64 = times.iter().map(|time| time.max(step)).sum();
    println!(
        "{}",
        json!({
            "vocabulary": size, "tokens": tokens, "setup": setup, "first": first, "mean": mean, "p99": p99,
            "max": times.last(), "step": step, "hidden": step * tokens as f64 / with,
        })
    );
    Ok(())
}
