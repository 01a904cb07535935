// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/sample_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: top-p keeps ties whole.

//! Choosing a token from log-probabilities, on the device. Filters run in mlx-lm's order, top-p, min-p, top-k, and see
//! untempered log-probabilities; temperature comes last.

use mlx_rs::{
    Array, Dtype,
    ops::{self, indexing},
    random,
};

use crate::{error::Result, mlx};

/// How tokens are chosen. `temperature` 0 takes the most likely one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// 0 or more.
    pub temperature: f32,
    /// Keep the most likely tokens up to this probability; 0 and 1 keep all.
    pub top_p: f32,
    /// Keep this many tokens; 0 keeps all.
    pub top_k: i32,
    /// Keep tokens at least this likely, relative to the most likely one; 0 keeps all.
    pub min_p: f32,
    /// What min-p leaves at least.
    pub min_tokens_to_keep: i32,
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_p: 0.0, top_k: 0, min_p: 0.0, min_tokens_to_keep: 1, seed: 0 }
    }
}

impl Sampling {
    /// logprobs: (B, vocabulary) → token ids, (B,). Equal seeds and steps draw equally, whatever else runs.
    pub fn sample(&self, logprobs: &Array, step: u64) -> Result<Array> {
        if self.temperature == 0.0 {
            return Ok(indexing::argmax_axis(logprobs, -1, false)?);
        }
        let logits = self.filter(logprobs)?;
        Ok(random::categorical(logits, -1, None, &random::key(mix(self.seed, step))?)?)
    }

    /// The logits to draw from, with what is filtered out at −∞.
    fn filter(&self, logprobs: &Array) -> Result<Array> {
        let mut logprobs = logprobs.clone();
        if self.top_p > 0.0 && self.top_p < 1.0 {
            logprobs = apply_top_p(&logprobs, self.top_p)?;
        }
        if self.min_p > 0.0 {
            logprobs = apply_min_p(&logprobs, self.min_p, self.min_tokens_to_keep)?;
        }
        if self.top_k > 0 && self.top_k < last_dim(&logprobs) {
            logprobs = apply_top_k(&logprobs, self.top_k)?;
        }
        Ok(logprobs.multiply(mlx::scalar(1.0 / self.temperature, logprobs.dtype())?)?)
    }
}

/// One 64-bit key a step (SplitMix64), made on the host so that no kernel runs for it.
fn mix(seed: u64, step: u64) -> u64 {
    let mut z = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn last_dim(a: &Array) -> i32 {
    a.shape().last().copied().unwrap_or(0)
}

/// Keeps the smallest set of most likely tokens whose probability reaches `top_p`, and all that tie with its last.
pub fn apply_top_p(logprobs: &Array, top_p: f32) -> Result<Array> {
    let sorted = ops::sort_axis(logprobs, -1)?;
    let probs = ops::exp(sorted.as_dtype(Dtype::Float32)?)?;
    let mass_above = ops::cumsum(&probs, -1, true, false)?;
    let total = mlx::slice_axis(&mass_above, -1, 0, 1)?.add(mlx::slice_axis(&probs, -1, 0, 1)?)?;
    let limit = total.multiply(Array::from_f32(top_p))?;
    let dropped = mass_above.ge(limit)?.as_dtype(Dtype::Int32)?.sum_axis(-1, true)?;
    let threshold = sorted.take_along_axis(&dropped, -1)?;
    discard(logprobs.lt(threshold)?, logprobs)
}

/// Keeps tokens at least `min_p` times as likely as the most likely one, and `min_tokens_to_keep` in any case.
pub fn apply_min_p(logprobs: &Array, min_p: f32, min_tokens_to_keep: i32) -> Result<Array> {
    let top = logprobs.max_axis(-1, true)?;
    let mut remove = logprobs.lt(top.add(mlx::scalar(min_p.ln(), logprobs.dtype())?)?)?;
    let vocabulary = last_dim(logprobs);
    if min_tokens_to_keep >= vocabulary {
        return Ok(logprobs.clone());
    }
    if min_tokens_to_keep > 1 {
        let kth = vocabulary - min_tokens_to_keep;
        let order = ops::argpartition_axis(logprobs, kth, -1)?;
        let top_indices = mlx::slice_axis(&order, -1, kth, vocabulary)?;
        remove = remove.put_along_axis(top_indices, Array::from_bool(false), -1)?;
    }
    discard(remove, logprobs)
}

/// Keeps the `top_k` most likely tokens.
pub fn apply_top_k(logprobs: &Array, top_k: i32) -> Result<Array> {
    let order = ops::argpartition_axis(logprobs.negative()?, top_k - 1, -1)?;
    let rest = mlx::slice_axis(&order, -1, top_k, last_dim(logprobs))?;
    Ok(logprobs.put_along_axis(rest, mlx::scalar(f32::NEG_INFINITY, logprobs.dtype())?, -1)?)
}

fn discard(remove: Array, logprobs: &Array) -> Result<Array> {
    Ok(ops::select(remove, mlx::scalar(f32::NEG_INFINITY, logprobs.dtype())?, logprobs)?)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What mlx-lm made of fixed logits (tools/parity/samplers.py).
    fn goldens() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/__test__/fixtures/samplers.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn sampling(options: &Value) -> Sampling {
        let number = |name: &str, default: f64| options.get(name).and_then(Value::as_f64).unwrap_or(default) as f32;
        Sampling {
            temperature: number("temp", 1.0),
            top_p: number("top_p", 0.0),
            top_k: number("top_k", 0.0) as i32,
            min_p: number("min_p", 0.0),
            min_tokens_to_keep: number("min_tokens_to_keep", 1.0) as i32,
            seed: 0,
        }
    }

    /// The kept ids and their probabilities.
    fn distribution(goldens: &Value, case: &Value) -> (Vec<u64>, Vec<f32>) {
        let logits = &goldens["logits"][case["logits"].as_str().unwrap()];
        let logits: Vec<f32> = logits.as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap() as f32).collect();
        let logits = Array::from_slice(&logits, &[1, logits.len() as i32]);
        let logprobs = logits.subtract(logits.logsumexp_axis(-1, true).unwrap()).unwrap();
        let filtered = sampling(&case["options"]).filter(&logprobs).unwrap();
        let probs = ops::softmax_axis(&filtered, -1, true).unwrap().to_vec_exact::<f32>().unwrap();
        probs.iter().enumerate().filter(|(_, p)| **p > 0.0).map(|(id, p)| (id as u64, *p)).unzip()
    }

    fn check(section: &str, supported: impl Fn(&Value) -> bool) -> usize {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let goldens = goldens();
        let cases: Vec<&Value> = goldens[section].as_array().unwrap().iter().filter(|case| supported(case)).collect();
        for case in &cases {
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
        assert!(check("filters", |case| case["filter"] != "xtc") > 80);
    }

    #[test]
    fn chains_of_filters_draw_from_the_distribution_of_mlx_lm() {
        assert!(check("chains", |case| case["options"].get("xtc_probability").is_none()) > 10);
    }

    #[test]
    fn equal_seeds_draw_equally_and_steps_differ() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let logprobs = Array::from_slice(&[0.0f32; 1000], &[1, 1000]);
        let draw = |seed, step| {
            let sampling = Sampling { temperature: 1.0, seed, ..Sampling::default() };
            sampling.sample(&logprobs, step).unwrap().try_item_exact::<u32>().unwrap()
        };
        let run = |seed| (0..8).map(|step| draw(seed, step)).collect::<Vec<_>>();
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert_ne!(draw(7, 0), draw(7, 1));
    }
}
