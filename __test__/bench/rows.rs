// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! From how many rows on a device should dequantize a matrix: times of MLX's quantized kernel, of dequantizing and
//! multiplying, and of a dense product, for a 4-bit matrix of (3072, 1024); in f32 on the CPU and bf16 on a GPU.
//!
//! usage: rows [ROWS ...]

use std::time::Instant;

use mlx_rs::{Array, Dtype, random};
use node_mlx::{
    error::{Error, Result},
    mlx::{self, Backend, Quantization, QuantizationMode, QuantizedArray},
};

/// Where none are given.
const ROWS: [i32; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 512];

/// So many products are queued at once, as the layers of a model are.
const QUEUED: u32 = 8;

/// Milliseconds for one product, the best of five.
fn time(f: impl Fn() -> Result<Array>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        let products: Vec<Array> = (0..QUEUED).map(|_| f()).collect::<Result<_>>()?;
        mlx_rs::transforms::eval(&products)?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3 / f64::from(QUEUED));
    }
    Ok(best)
}

/// The numbers of rows that were asked for.
fn chosen_rows() -> Result<Vec<i32>> {
    let parse = |text: String| match text.parse::<i32>() {
        Ok(rows) if rows > 0 => Ok(rows),
        _ => Err(Error::InvalidArgValue {
            name: "ROWS".to_owned(),
            message: format!("got {text}; usage: rows [ROWS ...]"),
        }),
    };
    let rows = std::env::args().skip(1).map(parse).collect::<Result<Vec<_>>>()?;
    Ok(if rows.is_empty() { ROWS.to_vec() } else { rows })
}

fn main() -> Result<()> {
    let chosen = chosen_rows()?;
    let dtype = if mlx::choose_backend(None)? == Backend::Cpu { Dtype::Float32 } else { Dtype::Bfloat16 };
    let quantization = Quantization { group_size: 64, bits: 4, mode: QuantizationMode::Affine };
    let dense = random::normal::<f32>(&[3072, 1024], None, None, None)?.as_dtype(dtype)?;
    let quantized = QuantizedArray::quantize(&dense, quantization)?;
    mlx_rs::transforms::eval(quantized.arrays().chain([&dense]))?;
    let dequantize = || quantized.dequantize(None);
    println!("dequantize alone: {:.3} ms", time(dequantize)?);
    println!("{:>5} {:>10} {:>19} {:>10}", "rows", "kernel", "dequantize + dense", "dense");
    for rows in chosen {
        let x = random::normal::<f32>(&[rows, 1024], None, None, None)?.as_dtype(dtype)?;
        x.eval()?;
        let kernel = time(|| quantized.matmul(&x, true))?;
        let both = time(|| Ok(x.matmul(dequantize()?.transpose()?)?))?;
        let plain = time(|| Ok(x.matmul(dense.transpose()?)?))?;
        println!("{rows:>5} {kernel:>8.3}ms {both:>17.3}ms {plain:>8.3}ms");
    }
    Ok(())
}
