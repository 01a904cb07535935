// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Products of every format, with every instruction set that the machine has, against f64.

mod common;

use common::{AFFINE_BITS, Random, Stored, affine, formats};
use cpu_kernels::{Encoding, Floats, Format, InstructionSet, Kernels, Matrix};

/// The largest error, as a fraction of what the products' terms amount to: a few units of f32's precision.
const TOLERANCE: f64 = 2e-6;

fn kernels() -> impl Iterator<Item = Kernels> {
    InstructionSet::ALL.iter().filter(|set| set.is_available()).map(|&set| Kernels::new(set, 2))
}

/// Compares with f64, relative to the sum of the terms' magnitudes.
fn compare(stored: &Stored, x: &[f32], which: &[usize], y: &[f32], what: &str) {
    let [rows, columns] = stored.shape;
    for (i, &which) in which.iter().enumerate() {
        let x = &x[i * columns..(i + 1) * columns];
        let expected = stored.product(x, which);
        let magnitudes: Vec<f64> = (0..rows)
            .map(|row| {
                (0..columns)
                    .map(|column| (stored.weight(which * rows + row, column) * f64::from(x[column])).abs())
                    .sum::<f64>()
            })
            .collect();
        for (row, (&y, expected)) in y[i * rows..(i + 1) * rows].iter().zip(expected).enumerate() {
            let error = (f64::from(y) - expected).abs() / magnitudes[row].max(1e-30);
            assert!(error <= TOLERANCE, "{what}: row {i}, output {row}: {y} instead of {expected}, error {error:e}");
        }
    }
}

/// Multiplies rows with the first matrix, and compares.
fn check(kernels: &Kernels, stored: &Stored, x: &[f32], what: &str) {
    let rows = x.len() / stored.shape[1];
    let mut y = vec![f32::NAN; rows * stored.shape[0]];
    kernels.matmul(x, &stored.matrix(), &mut y);
    let what = format!("{:?}, {:?}, {rows} rows, {what}", kernels.instruction_set(), stored.format);
    compare(stored, x, &vec![0; rows], &y, &what);
}

#[test]
fn products_are_those_of_f64() {
    let mut random = Random::new(1);
    let small = if cfg!(miri) { 1 } else { 3 };
    for kernels in kernels() {
        for format in formats() {
            let group = format.groups.map_or(32, |groups| groups.size);
            for _ in 0..small {
                let shape = [1 + random.below(70), group * (1 + random.below(6))];
                let stored = Stored::random(format, shape, 1, &mut random);
                for rows in [1, 2, 3, 4, 5, 6, 7, 13, 31] {
                    check(&kernels, &stored, &random.floats(rows * shape[1]), &format!("{shape:?}"));
                }
            }
        }
    }
}

#[test]
fn gathered_products_are_those_of_f64() {
    let mut random = Random::new(2);
    for kernels in kernels() {
        for format in formats() {
            let stored = Stored::random(format, [40, 256], 5, &mut random);
            for count in [1, 2, 9, 40] {
                let x = random.floats(3 * 256);
                let from: Vec<usize> = (0..count).map(|_| random.below(3)).collect();
                let which: Vec<usize> = (0..count).map(|_| random.below(5)).collect();
                let mut y = vec![f32::NAN; count * 40];
                kernels.gather_matmul(&x, &from, &which, &stored.matrix(), &mut y);
                let gathered: Vec<f32> =
                    from.iter().flat_map(|&from| &x[from * 256..(from + 1) * 256]).copied().collect();
                compare(&stored, &gathered, &which, &y, &format!("{format:?}, {count} rows"));
            }
        }
    }
}

#[test]
fn rows_may_be_longer_than_a_task() {
    let mut random = Random::new(7);
    let stored = Stored::random(Format { encoding: Encoding::F32, groups: None }, [3, 8192], 1, &mut random);
    for kernels in kernels() {
        for rows in [1, 6] {
            check(&kernels, &stored, &random.floats(rows * 8192), "8192 columns");
        }
    }
}

#[test]
fn sums_do_not_depend_on_the_number_of_threads() {
    let mut random = Random::new(3);
    let stored = Stored::random(affine(4, 64, Floats::Bf16), [300, 576], 1, &mut random);
    for rows in [1, 3, 20] {
        let x = random.floats(rows * 576);
        let products = [1, 2, 3, 7].map(|threads| {
            let mut y = vec![f32::NAN; rows * 300];
            Kernels::new(InstructionSet::best(), threads).matmul(&x, &stored.matrix(), &mut y);
            y
        });
        assert!(products.windows(2).all(|pair| pair[0] == pair[1]), "{rows} rows");
    }
}

