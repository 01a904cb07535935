// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Parity with mlx-lm: every fixture folder with a golden.safetensors, computed by this crate.
//!
//! The goldens hold logits of mlx-lm, teacher-forced: a prompt in one or more chunks, then single tokens against the
//! cache (tools/parity/goldens.py says what the tensors are). Tolerances come from tools/parity/tolerances.json, which
//! `npm run parity` reads too. Environment:
//!
//! - `NODE_MLX_FIXTURES`: another folder of fixtures than __test__/fixtures
//! - `NODE_MLX_PARITY_REPORT`: a file to write the outcome to, as JSON

#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

#[path = "helpers/golden.rs"]
mod golden;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use golden::{Golden, Result};
use mlx_rs::{Array, Dtype};
use node_mlx::{
    cache::{Cache, Caches, KVCache, KvQuantization, maybe_quantize_kv_cache},
    mlx,
    models::{self, LoadedModel},
    weights,
};
use serde::{Deserialize, Serialize};

const TOLERANCES: &str = include_str!("../tools/parity/tolerances.json");

/// How far logits may be from mlx-lm's: the worst one, and all of them on average.
#[derive(Debug, Clone, Deserialize)]
struct Tolerance {
    abs: f64,
    mean: f64,
}

/// What became of one fixture.
#[derive(Debug, Serialize)]
struct Row {
    fixture: String,
    dtype: String,
    /// The largest differences among the prompts' last positions, and among the steps.
    prefill: f64,
    steps: f64,
    /// The largest difference of each case.
    cases: BTreeMap<String, f64>,
    /// Whether the best token is mlx-lm's at every position; `None` for half precision, where ties are common.
    greedy_equal: Option<bool>,
    tolerance: String,
    limit: f64,
    /// "ok", "mismatch", or "error" if nothing could be compared.
    verdict: &'static str,
    problems: Vec<String>,
}

/// The distance between two sets of logits.
#[derive(Debug, Default)]
struct Distance {
    worst: f64,
    sum: f64,
    count: usize,
}

