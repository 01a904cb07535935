// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Rotary position embeddings.

use std::sync::{Arc, Mutex};

use super::RmsNorm;
use crate::{
    Kernels,
    pool::lock,
    simd::{Kernel, Simd, dispatch},
    tensor::Tensor,
};

/// A rotation of the first features of each head. It keeps the angles of the last positions, which all layers share.
#[derive(Debug)]
pub struct Rotation {
    /// The angle from one position to the next, for each pair of features.
    frequencies: Vec<f32>,
    /// Whether a pair is two neighbouring features, instead of one of the first half and one of the second.
    interleaved: bool,
    last: Mutex<Option<Arc<Angles>>>,
}

/// Of `length` positions from `offset` on: \[position]\[pair].
#[derive(Debug)]
struct Angles {
    offset: i64,
    length: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotation {
    /// `frequencies`: the angle from one position to the next, for each pair of features.
    pub fn new(frequencies: Vec<f32>, interleaved: bool) -> Self {
        Self { frequencies, interleaved, last: Mutex::new(None) }
    }

    /// The number of features that are rotated.
    pub fn dims(&self) -> usize {
        2 * self.frequencies.len()
    }

    fn angles(&self, offset: i64, length: usize) -> Arc<Angles> {
        let mut last = lock(&self.last);
        if let Some(angles) = last.as_ref().filter(|angles| angles.offset == offset && angles.length == length) {
            return Arc::clone(angles);
        }
        let positions = (offset..).take(length).map(|position| position as f32);
        let (sin, cos) = positions
            .flat_map(|position| self.frequencies.iter().map(move |frequency| position * frequency))
            .map(f32::sin_cos)
            .unzip();
        let angles = Arc::new(Angles { offset, length, cos, sin });
        *last = Some(Arc::clone(&angles));
        angles
    }
}

impl Kernels {
    /// Rotates rows by their positions, of which the first is `offset`, after normalizing them; x: (B, H, L, D) →
    /// (B, H, L, D), row by row
    ///
    /// # Panics
    /// If `y` or the norm does not have this size, or D is smaller than what is rotated.
    pub fn rope(&self, rotation: &Rotation, x: Tensor<'_>, norm: Option<RmsNorm<'_>>, offset: i64, y: &mut [f32]) {
        let [_, _, length, dims] = x.shape();
        assert!(y.len() == x.rows() * dims && rotation.dims() <= dims);
        assert!(norm.is_none_or(|norm| norm.has_width(dims)));
        let angles = rotation.angles(offset, length);
        let pairs = rotation.frequencies.len();
        self.for_each_row(y, dims, 2, |row, y| {
            match &norm {
                Some(norm) => norm.apply(self.set, x.row_at(row), y),
                None => y.copy_from_slice(x.row_at(row)),
            }
            let at = row % length * pairs;
            let (cos, sin) = (&angles.cos[at..at + pairs], &angles.sin[at..at + pairs]);
            dispatch(self.set, Rotate { y: &mut y[..2 * pairs], cos, sin, interleaved: rotation.interleaved });
        });
    }
}

/// Rotates features in place.
struct Rotate<'a> {
    y: &'a mut [f32],
    cos: &'a [f32],
    sin: &'a [f32],
    interleaved: bool,
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { y, cos, sin, interleaved } = self;
        let angles = cos.iter().zip(sin);
        if interleaved {
            for (pair, (cos, sin)) in y.chunks_exact_mut(2).zip(angles) {
                let (a, b) = (pair[0], pair[1]);
                (pair[0], pair[1]) = (a * cos - b * sin, a * sin + b * cos);
            }
            return;
        }
        let (first, second) = y.split_at_mut(cos.len());
        for ((y1, y2), (cos, sin)) in first.iter_mut().zip(second).zip(angles) {
            let (a, b) = (*y1, *y2);
            (*y1, *y2) = (a * cos - b * sin, a * sin + b * cos);
        }
    }
}
