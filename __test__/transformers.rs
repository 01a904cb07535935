// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The model makers' numbers: every fixture folder with an expected.safetensors, computed by this crate.
//!
//! transformers saved these tiny models and computed a prompt and some greedy tokens after it
//! (tools/parity/transformers_oracle.py): `prompt` and `tokens`, and for each token the ids and log-probabilities of the
//! likeliest ones, `top` and `logprobs`. Environment, as for parity.rs:
//!
//! - `NODE_MLX_FIXTURES`: another folder of fixtures than __test__/transformers
//! - `NODE_MLX_PARITY_REPORT`: a file to write the outcome to, as JSON

#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

#[path = "helpers/golden.rs"]
mod golden;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use golden::{Golden, Result};
use node_mlx::{
    generate::{Step, Steps},
    mlx,
    models::{self, LoadedModel},
    options::RunOptions,
};
use serde::Serialize;

const TOLERANCES: &str = include_str!("../tools/parity/tolerances.json");
/// The config of a release before transformers 5, with the same weights.
const FORMS: [&str; 2] = ["config.json", "config.older.json"];

/// What became of one config of a fixture.
#[derive(Debug, Serialize)]
struct Row {
    fixture: String,
    config: &'static str,
    /// The largest difference of log-probabilities.
    difference: f64,
    /// Whether the greedy tokens are the same.
    greedy_equal: bool,
    limit: f64,
    /// "ok", "mismatch", or "error" if nothing could be compared.
    verdict: &'static str,
    problems: Vec<String>,
}

/// Where fixtures are copied to.
fn scratch() -> PathBuf {
    env::temp_dir().join(format!("node-mlx-transformers-{}", std::process::id()))
}

/// A copy of a fixture with one of its configs.
fn with_config(folder: &Path, config: &str) -> Result<PathBuf> {
    let copy = scratch();
    let made = || {
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        fs::create_dir_all(&copy)?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("model") {
                fs::copy(&path, copy.join(name))?;
            }
        }
        fs::copy(folder.join(config), copy.join("config.json"))
    };
    made().map_err(|error: std::io::Error| format!("{}: {error}", folder.display()))?;
    Ok(copy)
}

/// The greedy tokens after a prompt, with their log-probabilities.
fn generate(loaded: LoadedModel, prompt: &[i32], count: usize, top: usize) -> Result<Vec<Step>> {
    let prompt = prompt.iter().map(|id| *id as u32).collect();
    let options = RunOptions { logprobs: i32::try_from(top).ok(), ..RunOptions::default() };
    let run = || {
        let mut steps = Steps::new(Rc::new(loaded), prompt, options)?;
        (0..count)
            .map(|index| {
                while !steps.prefilled() {
                    steps.prefill()?;
                }
                steps.next(index + 1 == count)
            })
            .collect::<node_mlx::error::Result<Vec<_>>>()
    };
    run().map_err(|error| error.to_string())
}

fn compare(folder: &Path, row: &mut Row) -> Result<()> {
    let golden = Golden::read(&folder.join("expected.safetensors"))?;
    let (tokens, ids, expected) = (golden.numbers("tokens")?, golden.numbers("top")?, golden.logits("logprobs")?);
    let loaded = models::load(&with_config(folder, row.config)?, None).map_err(|error| error.to_string())?;
    let top = expected.first().map_or(0, Vec::len);
    let steps = generate(loaded, golden.numbers("prompt")?, tokens.len(), top)?;
    if (steps.len(), ids.len()) != (expected.len(), top * expected.len()) {
        return Err("the golden has another number of rows".to_owned());
    }
    row.greedy_equal = true;
    for (index, (step, expected)) in steps.iter().zip(expected).enumerate() {
        let ours: BTreeMap<u32, f32> = step.logprobs.iter().flat_map(|found| found.top.iter().copied()).collect();
        // At the end of the list two tokens may tie.
        let least = ours.values().copied().fold(f32::INFINITY, f32::min);
        for (id, theirs) in ids[index * top..][..top].iter().zip(expected) {
            let apart = f64::from((ours.get(&(*id as u32)).unwrap_or(&least) - theirs).abs());
            // A NaN is as wrong as can be, and `max` would drop it.
            row.difference = row.difference.max(if apart.is_nan() { f64::INFINITY } else { apart });
        }
        if step.token != tokens[index] as u32 {
            row.greedy_equal = false;
            row.problems.push(format!("token {index} is {}, not {}", step.token, tokens[index]));
            // What follows another token is about another text.
            break;
        }
    }
    if row.difference > row.limit {
        row.problems.push(format!("{:.6} apart, {} is allowed", row.difference, row.limit));
    }
    Ok(())
}

fn check(folder: &Path, config: &'static str, limit: f64) -> Row {
    let mut row = Row {
        fixture: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        config,
        difference: 0.0,
        greedy_equal: false,
        limit,
        verdict: "ok",
        problems: Vec::new(),
    };
    if let Err(problem) = compare(folder, &mut row) {
        row.problems.push(problem);
        row.verdict = "error";
    } else if !row.problems.is_empty() {
        row.verdict = "mismatch";
    }
    row
}

/// One test for all of them: MLX is used from a single thread, and a failure should name every mismatch.
#[test]
fn log_probabilities_are_those_of_transformers() {
    let tolerances: serde_json::Value = serde_json::from_str(TOLERANCES).expect("tolerances.json");
    let limit = tolerances["transformers"]["abs"].as_f64().expect("a tolerance");
    mlx::choose_backend(Some(mlx::Backend::Cpu)).expect("a device");
    let root = env::var_os("NODE_MLX_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("__test__/transformers"), PathBuf::from);
    let entries = fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    folders.sort();
    let rows: Vec<Row> = folders
        .iter()
        .flat_map(|folder| FORMS.iter().filter(|form| folder.join(form).is_file()).map(move |form| (folder, *form)))
        .map(|(folder, form)| check(folder, form, limit))
        .collect();
    fs::remove_dir_all(scratch()).expect("the scratch folder");
    if let Some(report) = env::var_os("NODE_MLX_PARITY_REPORT") {
        let text = serde_json::to_string_pretty(&rows).expect("a report");
        fs::write(&report, text).unwrap_or_else(|error| panic!("{}: {error}", report.display()));
    }
    assert!(!rows.is_empty(), "no fixture in {}", root.display());
    let failed: Vec<String> = rows
        .iter()
        .filter(|row| row.verdict != "ok")
        .map(|row| format!("{} ({}): {}", row.fixture, row.config, row.problems.join("; ")))
        .collect();
    assert!(failed.is_empty(), "not what transformers computes:\n{}", failed.join("\n"));
}
