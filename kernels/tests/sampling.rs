// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What tokens are drawn from, with every instruction set that the machine has, against f64.

mod common;

use common::Random;
use cpu_kernels::{InstructionSet, Keep, Kernels, Tensor};

const NEVER: f32 = f32::NEG_INFINITY;
/// Of the mass of all tokens.
const TOLERANCE: f64 = 1e-6;

fn kernels() -> impl Iterator<Item = Kernels> {
    InstructionSet::ALL.iter().filter(|set| set.is_available()).map(|&set| Kernels::new(set, 2))
}

/// Log-probabilities of a bell curve, some of which are equal and some of which are 0.
fn logprobs(random: &mut Random, count: usize, spread: f32) -> Vec<f32> {
    let mut x: Vec<f32> =
        (0..count).map(|_| spread * (random.unit() + random.unit() + random.unit() + random.unit())).collect();
    for _ in 0..count / 10 {
        x[random.below(count)] = x[random.below(count)];
        x[random.below(count)] = NEVER;
    }
    x[random.below(count)] = spread;
    let sum: f64 = x.iter().map(|x| f64::from(*x).exp()).sum();
    x.iter().map(|x| (f64::from(*x) - sum.ln()) as f32).collect()
}

fn kept(kernels: &Kernels, keep: Keep, x: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len()];
    kernels.keep(keep, Tensor::contiguous(x, [1, 1, 1, x.len()]), &mut y);
    assert!(y.iter().zip(x).all(|(y, x)| *y == NEVER || y == x));
    y.retain(|y| *y > NEVER);
    y.sort_unstable_by(|a, b| b.total_cmp(a));
    y
}

#[test]
fn the_likeliest_tokens_are_kept_until_they_reach_their_share() {
    let mut random = Random::new(1);
    for kernels in kernels() {
        for (width, spread) in
            [(1, 1.0), (7, 1.0), (1000, 3.0), (50_001, 0.0), (50_001, 1e-4), (50_001, 0.7), (50_001, 9.0)]
        {
            let x = logprobs(&mut random, width, spread);
            let mut sorted = x.clone();
            sorted.sort_unstable_by(|a, b| b.total_cmp(a));
            let masses: Vec<f64> = sorted.iter().map(|x| f64::from(*x).exp()).collect();
            for share in [1e-9, 0.01, 0.5, 0.9, 0.999, 1.0 - f32::EPSILON] {
                let about = format!("{:?}, {share} of {width} with {spread}", kernels.instruction_set());
                let kept = kept(&kernels, Keep::Share(share), &x);
                assert_eq!(kept, sorted[..kept.len()], "{about}");
                let (last, goal) = (kept[kept.len() - 1], f64::from(share) * masses.iter().sum::<f64>());
                assert!(sorted.get(kept.len()).is_none_or(|next| *next < last), "a tie is cut: {about}");
                let before = kept.iter().take_while(|x| **x > last).count();
                assert!(masses[..kept.len()].iter().sum::<f64>() > goal - TOLERANCE, "too few: {about}");
                assert!(masses[..before].iter().sum::<f64>() < goal + TOLERANCE, "too many: {about}");
            }
        }
    }
}

#[test]
fn the_likeliest_tokens_are_kept_by_their_number() {
    let mut random = Random::new(2);
    for kernels in kernels() {
        for (width, spread) in
            [(1, 1.0), (7, 1.0), (1000, 3.0), (50_001, 0.0), (50_001, 0.7), (50_001, 9.0), (50_001, 90.0)]
        {
            let x = logprobs(&mut random, width, spread);
            let mut sorted = x.clone();
            sorted.retain(|x| *x > NEVER);
            sorted.sort_unstable_by(|a, b| b.total_cmp(a));
            for count in [1, 2, 20, 999, 1000, 40_000, 60_000] {
                let about = format!("{:?}, {count} of {width} with {spread}", kernels.instruction_set());
                assert_eq!(kept(&kernels, Keep::Count(count), &x), sorted[..count.min(sorted.len())], "{about}");
            }
        }
    }
}