impl Distance {
    fn add(&mut self, ours: &[f32], theirs: &[f32]) {
        for (a, b) in ours.iter().zip(theirs) {
            let apart = (f64::from(*a) - f64::from(*b)).abs();
            // A NaN is as wrong as can be, and `max` would drop it.
            let apart = if apart.is_nan() { f64::INFINITY } else { apart };
            self.worst = self.worst.max(apart);
            self.sum += apart;
            self.count += 1;
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

/// What our model computes for a case.
struct Outcome {
    dtype: Dtype,
    prefill: Vec<Vec<f32>>,
    steps: Vec<Vec<f32>>,
}

/// Logits of shape (1, L, V) as rows.
fn rows(logits: &Array) -> Result<Vec<Vec<f32>>> {
    let [1, _, vocab] = *logits.shape() else {
        return Err(format!("logits of shape {:?}", logits.shape()));
    };
    let values = logits.as_dtype(Dtype::Float32).map_err(|error| error.to_string())?;
    values.eval().map_err(|error| error.to_string())?;
    let values: &[f32] = values.try_as_slice().map_err(|error| error.to_string())?;
    Ok(values.chunks(vocab as usize).map(<[f32]>::to_vec).collect())
}

/// The caches that a case asks for: `[kind, …]`, see tools/parity/goldens.py.
fn caches(loaded: &LoadedModel, kind: Option<&[i32]>) -> Result<Caches> {
    let model = loaded.model.as_ref();
    match kind {
        None => Ok(model.make_prompt_cache(None)),
        Some([1]) => Ok((0..model.num_layers()).map(|_| Box::new(KVCache::new()) as Box<dyn Cache>).collect()),
        Some(&[2, max_size]) => Ok(model.make_prompt_cache(Some(max_size))),
        Some(&[3, group_size, bits]) => {
            let mut caches = model.make_prompt_cache(None);
            maybe_quantize_kv_cache(&mut caches, KvQuantization { bits, group_size, start: 0 })
                .map_err(|error| error.to_string())?;
            Ok(caches)
        }
        Some(other) => Err(format!("no cache of kind {other:?}")),
    }
}

fn compute(loaded: &LoadedModel, golden: &Golden, case: &str) -> Result<Outcome> {
    let mut cache = caches(loaded, golden.numbers(&format!("{case}.cache")).ok())?;
    let mut forward = |tokens: &[i32]| {
        let tokens = Array::from_slice(tokens, &[1, tokens.len() as i32]);
        let logits = loaded.model.forward(&tokens, &mut cache).map_err(|error| error.to_string())?;
        Ok::<_, String>((logits.dtype(), rows(&logits)?))
    };
    let mut prompt = golden.numbers(&format!("{case}.prompt"))?;
    let mut last = Vec::new();
    for &length in golden.numbers(&format!("{case}.chunks"))? {
        let (chunk, rest) = prompt.split_at(length as usize);
        last = forward(chunk)?.1;
        prompt = rest;
    }
    let wanted = golden.logits(&format!("{case}.prefill"))?.len();
    let prefill = last.split_off(last.len().saturating_sub(wanted));
    let (mut dtype, mut steps) = (Dtype::Float32, Vec::new());
    for &token in golden.numbers(&format!("{case}.tokens"))? {
        let (of_step, mut logits) = forward(&[token])?;
        dtype = of_step;
        steps.append(&mut logits);
    }
    check_cache_size(loaded, golden, case, &cache)?;
    Ok(Outcome { dtype, prefill, steps })
}

/// Whether caches take what was foretold of them, but for a step of growth.
fn check_cache_size(loaded: &LoadedModel, golden: &Golden, case: &str, caches: &Caches) -> Result<()> {
    let (max_kv_size, quantization) = match golden.numbers(&format!("{case}.cache")).ok() {
        None => (None, None),
        Some(&[2, max_size]) => (Some(max_size), None),
        Some(&[3, group_size, bits]) => (None, Some(KvQuantization { bits, group_size, start: 0 })),
        Some(_) => return Ok(()),
    };
    let seen = golden.numbers(&format!("{case}.prompt"))?.len() + golden.numbers(&format!("{case}.tokens"))?.len();
    let bytes = |tokens: usize| loaded.info.cache_sizes.bytes(tokens as u64, max_kv_size, quantization);
    let actual: usize = caches.iter().map(|cache| cache.nbytes()).sum();
    if bytes(seen).abs_diff(actual as u64) <= bytes(1) {
        return Ok(());
    }
    Err(format!("the caches of {seen} tokens take {actual} bytes, {} were foretold", bytes(seen)))
}

/// The tolerance that holds between activations of these two dtypes.
fn tolerance_name(ours: Dtype, native: Option<&str>) -> Result<&'static str> {
    match (ours, native) {
        (Dtype::Float32, None) => Ok("f32"),
        (Dtype::Bfloat16, _) | (Dtype::Float32, Some("bfloat16")) => Ok("bf16_native"),
        (Dtype::Float16, _) | (Dtype::Float32, Some("float16")) => Ok("f16_native"),
        (ours, native) => Err(format!("no tolerance for {ours:?} against {native:?}")),
    }
}

fn argmax(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
}

/// The dtype that config.json declares.
fn declared_dtype(folder: &Path) -> Result<String> {
    let text = fs::read_to_string(folder.join("config.json")).map_err(|error| error.to_string())?;
    let config: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    config["torch_dtype"].as_str().map(str::to_owned).ok_or_else(|| "config.json has no torch_dtype".to_owned())
}

/// Compares the rows of one golden tensor; what is too far apart goes into `problems`.
fn compare_rows(
    name: &str,
    ours: &[Vec<f32>],
    theirs: &[Vec<f32>],
    (kind, tolerance): (&str, &Tolerance),
    problems: &mut Vec<String>,
) -> Result<Distance> {
    if ours.len() != theirs.len() {
        return Err(format!("{name} has {} rows, the golden {}", ours.len(), theirs.len()));
    }
    let mut all = Distance::default();
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        if ours.len() != theirs.len() {
            return Err(format!("{} logits, the golden has {}", ours.len(), theirs.len()));
        }
        let mut one = Distance::default();
        one.add(ours, theirs);
        all.add(ours, theirs);
        if one.worst > tolerance.abs {
            problems.push(format!("{name}[{index}]: {:.6} apart, {kind} allows {}", one.worst, tolerance.abs));
        }
    }
    if all.mean() > tolerance.mean && all.worst <= tolerance.abs {
        problems.push(format!("{name}: {:.6} apart on average, {kind} allows {}", all.mean(), tolerance.mean));
    }
    Ok(all)
}

/// Compares one case with the golden in f32 and, where there is one, with the golden in the checkpoint's own dtype.
fn compare_case(
    ours: &Outcome,
    golden: &Golden,
    case: &str,
    tolerances: &BTreeMap<String, Tolerance>,
    row: &mut Row,
) -> Result<()> {
    let kind_of = |native| {
        let kind = tolerance_name(ours.dtype, native)?;
        Ok::<_, String>((kind, tolerances.get(kind).ok_or_else(|| format!("tolerances.json has no {kind}"))?))
    };
    let kind = kind_of(None)?;
    kind.0.clone_into(&mut row.tolerance);
    row.limit = kind.1.abs;
    for (part, ours) in [("prefill", &ours.prefill), ("steps", &ours.steps)] {
        let theirs = golden.logits(&format!("{case}.{part}"))?;
        let apart = compare_rows(&format!("{case}.{part}"), ours, theirs, kind, &mut row.problems)?;
        let shown = if part == "prefill" { &mut row.prefill } else { &mut row.steps };
        *shown = shown.max(apart.worst);
        let shown = row.cases.entry(case.to_owned()).or_default();
        *shown = shown.max(apart.worst);
    }
    if golden.logits(&format!("{case}.native.steps")).is_ok() {
        let kind = kind_of(Some(&row.dtype))?;
        for (part, ours) in [("native.prefill", &ours.prefill), ("native.steps", &ours.steps)] {
            let theirs = golden.logits(&format!("{case}.{part}"))?;
            compare_rows(&format!("{case}.{part}"), ours, theirs, kind, &mut row.problems)?;
        }
    }
    // In f32 the goldens' best tokens lead by more than the tolerance, in half precision they may tie.
    if ours.dtype == Dtype::Float32 {
        let theirs = golden.logits(&format!("{case}.steps"))?;
        let equal = ours.steps.iter().zip(theirs).all(|(ours, theirs)| argmax(ours) == argmax(theirs));
        row.greedy_equal = Some(equal && row.greedy_equal != Some(false));
        if !equal {
            row.problems.push(format!("{case}: another greedy token"));
        }
    }
    Ok(())
}

fn compare(folder: &Path, tolerances: &BTreeMap<String, Tolerance>, row: &mut Row) -> Result<()> {
    let golden = Golden::read(&folder.join("golden.safetensors"))?;
    row.dtype = declared_dtype(folder)?;
    let adapter = Some(folder.join("adapters")).filter(|adapter| adapter.is_dir());
    let loaded = models::load(folder, adapter.as_deref()).map_err(|error| error.to_string())?;
    let cases: Vec<&str> = golden.numbers.keys().filter_map(|name| name.strip_suffix(".prompt")).collect();
    if cases.is_empty() {
        return Err("the golden has no cases".to_owned());
    }
    for case in cases {
        let ours = compute(&loaded, &golden, case)?;
        compare_case(&ours, &golden, case, tolerances, row)?;
    }
    Ok(())
}

fn check(folder: &Path, tolerances: &BTreeMap<String, Tolerance>) -> Row {
    let mut row = Row {
        fixture: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        dtype: String::new(),
        prefill: 0.0,
        steps: 0.0,
        cases: BTreeMap::new(),
        greedy_equal: None,
        tolerance: String::new(),
        limit: 0.0,
        verdict: "ok",
        problems: Vec::new(),
    };
    if let Err(problem) = compare(folder, tolerances, &mut row) {
        row.problems.push(problem);
        row.verdict = "error";
    } else if !row.problems.is_empty() {
        row.verdict = "mismatch";
    }
    row
}

/// The folders with goldens, by name.
fn fixtures(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|folder| folder.join("golden.safetensors").is_file())
        .collect();
    folders.sort();
    folders
}