#[test]
fn nan_and_infinity_reach_their_row_and_no_other() {
    let mut random = Random::new(4);
    for kernels in kernels() {
        for format in formats() {
            let stored = Stored::random(format, [33, 256], 1, &mut random);
            for rows in [1, 3, 9, 17] {
                for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let mut x = random.floats(rows * 256);
                    let bad = random.below(x.len());
                    x[bad] = value;
                    let mut y = vec![0.0; rows * 33];
                    kernels.matmul(&x, &stored.matrix(), &mut y);
                    for (row, y) in y.chunks_exact(33).enumerate() {
                        let is_bad = row == bad / 256;
                        // A weight may be 0.
                        assert!(y.iter().all(|y| y.is_finite() != is_bad), "{format:?}, {rows} rows, {value}: {y:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn infinite_scales_of_one_matrix_do_not_reach_another() {
    let mut random = Random::new(6);
    let format = affine(4, 32, Floats::F32);
    let mut infinite = Stored::random(format, [64, 4096], 1, &mut random);
    infinite.scales = f32::INFINITY.to_le_bytes().repeat(infinite.scales.len() / 4);
    for kernels in kernels() {
        // The last vector of a row has lanes without weights.
        let healthy = Stored::random(format, [33, 96], 1, &mut random);
        for rows in [1, 4, 17] {
            let x = random.floats(rows * 4096);
            kernels.matmul(&x, &infinite.matrix(), &mut vec![0.0; rows * 64]);
            check(&kernels, &healthy, &random.floats(rows * 96), "after infinite scales");
        }
    }
}

#[test]
fn tiny_numbers_keep_their_precision_down_to_the_smallest_normal_one() {
    let mut random = Random::new(5);
    for kernels in kernels() {
        for format in [affine(4, 64, Floats::F32), Format { encoding: Encoding::Bf16, groups: None }] {
            let stored = Stored::random(format, [32, 128], 1, &mut random);
            for rows in [1, 8, 17] {
                let x: Vec<f32> = random.floats(rows * 128).iter().map(|x| x * 1e-26).collect();
                check(&kernels, &stored, &x, "tiny numbers");
            }
        }
    }
}

#[test]
fn groups_keep_their_precision_beside_much_larger_ones() {
    let mut random = Random::new(8);
    for kernels in kernels() {
        for bits in AFFINE_BITS {
            let mut stored = Stored::random(affine(bits, 64, Floats::F32), [32, 256], 1, &mut random);
            // The weights of the first group, with which the large numbers are multiplied, are 0.
            for floats in [&mut stored.scales, &mut stored.biases] {
                floats.chunks_exact_mut(4 * 4).for_each(|row| row[..4].fill(0));
            }
            for rows in [1, 17] {
                let mut x = random.floats(rows * 256);
                x.chunks_exact_mut(256).flat_map(|row| &mut row[..64]).for_each(|x| *x *= 1e6);
                check(&kernels, &stored, &x, "a group of large numbers");
            }
        }
    }
}

#[test]
fn slices_of_the_wrong_size_make_no_matrix() {
    let format = affine(4, 64, Floats::F32);
    let (weights, scales) = (vec![0; 4 * 64 / 2], vec![0; 4 * 4]);
    let shape = [4, 64];
    assert!(Matrix::new(format, shape, &weights, &scales, &scales).is_some());
    assert!(Matrix::new(format, shape, &weights[1..], &scales, &scales).is_none());
    assert!(Matrix::new(format, shape, &weights, &scales[4..], &scales).is_none());
    assert!(Matrix::new(format, shape, &weights, &scales, &[]).is_none());
    assert!(Matrix::new(format, [4, 48], &weights, &scales, &scales).is_none());
    assert!(Matrix::new(format, [0, 64], &[], &[], &[]).is_none());
    assert!(Matrix::new(affine(7, 64, Floats::F32), shape, &weights, &scales, &scales).is_none());
}

#[test]
fn no_rows_give_nothing() {
    let mut random = Random::new(6);
    let stored = Stored::random(affine(4, 64, Floats::F32), [8, 64], 1, &mut random);
    for kernels in kernels() {
        kernels.matmul(&[], &stored.matrix(), &mut []);
        kernels.gather_matmul(&[], &[], &[], &stored.matrix(), &mut []);
    }
}
