// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Converts checkpoints of AutoAWQ, and of GPTQ in the same layout, to affine quantization. All operations are lazy.
//!
//! A layer has `qweight` of (in, out / 8), `scales` of (groups, out) and, unless every zero point is 8, `qzeros` of
//! (groups, out / 8). Eight 4-bit integers share a word, in the order of [`ORDER`].

use std::collections::HashMap;

use mlx_rs::{Array, Dtype, ops};

use crate::{
    error::{Error, Result},
    mlx::{self, bitwise_and, left_shift, right_shift},
};

pub const BITS: i32 = 4;
/// The group size of a config that does not specify it.
pub const GROUP_SIZE: i32 = 128;

const PER_WORD: i32 = 32 / BITS;
/// For each column, its position in the word, counted from the lowest bits.
const ORDER: [u32; 8] = [0, 4, 1, 5, 2, 6, 3, 7];
/// The zero points of layers that store none.
const MIDDLE: f32 = 8.0;

/// Replaces the tensors of every packed layer by `weight`, `scales` and `biases`, and casts all floats to the dtype of
/// the scales.
///
/// # Errors
/// `WeightsMismatch` if a layer is incomplete or misshapen, or its columns are permuted (`g_idx`).
pub fn transform(tensors: &mut HashMap<String, Array>) -> Result<()> {
    if let Some(name) = tensors.keys().filter(|name| name.ends_with(".g_idx")).min() {
        return Err(mismatch(format!("{name}: permuted columns (act-order) are not supported")));
    }
    let mut layers: Vec<String> =
        tensors.keys().filter_map(|name| name.strip_suffix(".qweight")).map(str::to_owned).collect();
    layers.sort();
    let mut dtype = None;
    let mut made = Vec::new();
    for layer in layers {
        let [weight, scales, biases] = affine(tensors, &layer)?;
        dtype = Some(scales.dtype());
        made.extend(
            [("weight", weight), ("scales", scales), ("biases", biases)]
                .map(|(part, array)| (format!("{layer}.{part}"), array)),
        );
    }
    let dtype = dtype
        .ok_or_else(|| mismatch("config.json describes packed weights, but there is no *.qweight tensor".to_owned()))?;
    tensors.retain(|name, _| !name.ends_with(".scales") && !name.ends_with(".qzeros"));
    tensors.extend(made);
    for array in tensors.values_mut() {
        if array.dtype().is_float() && array.dtype() != dtype {
            *array = array.as_dtype(dtype)?;
        }
    }
    Ok(())
}

/// Takes a layer out of `tensors`, and returns its weight, scales and biases.
fn affine(tensors: &mut HashMap<String, Array>, layer: &str) -> Result<[Array; 3]> {
    let mut take = |part: &str| tensors.remove(&format!("{layer}.{part}"));
    let missing = |part: &str| mismatch(format!("missing {layer}.{part}"));
    let qweight = take("qweight").ok_or_else(|| missing("qweight"))?;
    let scales = take("scales").ok_or_else(|| missing("scales"))?;
    let qzeros = take("qzeros");

    let (&[inputs, words], &[groups, outputs]) = (qweight.shape(), scales.shape()) else {
        return Err(mismatch(format!("{layer}: qweight and scales must be matrices")));
    };
    let fits = words.checked_mul(PER_WORD) == Some(outputs)
        && inputs % PER_WORD == 0
        && qzeros.as_ref().is_none_or(|zeros| zeros.shape() == [groups, words]);
    if !fits {
        return Err(mismatch(format!(
            "{layer}: the shapes of qweight {:?}, scales {:?} and qzeros {:?} do not match",
            qweight.shape(),
            scales.shape(),
            qzeros.as_ref().map(Array::shape).unwrap_or_default()
        )));
    }
    let is_packed = |array: &Array| matches!(array.dtype(), Dtype::Int32 | Dtype::Uint32);
    if !is_packed(&qweight) || !qzeros.as_ref().is_none_or(is_packed) || !scales.dtype().is_float() {
        return Err(mismatch(format!("{layer}: packed weights must be stored as I32, and scales as floats")));
    }

    let weight = repack(&qweight)?;
    let scales = scales.transpose()?.contiguous()?;
    // MLX computes weight · scale + bias; these layers compute (weight - zero) · scale.
    let negative_zeros = match qzeros {
        Some(qzeros) => unpack(&qzeros)?.transpose()?.as_dtype(Dtype::Float32)?.negative()?,
        None => Array::from_f32(-MIDDLE),
    };
    let biases = negative_zeros.multiply(scales.as_dtype(Dtype::Float32)?)?.as_dtype(scales.dtype())?;
    Ok([weight, scales, biases])
}

/// AutoAWQ's words of (in, out / 8) → MLX's of (out, in / 8), whose integers are in order.
fn repack(qweight: &Array) -> Result<Array> {
    let (inputs, words) = (mlx::dim(qweight, 0), mlx::dim(qweight, 1));
    let pairs = qweight.view_dtype(Dtype::Uint32)?.reshape(&[inputs / 2, 2, words])?;
    let row = |index| Ok::<_, Error>(mlx::slice_axis(&pairs, 1, index, index + 1)?.squeeze_axes(&[1])?);
    let (first, second) = (row(0)?, row(1)?);
    let (low, high, four) = (word(0x0F0F_0F0F), word(0xF0F0_F0F0), word(BITS as u32));
    // The integers of two inputs for the same output share a byte.
    let even = bitwise_and(&first, &low)?.add(left_shift(&bitwise_and(&second, &low)?, &four)?)?;
    let odd = bitwise_and(&right_shift(&first, &four)?, &low)?.add(bitwise_and(&second, &high)?)?;
    // Integer 4a + 2b + odd of a word is column 4b + 2 · odd + a (see ORDER).
    // (in / 2, words, odd, a, b) -> (words, b, odd, a, in / 2)
    let bytes = ops::stack(&[even, odd], -1)?.view_dtype(Dtype::Uint8)?.reshape(&[inputs / 2, words, 2, 2, 2])?;
    let bytes = bytes.transpose_axes(&[1, 4, 2, 3, 0])?.reshape(&[words * PER_WORD, inputs / 2])?;
    Ok(bytes.view_dtype(Dtype::Uint32)?)
}

