// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Speed of the engine without Node, for machines that have none: one line of JSON, as speed.py has it, and `host`, the
//! seconds a token that building its graph takes. With `options`: tokens per second with the options of options.mjs, in
//! turns in one run, their medians, and these over the plain one.
//!
//! usage: speed FOLDER PROMPT_TOKENS GENERATED_TOKENS [RUNS [greedy|plain|topP|penalties|both]]
//!        speed options FOLDER [PROMPT_TOKENS GENERATED_TOKENS ROUNDS]

use std::{path::Path, rc::Rc, time::Instant};

use node_mlx::{
    error::{Error, Result},
    generate::Steps,
    mlx,
    models::{self, LoadedModel},
    options::RunOptions,
};
use serde_json::{Map, Value, json};

/// Prompt tokens, generated tokens and rounds where `options` is given none.
const OPTIONS_SIZES: [u32; 3] = [32, 128, 9];

/// Seconds to the first token, seconds a token after it, and the part of these that the host needs.
fn measure(model: &Rc<LoadedModel>, prompt_tokens: u32, generated: u32, options: &RunOptions) -> Result<[f64; 3]> {
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
fn sampling(kind: &str) -> RunOptions {
    let temperature = if kind == "greedy" { 0.0 } else { 1.0 };
    let top_p = if matches!(kind, "topP" | "both") { 0.9 } else { 0.0 };
    let penalty = |strength| if matches!(kind, "penalties" | "both") { strength } else { 0.0 };
    RunOptions {
        temperature: Some(temperature),
        top_p: Some(top_p),
        repetition_penalty: Some(penalty(1.1)),
        presence_penalty: penalty(0.1),
        frequency_penalty: penalty(0.1),
        ..RunOptions::default()
    }
}

fn load(folder: &str) -> Result<Rc<LoadedModel>> {
    mlx::choose_backend(None)?;
    Ok(Rc::new(models::load(Path::new(folder), None)?))
}

fn speed(folder: &str, [prompt_tokens, generated, runs]: [u32; 3], kind: &str) -> Result<Value> {
    let start = Instant::now();
    let model = load(folder)?;
    let load = start.elapsed().as_secs_f64();
    let options = sampling(kind);
    measure(&model, if runs == 0 { 4 } else { prompt_tokens }, generated, &options)?;
    let mut best = [f64::INFINITY; 3];
    for _ in 0..runs.max(1) {
        for (best, time) in best.iter_mut().zip(measure(&model, prompt_tokens, generated, &options)?) {
            *best = best.min(time);
        }
    }
    let [first, step, host] = best;
    Ok(json!({
        "load": load, "first": first, "prefill": f64::from(prompt_tokens) / first, "decode": 1.0 / step, "host": host,
    }))
}

/// Tokens per second of each, and `host`; a first round warms up.
fn options(folder: &str, [prompt_tokens, generated, rounds]: [u32; 3]) -> Result<Value> {
    let model = load(folder)?;
    let mut kinds = ["plain", "topP", "penalties", "both"].map(|kind| (kind, sampling(kind), Vec::new(), Vec::new()));
    for round in 0..=rounds {
        for (_, options, steps, hosts) in &mut kinds {
            let [_, step, host] = measure(&model, prompt_tokens, generated, options)?;
            if round > 0 {
                steps.push(step);
                hosts.push(host);
            }
        }
    }
    let medians = kinds.map(|(kind, _, steps, hosts)| (kind, 1.0 / median(steps), median(hosts)));
    let plain = medians.first().map_or(f64::NAN, |(_, decode, _)| *decode);
    let report = |(kind, decode, host): (&str, f64, f64)| {
        (kind.to_owned(), json!({ "decode": decode, "ratio": decode / plain, "host": host }))
    };
    Ok(Value::Object(medians.into_iter().map(report).collect::<Map<_, _>>()))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u32>().map_err(|_| usage(text));
    let numbers = |texts: &[&str], mut numbers: [u32; 3]| {
        for (place, text) in numbers.iter_mut().zip(texts) {
            *place = number(text)?;
        }
        Ok::<_, Error>(numbers)
    };
    let report = match arguments.as_slice() {
        ["options", folder, sizes @ ..] => options(folder, numbers(sizes, OPTIONS_SIZES)?)?,
        [folder, prompt_tokens, generated, rest @ ..] => {
            let (runs, kind) = (rest.first().unwrap_or(&"1"), rest.get(1).unwrap_or(&"greedy"));
            speed(folder, numbers(&[prompt_tokens, generated, runs], [0; 3])?, kind)?
        }
        _ => return Err(usage("nothing")),
    };
    println!("{report}");
    Ok(())
}

fn usage(got: &str) -> Error {
    Error::InvalidArgValue {
        name: "arguments".to_owned(),
        message: format!("got {got}; usage: speed [options] FOLDER PROMPT_TOKENS GENERATED_TOKENS [RUNS [SAMPLING]]"),
    }
}