/// One test for all of them: MLX is used from a single thread, and a failure should name every mismatch.
#[test]
fn logits_equal_those_of_mlx_lm() {
    let tolerances: BTreeMap<String, Tolerance> = serde_json::from_str(TOLERANCES).expect("tolerances.json");
    mlx::choose_backend(None).expect("a device");
    // models.spec.ts sees the tokens without.
    weights::join_layers_on_every_device(true);
    let root = env::var_os("NODE_MLX_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("__test__/fixtures"), PathBuf::from);
    let rows: Vec<Row> = fixtures(&root).iter().map(|folder| check(folder, &tolerances)).collect();
    if let Some(report) = env::var_os("NODE_MLX_PARITY_REPORT") {
        let text = serde_json::to_string_pretty(&rows).expect("a report");
        fs::write(&report, text).unwrap_or_else(|error| panic!("{}: {error}", report.display()));
    }
    assert!(!rows.is_empty(), "no fixture in {}", root.display());
    let mut failed = String::new();
    for row in &rows {
        println!("{:<28} prefill {:.2e}  steps {:.2e}  {}", row.fixture, row.prefill, row.steps, row.verdict);
        for problem in row.problems.iter().take(5) {
            failed += &format!("\n  {}: {problem}", row.fixture);
        }
        if row.problems.len() > 5 {
            failed += &format!("\n  {}: and {} more", row.fixture, row.problems.len() - 5);
        }
    }
    assert!(failed.is_empty(), "not what mlx-lm computes:{failed}");
}
