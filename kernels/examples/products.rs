// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Speed of products, in GB/s of weights read and GFLOP/s, and of reading memory.
//!
//! usage: products [BITS|bf16 [THREADS [ROWS...]]]
//!        products quick

#[path = "../tests/common/mod.rs"]
mod common;

use std::{hint::black_box, time::Instant};

use common::{Random, Stored, affine};
use cpu_kernels::{Encoding, Floats, Format, InstructionSet, Kernels};

/// Those of Qwen3-0.6B.
const SHAPES: [[usize; 2]; 5] = [[4096, 1024], [1024, 2048], [6144, 1024], [1024, 3072], [151_936, 1024]];
/// Shows that the program runs.
const QUICK_SHAPES: [[usize; 2]; 1] = [[64, 128]];
/// More than caches hold, as in a model.
const TOTAL_BYTES: usize = 200_000_000;
const SECONDS: f64 = 0.3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_quick = arguments.first().is_some_and(|argument| argument == "quick");
    let (shapes, total_bytes, seconds) =
        if is_quick { (&QUICK_SHAPES[..], 100_000, 0.0) } else { (&SHAPES[..], TOTAL_BYTES, SECONDS) };
    let format = match arguments.first().map(String::as_str) {
        Some("bf16") => Format { encoding: Encoding::Bf16, groups: None },
        bits => affine(bits.and_then(|bits| bits.parse().ok()).unwrap_or(4), 64, Floats::Bf16),
    };
    let rows: Vec<usize> = arguments.iter().skip(2).filter_map(|rows| rows.parse().ok()).collect();
    let rows = if rows.is_empty() { vec![1, 2, 4, 8, 128, 512] } else { rows };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.get(1).and_then(|threads| threads.parse().ok()).unwrap_or_else(cores);
    println!("memory: {:.1} GB/s with {threads} threads", bandwidth(threads, total_bytes));
    let mut random = Random::new(1);
    for &set in InstructionSet::ALL.iter().rev().filter(|set| set.is_available()) {
        let kernels = Kernels::new(set, threads);
        for &shape in shapes {
            let bytes = |stored: &Stored| stored.weights.len() + stored.scales.len() + stored.biases.len();
            let first = Stored::random(format, shape, 1, &mut random);
            let copies = (total_bytes / bytes(&first)).clamp(1, 64);
            let size = bytes(&first) as f64;
            let mut matrices = vec![first];
            matrices.extend((1..copies).map(|_| Stored::random(format, shape, 1, &mut random)));
            for &rows in rows.iter().filter(|&&rows| rows <= 8 || shape[0] < 100_000) {
                let x = random.floats(rows * shape[1]);
                let mut y = vec![0.0; rows * shape[0]];
                let (mut best, start, mut count) = (f64::INFINITY, Instant::now(), 0);
                while start.elapsed().as_secs_f64() < seconds || count < 3 {
                    let matrix = matrices[count % copies].matrix();
                    let start = Instant::now();
                    kernels.matmul(&x, &matrix, &mut y);
                    best = best.min(start.elapsed().as_secs_f64());
                    count += 1;
                }
                black_box(&y);
                let flops = 2.0 * (rows * shape[0] * shape[1]) as f64;
                println!(
                    "{:8} {:6} x {} · {rows:3}: {:9.1} us {:6.1} GB/s {:6.1} GFLOP/s",
                    set.name(),
                    shape[0],
                    shape[1],
                    best * 1e6,
                    size / best / 1e9,
                    flops / best / 1e9
                );
            }
        }
    }
}

/// GB/s of reading, the best of several.
fn bandwidth(threads: usize, bytes: usize) -> f64 {
    let data = vec![1u64; bytes / 8];
    let read = || {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for part in data.chunks(data.len().div_ceil(threads)) {
                scope.spawn(move || black_box(part.iter().fold(0u64, |sum, x| sum ^ x)));
            }
        });
        bytes as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..10).map(|_| read()).fold(0.0, f64::max)
}
