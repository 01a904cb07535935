// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How long a tokenizer takes to load: ours, and the tokenizers crate alone. They take turns; prints the medians of the
//! milliseconds as JSON.
//!
//! usage: load-tokenizer FOLDER [ROUNDS]

#![allow(clippy::print_stdout, reason = "a program")]

use std::{
    error::Error,
    path::{Path, PathBuf},
    time::Instant,
};

use node_mlx::{
    models::{check_folder, tokenizer_class},
    tokenizer::Tokenizer,
};

/// Milliseconds; what was loaded is dropped afterwards.
fn time<T>(load: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let loaded = load()?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    drop(loaded);
    Ok(took)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn ours(folder: &Path) -> Result<Tokenizer, Box<dyn Error>> {
    let rule = tokenizer_class(&check_folder(folder)?)?;
    Ok(Tokenizer::from_dir(folder, rule)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("usage: load-tokenizer FOLDER [ROUNDS]")?);
    let rounds: usize = args.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let (mut own, mut of_crate) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        own.push(time(|| ours(&folder))?);
        of_crate.push(time(|| {
            tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).map_err(|error| -> Box<dyn Error> { error })
        })?);
    }
    println!("{}", serde_json::json!({ "ours": median(own), "crate": median(of_crate) }));
    Ok(())
}
