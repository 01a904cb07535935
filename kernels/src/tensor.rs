// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Arrays whose axes may lie anywhere in memory.

use std::ops::Range;

/// A view of four axes, of which the last is contiguous. An axis of stride 0 repeats.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a, T = f32> {
    data: &'a [T],
    shape: [usize; 4],
    strides: [usize; 3],
}

impl<'a, T> Tensor<'a, T> {
    /// `strides`: of the first three axes, in elements. Returns `None` if an element would lie outside of `data`.
    pub fn new(data: &'a [T], shape: [usize; 4], strides: [usize; 3]) -> Option<Self> {
        let last = shape
            .iter()
            .zip(strides)
            .try_fold(shape[3], |end, (&length, stride)| end.checked_add(length.checked_sub(1)?.checked_mul(stride)?));
        let is_empty = shape.contains(&0);
        (is_empty || last? <= data.len()).then_some(Self { data, shape, strides })
    }

    /// A view of what lies row by row.
    ///
    /// # Panics
    /// If `data` is shorter.
    pub fn contiguous(data: &'a [T], shape: [usize; 4]) -> Self {
        let [_, b, c, d] = shape;
        Self::new(data, shape, [b * c * d, c * d, d]).unwrap_or_else(|| panic!("{shape:?} of {} elements", data.len()))
    }

    /// The given elements of each row.
    ///
    /// # Panics
    /// If a row has fewer.
    pub fn columns(self, range: Range<usize>) -> Self {
        let [a, b, c, width] = self.shape;
        assert!(range.start <= range.end && range.end <= width);
        let data = self.data.get(range.start..).unwrap_or_default();
        Self { data, shape: [a, b, c, range.len()], ..self }
    }

    /// (1, B, L, H * D) → (B, H, L, D)
    ///
    /// # Panics
    /// If the first axis is longer, or the last one is not a multiple of `heads`.
    pub fn heads_first(self, heads: usize) -> Self {
        let ([one, b, length, width], [_, of_b, of_length]) = (self.shape, self.strides);
        assert!(one == 1 && heads > 0 && width % heads == 0);
        let dims = width / heads;
        Self { data: self.data, shape: [b, heads, length, dims], strides: [of_b, dims, of_length] }
    }

    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// The rows of the last axis.
    pub(crate) fn rows(&self) -> usize {
        self.shape[..3].iter().product()
    }

    /// The row at the given place on the first three axes.
    #[inline(always)]
    pub(crate) fn row(&self, place: [usize; 3]) -> &'a [T] {
        let start: usize = place.iter().zip(self.strides).map(|(index, stride)| index * stride).sum();
        &self.data[start..start + self.shape[3]]
    }

    /// The row with the given index among all.
    #[inline(always)]
    pub(crate) fn row_at(&self, index: usize) -> &'a [T] {
        let [_, b, c, _] = self.shape;
        self.row([index / (b * c), index / c % b, index % c])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_stays_inside_of_its_data() {
        let data = [0.0; 24];
        assert!(Tensor::new(&data, [1, 2, 3, 4], [24, 12, 4]).is_some());
        assert!(Tensor::new(&data, [1, 3, 2, 4], [24, 4, 12]).is_some());
        assert!(Tensor::new(&data, [1, 2, 3, 4], [24, 13, 4]).is_none());
        assert!(Tensor::new(&data, [9, 2, 3, 4], [0, 12, 4]).is_some());
        assert!(Tensor::new(&data[..0], [1, 0, 3, 4], [24, 12, 4]).is_some());
        assert!(Tensor::new(&data, [1, 1, usize::MAX, 4], [1, 1, usize::MAX]).is_none());
    }

    #[test]
    fn heads_are_parts_of_rows() {
        let data: Vec<usize> = (0..24).collect();
        // Two tokens of three features, a head of four, and another of four.
        let view = Tensor::contiguous(&data, [1, 1, 2, 12]).columns(4..12).heads_first(2);
        assert_eq!(view.shape(), [1, 2, 2, 4]);
        assert_eq!(view.row([0, 0, 1]), [16, 17, 18, 19]);
        assert_eq!(view.row([0, 1, 0]), [8, 9, 10, 11]);
        assert_eq!(Tensor::contiguous(&data[..0], [1, 0, 2, 12]).columns(4..12).rows(), 0);
    }

    #[test]
    fn rows_are_found_by_their_strides() {
        let data: Vec<usize> = (0..24).collect();
        let view = Tensor::new(&data, [1, 3, 2, 4], [24, 4, 12]).unwrap();
        assert_eq!(view.row([0, 2, 1]), [20, 21, 22, 23]);
        assert_eq!(view.row_at(5), [20, 21, 22, 23]);
        assert_eq!(view.row_at(2), [4, 5, 6, 7]);
    }
}
