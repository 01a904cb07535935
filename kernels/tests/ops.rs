// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The other operations, with every instruction set that the machine has, against f64.

mod common;

use common::Random;
use cpu_kernels::{Activation, Attention, InstructionSet, Kernels, Mask, RmsNorm, Rotation, Tensor};

const TOLERANCE: f64 = 4e-6;

fn kernels() -> impl Iterator<Item = Kernels> {
    InstructionSet::ALL.iter().filter(|set| set.is_available()).map(|&set| Kernels::new(set, 2))
}

fn compare(y: &[f32], expected: &[f64], what: &str) {
    assert_eq!(y.len(), expected.len(), "{what}");
    for (i, (&y, &expected)) in y.iter().zip(expected).enumerate() {
        let error = (f64::from(y) - expected).abs() / expected.abs().max(1.0);
        assert!(error <= TOLERANCE, "{what}: {y} instead of {expected} at {i}");
    }
}

fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn norms_are_those_of_f64() {
    let mut random = Random::new(1);
    for kernels in kernels() {
        for (rows, dims) in [(1, 1), (1, 7), (3, 64), (40, 1024), (2, 1000)] {
            let (x, weight) = (random.floats(rows * dims), random.floats(dims));
            for weight in [None, Some(weight.as_slice())] {
                let mut y = vec![f32::NAN; rows * dims];
                let norm = RmsNorm { weight, eps: 1e-5 };
                kernels.rms_norm(Tensor::contiguous(&x, [1, 1, rows, dims]), norm, &mut y);
                let expected: Vec<f64> = widen(&x)
                    .chunks(dims)
                    .flat_map(|row| {
                        let mean = row.iter().map(|x| x * x).sum::<f64>() / dims as f64;
                        let factor = 1.0 / (mean + f64::from(1e-5f32)).sqrt();
                        let weight = |i: usize| weight.map_or(1.0, |weight| f64::from(weight[i]));
                        row.iter().enumerate().map(|(i, x)| x * factor * weight(i)).collect::<Vec<_>>()
                    })
                    .collect();
                compare(&y, &expected, &format!("{rows} x {dims}"));
            }
        }
    }
}

#[test]
fn activations_are_those_of_f64() {
    let mut random = Random::new(2);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    for kernels in kernels() {
        for width in [1, 5, 16, 100, 5000] {
            let gate: Vec<f32> = random.floats(3 * width).iter().map(|x| 12.0 * x).collect();
            let x: Vec<f32> = random.floats(3 * width).iter().map(|x| 9.0 * x).collect();
            for activation in [Activation::Swiglu, Activation::Geglu, Activation::Sigmoid, Activation::SwigluOai] {
                let view = |data| Tensor::contiguous(data, [1, 1, 3, width]);
                let mut y = vec![f32::NAN; 3 * width];
                kernels.gated(activation, view(&gate), view(&x), &mut y);
                let expected: Vec<f64> = widen(&gate)
                    .into_iter()
                    .zip(widen(&x))
                    .map(|(gate, x)| match activation {
                        Activation::Swiglu => gate * sigmoid(gate) * x,
                        Activation::Geglu => {
                            let inner = (2.0 / std::f64::consts::PI).sqrt() * (gate + 0.044_715 * gate.powi(3));
                            0.5 * gate * (1.0 + inner.tanh()) * x
                        }
                        Activation::Sigmoid => sigmoid(gate) * x,
                        Activation::SwigluOai => {
                            let gate = gate.min(7.0);
                            gate * sigmoid(1.702 * gate) * (x.clamp(-7.0, 7.0) + 1.0)
                        }
                    })
                    .collect();
                compare(&y, &expected, &format!("{activation:?} of {width}"));
            }
        }
    }
}

#[test]
fn activations_keep_nan_and_survive_large_numbers() {
    for kernels in kernels() {
        let gate = [f32::NAN, 1e30, -1e30, f32::INFINITY];
        let mut y = [0.0; 4];
        let view = |data| Tensor::contiguous(data, [1, 1, 1, 4]);
        kernels.gated(Activation::Swiglu, view(&gate), view(&[2.0; 4]), &mut y);
        assert!(y[0].is_nan() && y[1] == 2e30 && y[2].abs() < 1e-5 && y[3] == f32::INFINITY, "{y:?}");
    }
}

