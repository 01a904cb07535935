// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Compares with mlx-lm's results for fixed logits (tools/parity/samplers.py).

use mlx_rs::{Dtype, ops};
use serde_json::Value;

use super::*;
use crate::mlx;

fn goldens() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/__test__/fixtures/samplers.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().into_iter().flatten().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn options(options: &Value) -> RunOptions {
    let number = |name: &str, default: f64| options.get(name).and_then(Value::as_f64).unwrap_or(default) as f32;
    RunOptions {
        temperature: Some(number("temp", 1.0)),
        top_p: Some(number("top_p", 0.0)),
        top_k: Some(number("top_k", 0.0) as i32),
        min_p: Some(number("min_p", 0.0)),
        min_tokens_to_keep: number("min_tokens_to_keep", 1.0) as i32,
        xtc_probability: number("xtc_probability", 0.0),
        xtc_threshold: number("xtc_threshold", 0.1),
        xtc_special_tokens: ids(&options["xtc_special_tokens"]),
        ..RunOptions::default()
    }
}

/// The kept ids and their probabilities.
fn distribution(goldens: &Value, case: &Value) -> (Vec<u64>, Vec<f32>) {
    let logits = &goldens["logits"][case["logits"].as_str().unwrap()];
    let logits: Vec<f32> = logits.as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap() as f32).collect();
    let logits = Array::from_slice(&logits, &[1, logits.len() as i32]);
    let logprobs = logits.subtract(logits.logsumexp_axis(-1, true).unwrap()).unwrap();
    let options = options(&case["options"]);
    let filtered = filter(&options, &logprobs, 0).unwrap();
    let filtered = filtered.multiply(Array::from_f32(1.0 / options.temperature.unwrap())).unwrap();
    let probs = ops::softmax_axis(&filtered, -1, true).unwrap().to_vec_exact::<f32>().unwrap();
    probs.iter().enumerate().filter(|(_, p)| **p > 0.0).map(|(id, p)| (id as u64, *p)).unzip()
}

fn check(section: &str) -> usize {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let goldens = goldens();
    let cases = goldens[section].as_array().unwrap();
    for case in cases {
        let (kept, probs) = distribution(&goldens, case);
        let wanted: Vec<u64> = case["kept"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
        let about = format!("{} {}", case["logits"], case["options"]);
        if case["tied"].as_array().is_some_and(|tied| !tied.is_empty()) {
            // Which of the tied tokens survive is up to the device's partition.
            assert_eq!(kept.len(), wanted.len(), "{about}");
            continue;
        }
        assert_eq!(kept, wanted, "{about}");
        for (prob, wanted) in probs.iter().zip(case["probabilities"].as_array().unwrap()) {
            assert!((f64::from(*prob) - wanted.as_f64().unwrap()).abs() < 1e-5, "{about}");
        }
    }
    cases.len()
}

#[test]
fn filters_keep_what_mlx_lm_keeps() {
    assert!(check("filters") > 100);
}

#[test]
fn chains_of_filters_have_mlx_lms_distribution() {
    assert!(check("chains") > 12);
}

#[test]
fn equal_seeds_and_steps_sample_equally_and_steps_differ() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let logprobs = Array::from_slice(&[0.0f32; 1000], &[1, 1000]);
    let draw = |seed, step| {
        let options = RunOptions { temperature: Some(1.0), seed: Some(seed), ..RunOptions::default() };
        sample(&options, &logprobs, step).unwrap().try_item_exact::<u32>().unwrap()
    };
    let run = |seed| (0..8).map(|step| draw(seed, step)).collect::<Vec<_>>();
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    assert_ne!(draw(7, 0), draw(7, 1));
}

#[test]
fn distributions_that_are_almost_equal_draw_the_same_tokens() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let normal = |spread, seed| random::normal::<f32>(&[1, 5000], None, spread, &random::key(seed).unwrap()).unwrap();
    let (logits, rounding) = (normal(3.0, 1), normal(0.02, 2));
    let draw = |logits: &Array, step| {
        let options = RunOptions { temperature: Some(1.0), seed: Some(1), ..RunOptions::default() };
        sample(&options, logits, step).unwrap().try_item_exact::<u32>().unwrap()
    };
    let rounded = logits.add(&rounding).unwrap();
    let same = (0..200).filter(|step| draw(&logits, *step) == draw(&rounded, *step)).count();
    assert!(same > 180, "{same} of 200");
}

