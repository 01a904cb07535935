// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Speed of the engine without Node, for machines that have none: one line of JSON, as speed.py has it, and `host`, the
//! seconds a token that building its graph takes.
//!
//! usage: speed FOLDER PROMPT_TOKENS GENERATED_TOKENS [RUNS [greedy|top-p|penalties]]

use std::{path::Path, rc::Rc, time::Instant};

use node_mlx::{
    error::{Error, Result},
    generate::{StepOptions, Steps},
    mlx,
    models::{self, LoadedModel},
    sample_utils::{Penalty, Processors, Sampling},
};

/// Seconds to the first token, seconds a token after it, and the part of these that the host needs.
fn measure(model: &Rc<LoadedModel>, prompt_tokens: u32, generated: u32, options: &StepOptions) -> Result<[f64; 3]> {
    let prompt = (0..prompt_tokens).map(|i| (7 * i + 3) % 1000).collect();
    let start = Instant::now();
    let mut steps = Steps::new(Rc::clone(model), prompt, options.clone())?;
    while !steps.prefilled() {
        steps.prefill()?;
    }
    steps.next(generated == 1)?;
    let first = start.elapsed().as_secs_f64();
    let start = Instant::now();
    for index in 1..generated {
        steps.next(index + 1 == generated)?;
    }
    let tokens = f64::from(generated.saturating_sub(1).max(1));
    Ok([first, start.elapsed().as_secs_f64() / tokens, steps.host_time().as_secs_f64() / tokens])
}

/// The options whose cost is asked for.
fn sampling(kind: &str) -> StepOptions {
    let mut options = StepOptions::default();
    let penalty = |strength| Some(Penalty { strength, context_size: 20 });
    match kind {
        "top-p" => options.sampling = Sampling { temperature: 1.0, top_p: 0.9, ..Sampling::default() },
        "penalties" => {
            options.processors = Processors {
                logit_bias: vec![(7, 1.0), (8, -1.0)],
                repetition: penalty(1.1),
                presence: penalty(0.1),
                frequency: penalty(0.1),
            };
        }
        _ => {}
    }
    options
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: Option<u32>| {
        arguments.get(index).and_then(|text| text.parse().ok()).or(default).ok_or_else(|| Error::InvalidArgValue {
            name: format!("argument {}", index + 1),
            message: "usage: speed FOLDER PROMPT_TOKENS GENERATED_TOKENS [RUNS [SAMPLING]]".to_owned(),
        })
    };
    let (prompt_tokens, generated, runs) = (number(1, None)?, number(2, None)?, number(3, Some(1))?);
    mlx::choose_backend(None)?;
    let start = Instant::now();
    let model = Rc::new(models::load(Path::new(arguments.first().map_or("", String::as_str)))?);
    let load = start.elapsed().as_secs_f64();
    let options = sampling(arguments.get(4).map_or("greedy", String::as_str));
    measure(&model, if runs == 0 { 4 } else { prompt_tokens }, generated, &options)?;
    let mut best = [f64::INFINITY; 3];
    for _ in 0..runs.max(1) {
        for (best, time) in best.iter_mut().zip(measure(&model, prompt_tokens, generated, &options)?) {
            *best = best.min(time);
        }
    }
    let [first, step, host] = best;
    println!(
        "{}",
        serde_json::json!({
            "load": load, "first": first, "prefill": f64::from(prompt_tokens) / first, "decode": 1.0 / step, "host": host,
        })
    );
    Ok(())
}