#[test]
fn logsumexp_is_that_of_f64() {
    let mut random = Random::new(3);
    for kernels in kernels() {
        for width in [1, 15, 16, 1000, 16_384, 50_001] {
            let x: Vec<f32> = random.floats(2 * width).iter().map(|x| 30.0 * x).collect();
            let mut y = [f32::NAN; 2];
            kernels.logsumexp(Tensor::contiguous(&x, [1, 1, 2, width]), &mut y);
            let expected: Vec<f64> =
                widen(&x).chunks(width).map(|row| row.iter().map(|x| x.exp()).sum::<f64>().ln()).collect();
            compare(&y, &expected, &format!("{width}"));
        }
        for (values, expected) in [
            ([f32::NEG_INFINITY; 20], f32::NEG_INFINITY),
            ([f32::INFINITY; 20], f32::INFINITY),
            ([f32::NAN; 20], f32::NAN),
        ] {
            for place in [0, 19] {
                let mut x = if expected.is_infinite() && expected < 0.0 { values } else { [1.0; 20] };
                x[place] = values[place];
                let mut y = [0.0];
                kernels.logsumexp(Tensor::contiguous(&x, [1, 1, 1, 20]), &mut y);
                assert!(y[0] == expected || y[0].is_nan() && expected.is_nan(), "{expected}: {y:?}");
            }
        }
    }
}

#[test]
fn a_rotation_of_normalized_rows_is_one_after_the_other() {
    let mut random = Random::new(6);
    for kernels in kernels() {
        let (x, weight) = (random.floats(2 * 3 * 40), random.floats(8));
        let rotation = Rotation::new(vec![1.0, 0.1, 0.01], false);
        // Heads 1 to 3 of five, of eight features each.
        let heads = Tensor::contiguous(&x, [1, 2, 3, 40]).columns(8..32).heads_first(3);
        let norm = RmsNorm { weight: Some(&weight), eps: 1e-5 };
        let (mut normed, mut expected, mut y) = ([0.0; 144], [0.0; 144], [f32::NAN; 144]);
        kernels.rms_norm(heads, norm, &mut normed);
        kernels.rope(&rotation, Tensor::contiguous(&normed, [2, 3, 3, 8]), None, 5, &mut expected);
        kernels.rope(&rotation, heads, Some(norm), 5, &mut y);
        assert_eq!(y, expected);
    }
}

#[test]
fn rotations_are_those_of_f64() {
    let mut random = Random::new(4);
    for kernels in kernels() {
        for interleaved in [false, true] {
            for (pairs, dims, length, offset) in [(4, 8, 1, 0), (8, 24, 3, 17), (32, 64, 5, 1000)] {
                let frequencies: Vec<f32> = (0..pairs).map(|i| 10_000f32.powf(-(i as f32) / pairs as f32)).collect();
                let x = random.floats(2 * length * dims);
                let rotation = Rotation::new(frequencies.clone(), interleaved);
                for _ in 0..2 {
                    let mut y = vec![f32::NAN; x.len()];
                    kernels.rope(&rotation, Tensor::contiguous(&x, [1, 2, length, dims]), None, offset, &mut y);
                    let mut expected = widen(&x);
                    for (row, y) in expected.chunks_mut(dims).enumerate() {
                        let position = (offset + (row % length) as i64) as f32;
                        for (pair, frequency) in frequencies.iter().enumerate() {
                            let (sin, cos) = f64::from(position * frequency).sin_cos();
                            let (a, b) = if interleaved { (2 * pair, 2 * pair + 1) } else { (pair, pairs + pair) };
                            (y[a], y[b]) = (y[a] * cos - y[b] * sin, y[a] * sin + y[b] * cos);
                        }
                    }
                    compare(&y, &expected, &format!("{pairs} pairs of {dims}, interleaved {interleaved}"));
                }
            }
        }
    }
}