#[test]
fn our_kernel_draws_the_tokens_that_mlx_draws() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    for size in [1, 2, 4096, 4097] {
        let logits = random::normal::<f32>(&[1, size], None, 1.0, &random::key(3).unwrap()).unwrap();
        let same = |key: &u64| {
            let ours = mlx::draw(&logits, 1.25, *key).unwrap().unwrap().try_item_exact::<u32>().unwrap();
            ours == draw(&logits, 1.25, *key).unwrap().try_item_exact::<u32>().unwrap()
        };
        // Rounding decides between two tokens that are almost equal.
        let same = (0..300).map(|step| mix(5, step)).filter(same).count();
        assert!(same > 298, "{same} of {size}");
    }
}

#[test]
fn extreme_temperatures_select_only_tokens_that_were_kept() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let logprobs = Array::from_slice(&[f32::NEG_INFINITY, -6.0, -3.0, f32::NEG_INFINITY], &[1, 4]);
    for dtype in [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16] {
        let logprobs = logprobs.as_dtype(dtype).unwrap();
        for (temperature, possible) in
            [(f32::MIN_POSITIVE, &[2][..]), (1e-20, &[2]), (1e-5, &[2]), (1e9, &[1, 2]), (f32::INFINITY, &[1, 2])]
        {
            let options = RunOptions { temperature: Some(temperature), ..RunOptions::default() };
            for step in 0..20 {
                let token = sample(&options, &logprobs, step).unwrap().try_item_exact::<u32>().unwrap();
                assert!(possible.contains(&token), "{token} at {temperature} in {dtype:?}");
            }
        }
    }
}

/// Returns which tokens top-p keeps, for logits of a dtype.
fn kept_by_top_p(logits: &Array, dtype: Dtype, top_p: f32) -> Vec<bool> {
    let kept = apply_top_p(&logits.as_dtype(dtype).unwrap(), top_p).unwrap();
    assert_eq!(kept.dtype(), dtype);
    finite(&kept)
}

fn finite(logits: &Array) -> Vec<bool> {
    let logits = logits.as_dtype(Dtype::Float32).unwrap().to_vec_exact::<f32>().unwrap();
    logits.iter().map(|logit| logit.is_finite()).collect()
}

#[test]
fn top_p_keeps_the_same_tokens_by_counting_by_sorting_and_by_our_kernel() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    for (seed, spread) in [0.1, 2.0, 8.0, 40.0].into_iter().enumerate() {
        let logits = random::normal::<f32>(&[3, 5000], None, spread, &random::key(seed as u64).unwrap()).unwrap();
        let logprobs = logits.subtract(logits.logsumexp_axis(-1, true).unwrap()).unwrap();
        for dtype in [Dtype::Bfloat16, Dtype::Float16] {
            let rounded = logprobs.as_dtype(dtype).unwrap();
            for top_p in [0.001, 0.2, 0.5, 0.9, 0.999] {
                let counted = kept_by_top_p(&rounded, dtype, top_p);
                let sorted = filters::top_p_by_sorting(&rounded.as_dtype(Dtype::Float32).unwrap(), top_p).unwrap();
                assert_eq!(counted, finite(&sorted), "{dtype:?} {spread} {top_p}");
                assert_eq!(counted, kept_by_top_p(&rounded, Dtype::Float32, top_p), "{dtype:?} {spread} {top_p}");
                assert!(counted.contains(&true));
            }
        }
    }
}

#[test]
fn top_p_keeps_ties_whole_and_certain_tokens_alone() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let never = f32::NEG_INFINITY;
    let half = 0.5f32.ln();
    for (logits, kept) in [
        ([0.0, never, never, never], [true, false, false, false]),
        ([-0.0, -20.0, -30.0, never], [true, false, false, false]),
        ([-40.0, 1e-8, -30.0, never], [false, true, false, false]),
        ([half, never, half, never], [true, false, true, false]),
        ([0.25f32.ln(); 4], [true; 4]),
        ([never; 4], [false; 4]),
        ([f32::NAN, -f32::NAN, f32::NAN, -f32::NAN], [false; 4]),
    ] {
        for dtype in [Dtype::Bfloat16, Dtype::Float16, Dtype::Float32] {
            assert_eq!(kept_by_top_p(&Array::from_slice(&logits, &[1, 4]), dtype, 0.4), kept, "{dtype:?} {logits:?}");
        }
    }
}