/// AutoAWQ's words of (rows, columns / 8) → integers of (rows, columns).
fn unpack(words: &Array) -> Result<Array> {
    let shifts = Array::from_slice(&ORDER.map(|place| place * BITS as u32), &[PER_WORD]);
    let words = words.view_dtype(Dtype::Uint32)?.expand_dims(-1)?;
    Ok(bitwise_and(&right_shift(&words, &shifts)?, &word(0xF))?.flatten(-2, -1)?)
}

fn word(value: u32) -> Array {
    Array::from_slice(&[value], &[])
}

fn mismatch(problem: String) -> Error {
    Error::WeightsMismatch { problems: vec![problem] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(values: &[u32], shape: &[i32]) -> Array {
        Array::from_slice(values, shape).view_dtype(Dtype::Int32).unwrap()
    }

    /// Returns a layer of 8 × 8 with two groups. The integers of a word are 0, 2, 4, 6, 1, 3, 5, 7 from the lowest bits,
    /// which is consecutive once unpacked, and increase by one from row to row.
    fn layer() -> HashMap<String, Array> {
        let rows: Vec<u32> = (0..8u32)
            .map(|row| [0, 2, 4, 6, 1, 3, 5, 7].iter().enumerate().map(|(i, v)| ((v + row) & 15) << (4 * i)).sum())
            .collect();
        let scales: Vec<half::f16> = (1..=16).map(|n| half::f16::from_f32(n as f32 / 16.0)).collect();
        HashMap::from([
            ("a.qweight".to_owned(), words(&rows, &[8, 1])),
            ("a.qzeros".to_owned(), words(&[0x7531_6420, 0x8642_7531], &[2, 1])),
            ("a.scales".to_owned(), Array::from_slice(&scales, &[2, 8])),
            ("norm".to_owned(), Array::from_slice(&[half::bf16::ONE], &[1])),
        ])
    }

    fn floats(array: &Array) -> Vec<f32> {
        array.as_dtype(Dtype::Float32).unwrap().contiguous().unwrap().to_vec_exact().unwrap()
    }

    #[test]
    fn integers_are_unpacked_in_order_and_transposed() {
        let mut tensors = layer();
        transform(&mut tensors).unwrap();
        let mut names: Vec<&str> = tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["a.biases", "a.scales", "a.weight", "norm"]);
        let weight: Vec<u32> = tensors["a.weight"].to_vec_exact().unwrap();
        // output o of input i is o + i
        let expected: Vec<u32> = (0..8u32).map(|o| (0..8).map(|i| (o + i) << (4 * i)).sum()).collect();
        assert_eq!(weight, expected);
        assert_eq!(tensors["a.scales"].shape(), [8, 2]);
        assert_eq!(floats(&tensors["a.scales"])[..4], [1.0 / 16.0, 9.0 / 16.0, 2.0 / 16.0, 10.0 / 16.0]);
        // the zero of output o is o in the first group, and o + 1 in the second
        let biases: Vec<f32> = (0..8u8)
            .flat_map(|o| [(o, o + 1), (o + 1, o + 9)])
            .map(|(zero, sixteenths)| -f32::from(zero) * f32::from(sixteenths) / 16.0)
            .collect();
        assert_eq!(floats(&tensors["a.biases"]), biases);
        assert_eq!(tensors["norm"].dtype(), Dtype::Float16);
    }

    #[test]
    fn missing_zero_points_default_to_eight() {
        let mut tensors = layer();
        tensors.remove("a.qzeros");
        transform(&mut tensors).unwrap();
        assert_eq!(floats(&tensors["a.biases"])[..2], [-0.5, -4.5]);
    }

    #[test]
    fn mismatched_tensors_are_rejected() {
        let cases: [(&str, Option<Array>); 7] = [
            ("a.scales", None),
            ("a.scales", Some(Array::from_slice(&[1.0_f32; 16], &[16]))),
            ("a.scales", Some(Array::from_slice(&[1_i32; 16], &[2, 8]))),
            ("a.qzeros", Some(words(&[0; 3], &[3, 1]))),
            ("a.qweight", Some(words(&[0; 7], &[7, 1]))),
            ("a.qweight", Some(Array::from_slice(&[1.0_f32; 8], &[8, 1]))),
            ("a.g_idx", Some(words(&[0; 8], &[8]))),
        ];
        for (name, array) in cases {
            let mut tensors = layer();
            match array {
                Some(array) => tensors.insert(name.to_owned(), array),
                None => tensors.remove(name),
            };
            let error = transform(&mut tensors).expect_err(name);
            assert_eq!(error.code(), "ERR_WEIGHTS_MISMATCH", "{name}: {error}");
        }
        let mut dense = HashMap::from([("norm".to_owned(), Array::from_f32(1.0))]);
        assert!(transform(&mut dense).is_err());
    }
}