#[test]
fn special_numbers_are_kept_or_not() {
    let half = 0.5f32.ln();
    for kernels in kernels() {
        for (x, keep, expected) in [
            ([0.0, NEVER, NEVER, NEVER], Keep::Share(0.4), &[0.0][..]),
            ([-0.0, -20.0, -30.0, NEVER], Keep::Share(0.4), &[0.0]),
            ([-40.0, 1e-8, -30.0, NEVER], Keep::Share(0.4), &[1e-8]),
            ([half, NEVER, half, NEVER], Keep::Share(0.4), &[half; 2]),
            ([half, NEVER, half, NEVER], Keep::Count(1), &[half]),
            ([half, NEVER, half, NEVER], Keep::Count(3), &[half; 2]),
            // Of what there is, though that is less than 1.
            ([-1.0, -1.5, -3.0, NEVER], Keep::Share(0.6), &[-1.0, -1.5]),
            ([NEVER; 4], Keep::Share(0.4), &[]),
            ([NEVER; 4], Keep::Count(2), &[]),
            ([1e30, 5.0, 1e30, -1e30], Keep::Count(3), &[1e30, 1e30, 5.0]),
        ] {
            assert_eq!(kept(&kernels, keep, &x), expected, "{keep:?} of {x:?}");
        }
        let mut y = [0.0; 4];
        for keep in [Keep::Share(0.5), Keep::Count(2)] {
            kernels.keep(keep, Tensor::contiguous(&[f32::NAN, -f32::NAN, f32::NAN, f32::NAN], [1, 1, 1, 4]), &mut y);
            assert_eq!(y, [NEVER; 4]);
        }
    }
}

#[test]
fn each_row_is_filtered_by_itself() {
    for kernels in kernels() {
        let x = [-0.1, -3.0, -4.0, -5.0, -0.2, -3.0];
        let mut y = [0.0; 6];
        kernels.keep(Keep::Share(0.5), Tensor::contiguous(&x, [1, 1, 2, 3]), &mut y);
        assert_eq!(y, [-0.1, NEVER, NEVER, NEVER, -0.2, NEVER]);
        kernels.allow(&[0b110], Tensor::contiguous(&x, [1, 2, 1, 3]), &mut y);
        assert_eq!(y, [NEVER, -3.0, -4.0, NEVER, -0.2, -3.0]);
    }
}

#[test]
fn only_allowed_tokens_stay() {
    let mut random = Random::new(3);
    for kernels in kernels() {
        for width in [1, 31, 32, 33, 1000] {
            let (x, set) = (random.floats(width), [random.bits() as u32, u32::MAX, 0, random.bits() as u32]);
            let mut y = vec![f32::NAN; width];
            kernels.allow(&set, Tensor::contiguous(&x, [1, 1, 1, width]), &mut y);
            for (token, (x, y)) in x.iter().zip(y).enumerate() {
                let is_allowed = set.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 == 1);
                assert_eq!(y, if is_allowed { *x } else { NEVER }, "{token} of {width}");
            }
        }
    }
}

#[test]
fn what_is_drawn_depends_on_the_key_alone() {
    let mut random = Random::new(4);
    let x = logprobs(&mut random, 50_001, 2.0);
    for keys in [0..20, 1 << 40..(1 << 40) + 20] {
        let drawn = |kernels: &Kernels| keys.clone().map(|key| kernels.draw(&x, 1.25, key)).collect::<Vec<_>>();
        let expected = drawn(&Kernels::new(InstructionSet::ALL[0], 1));
        assert!(expected.iter().any(|token| *token < 25_000) && expected.iter().any(|token| *token > 25_000));
        for kernels in kernels() {
            assert_eq!(drawn(&kernels), expected, "{:?}", kernels.instruction_set());
        }
    }
}

#[test]
fn draws_follow_their_probabilities() {
    const DRAWS: u32 = 20_000;
    // Next to each other, on both sides of the middle, and blocks apart.
    let places =
        [(1, vec![0]), (2, vec![0, 1]), (3, vec![0, 1, 2]), (700, vec![349, 350, 351]), (3000, vec![1700, 1956, 2212])];
    for kernels in kernels() {
        for (width, places) in &places {
            // One to three parts of all.
            let mut x = vec![NEVER; *width];
            for (i, place) in places.iter().enumerate() {
                x[*place] = (1.0 + i as f32).ln() / 2.0;
            }
            let mut counts = vec![0u32; *width];
            (0..DRAWS).for_each(|key| counts[kernels.draw(&x, 2.0, u64::from(key) << 20)] += 1);
            let all: f64 = (1..=places.len()).map(|i| i as f64).sum();
            for (i, place) in places.iter().enumerate() {
                let expected = f64::from(DRAWS) * (i + 1) as f64 / all;
                let error = (f64::from(counts[*place]) - expected).abs();
                assert!(error <= 4.0 * expected.sqrt(), "{counts:?}: {error} of {width}");
            }
            assert_eq!(places.iter().map(|place| counts[*place]).sum::<u32>(), DRAWS);
        }
    }
}