#[test]
fn processors_change_logits_as_mlx_lm_does() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let goldens = goldens();
    let numbers = |value: &Value| -> Vec<f32> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
    };
    for case in goldens["processors"].as_array().unwrap() {
        let options = &case["options"];
        let number = |name: &str, default: f64| options.get(name).map_or(default, |number| number.as_f64().unwrap());
        let bias = options.get("logit_bias").and_then(Value::as_object);
        let bias = bias.into_iter().flatten().map(|(id, bias)| (id.parse().unwrap(), bias.as_f64().unwrap() as f32));
        let run_options = RunOptions {
            logit_bias: bias.collect(),
            repetition_penalty: Some(number("repetition_penalty", 0.0) as f32),
            repetition_context_size: Some(number("repetition_context_size", 20.0) as i32),
            presence_penalty: number("presence_penalty", 0.0) as f32,
            presence_context_size: number("presence_context_size", 20.0) as i32,
            frequency_penalty: number("frequency_penalty", 0.0) as f32,
            frequency_context_size: number("frequency_context_size", 20.0) as i32,
            ..RunOptions::default()
        };
        let logits = numbers(&goldens["logits"][case["logits"].as_str().unwrap()]);
        let tokens = ids(&case["tokens"]);
        let changed = LogitsProcessors::new(&run_options)
            .apply(
                &Array::from_slice(&tokens, &[1, tokens.len() as i32]),
                &Array::from_slice(&logits, &[1, logits.len() as i32]),
            )
            .unwrap();
        for (ours, theirs) in changed.to_vec_exact::<f32>().unwrap().iter().zip(numbers(&case["result"])) {
            assert!((ours - theirs).abs() < 1e-5, "{options}: {ours} {theirs}");
        }
    }
}

#[test]
fn xtc_acts_with_the_given_probability() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let logprobs = Array::from_slice(&[0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()], &[1, 3]);
    let acted = |xtc_probability| {
        let options = RunOptions { xtc_probability, xtc_threshold: 0.25, seed: Some(3), ..RunOptions::default() };
        let dropped = |step| {
            let filtered = filter(&options, &logprobs, step).unwrap().to_vec_exact::<f32>().unwrap();
            assert!(filtered[1].is_finite() && filtered[2].is_finite());
            filtered[0] == f32::NEG_INFINITY
        };
        (0..400).filter(|step| dropped(*step)).count()
    };
    assert_eq!(acted(1.0), 400);
    assert!((80..160).contains(&acted(0.3)));
}

/// Whether samples follow a distribution, by a chi-square test at 0.1 %.
fn follows(counts: &[u32], probabilities: &[f64]) -> bool {
    let draws = f64::from(counts.iter().sum::<u32>());
    let statistic: f64 = counts
        .iter()
        .zip(probabilities)
        .map(|(count, probability)| (f64::from(*count) - draws * probability).powi(2) / (draws * probability))
        .sum();
    // Wilson and Hilferty's approximation of the quantile; 3.09 is the normal distribution's.
    let freedom = probabilities.len() as f64 - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    statistic < freedom * (1.0 - spread + 3.09 * spread.sqrt()).powi(3)
}

#[test]
fn twenty_thousand_samples_follow_mlx_lms_distribution() {
    const DRAWS: u64 = 20_000;
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let goldens = goldens();
    let case = goldens["chains"]
        .as_array()
        .unwrap()
        .iter()
        .find(|case| case["logits"] == "plain" && case["options"]["top_k"] == 20)
        .unwrap();
    let logits = &goldens["logits"]["plain"];
    let logits: Vec<f32> = logits.as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap() as f32).collect();
    let logits = Array::from_slice(&logits, &[1, logits.len() as i32]);
    let logprobs = logits.subtract(logits.logsumexp_axis(-1, true).unwrap()).unwrap();
    let options = RunOptions { seed: Some(11), ..options(&case["options"]) };
    let kept = ids(&case["kept"]);
    let probabilities: Vec<f64> =
        case["probabilities"].as_array().unwrap().iter().map(|probability| probability.as_f64().unwrap()).collect();
    assert!(kept.len() > 3);
    let mut counts = vec![0; kept.len()];
    for step in 0..DRAWS {
        let token = sample(&options, &logprobs, step).unwrap().try_item_exact::<u32>().unwrap();
        counts[kept.iter().position(|id| *id == token).expect("a token that was filtered out")] += 1;
    }
    assert!(follows(&counts, &probabilities), "{counts:?} {probabilities:?}");
    let mut wrong = probabilities.clone();
    wrong.rotate_left(1);
    assert!(!follows(&counts, &wrong));
}