/// Attention in f64.
fn attend(
    attention: &Attention<'_>,
    row: impl Fn(&Tensor<'_>, [usize; 3]) -> Vec<f64>,
    mask: impl Fn([usize; 4]) -> Option<f64>,
) -> Vec<f64> {
    let [batch, heads, length, _] = attention.queries.shape();
    let [_, kv_heads, seen, value_dims] = attention.values.shape();
    let mut y = Vec::new();
    for b in 0..batch {
        for head in 0..heads {
            let kv_head = head / (heads / kv_heads);
            for token in 0..length {
                let query = row(&attention.queries, [b, head, token]);
                let mut scores: Vec<f64> = (0..seen)
                    .map(|key| {
                        let keys = row(&attention.keys, [b, kv_head, key]);
                        let score: f64 = query.iter().zip(keys).map(|(a, b)| a * b).sum();
                        mask([b, head, token, key])
                            .map_or(f64::from(f32::MIN), |added| score * f64::from(attention.scale) + added)
                    })
                    .collect();
                scores.extend(attention.sinks.map(|sinks| f64::from(sinks[head])));
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for feature in 0..value_dims {
                    let value = |key| row(&attention.values, [b, kv_head, key])[feature];
                    y.push((0..seen).map(|key| weights[key] / sum * value(key)).sum());
                }
            }
        }
    }
    y
}

#[test]
fn attention_is_that_of_f64() {
    let mut random = Random::new(5);
    let row = |shape: [usize; 4], data: &[f32], place: [usize; 3]| -> Vec<f64> {
        let at = ((place[0] * shape[1] + place[1]) * shape[2] + place[2]) * shape[3];
        widen(&data[at..at + shape[3]])
    };
    for kernels in kernels() {
        for (batch, heads, kv_heads, length, seen, dims, value_dims) in [
            (1, 1, 1, 1, 1, 1, 1),
            (1, 4, 2, 1, 70, 64, 64),
            (2, 8, 1, 1, 130, 80, 40),
            (1, 6, 2, 5, 9, 24, 13),
            (2, 4, 4, 40, 40, 32, 32),
            (1, 16, 2, 19, 100, 128, 128),
        ] {
            let shapes =
                [[batch, heads, length, dims], [batch, kv_heads, seen, dims], [batch, kv_heads, seen, value_dims]];
            let [q, k, v] = shapes.map(|shape| random.floats(shape.iter().product()));
            let sinks = random.floats(heads);
            let seen_mask: Vec<u8> = (0..length * seen).map(|_| u8::from(random.below(3) > 0)).collect();
            let added: Vec<f32> = random.floats(length * seen);
            let full = [batch, heads, length, seen];
            let masks = [
                Mask::All,
                Mask::Causal,
                Mask::Seen(Tensor::new(&seen_mask, full, [0, 0, seen]).unwrap()),
                Mask::Added(Tensor::new(&added, full, [0, 0, seen]).unwrap()),
            ];
            for mask in masks {
                for sinks in [None, Some(sinks.as_slice())] {
                    let attention = Attention {
                        queries: Tensor::contiguous(&q, shapes[0]),
                        keys: Tensor::contiguous(&k, shapes[1]),
                        values: Tensor::contiguous(&v, shapes[2]),
                        scale: 0.3,
                        mask,
                        sinks,
                    };
                    let mut y = vec![f32::NAN; batch * heads * length * value_dims];
                    kernels.attention(&attention, &mut y);
                    let expected = attend(
                        &attention,
                        |tensor, place| {
                            let shape = tensor.shape();
                            let of = if std::ptr::eq(tensor, &attention.queries) {
                                &q
                            } else if std::ptr::eq(tensor, &attention.keys) {
                                &k
                            } else {
                                &v
                            };
                            row(shape, of, place)
                        },
                        |[_, _, token, key]| match mask {
                            Mask::All => Some(0.0),
                            Mask::Causal => (key + length <= seen + token).then_some(0.0),
                            Mask::Seen(_) => (seen_mask[token * seen + key] != 0).then_some(0.0),
                            Mask::Added(_) => Some(f64::from(added[token * seen + key])),
                        },
                    );
                    compare(&y, &expected, &format!("{shapes:?}, {mask:?}, sinks {}", sinks.is_some()));
                }
            }
        }
    }
}
