// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Operations on arrays that mlx-rs lacks, or has only in forms that panic.

use mlx_rs::{Array, Dtype, Stream, error::Exception};

use super::{call, computes_on_cuda};
use crate::error::{Error, Result};

/// The length of an axis; 0 if there is no such axis.
pub fn dim(a: &Array, axis: usize) -> i32 {
    a.shape().get(axis).copied().unwrap_or(0)
}

/// A number as a 0-d array of that dtype, so that it does not promote the other operand.
pub fn scalar(value: f32, dtype: Dtype) -> Result<Array, Exception> {
    numbers(&[value], &[], dtype)
}

/// Numbers as an array of (N,), with that dtype.
pub fn vector(values: &[f32], dtype: Dtype) -> Result<Array, Exception> {
    numbers(values, &[i32::try_from(values.len()).unwrap_or(i32::MAX)], dtype)
}

/// Made in their dtype: a cast would be one more kernel on the device.
fn numbers(values: &[f32], shape: &[i32], dtype: Dtype) -> Result<Array, Exception> {
    Ok(match dtype {
        Dtype::Float32 => Array::from_slice(values, shape),
        Dtype::Bfloat16 => Array::from_slice(&convert(values, half::bf16::from_f32), shape),
        Dtype::Float16 => Array::from_slice(&convert(values, half::f16::from_f32), shape),
        _ => Array::from_slice(values, shape).as_dtype(dtype)?,
    })
}

fn convert<T>(values: &[f32], into: fn(f32) -> T) -> Vec<T> {
    values.iter().copied().map(into).collect()
}

/// `a[starts[0]..stops[0], …]`; a view.
pub fn slice(a: &Array, starts: &[i32], stops: &[i32]) -> Result<Array> {
    let strides = vec![1; starts.len()];
    let stream = Stream::thread_local_or_default();
    // SAFETY: the array, the stream and the three slices outlive the call; MLX checks the array's shape against the lengths.
    call("slice", |result| unsafe {
        mlx_sys::mlx_slice(
            result,
            a.as_ptr(),
            starts.as_ptr(),
            starts.len(),
            stops.as_ptr(),
            stops.len(),
            strides.as_ptr(),
            strides.len(),
            stream.as_ptr(),
        )
    })
}

/// `a[…, start..stop]` along `axis` (which may be negative); a view.
pub fn slice_axis(a: &Array, axis: i32, start: i32, stop: i32) -> Result<Array> {
    let axis = if axis < 0 { a.ndim() as i32 + axis } else { axis } as usize;
    let mut starts = vec![0; a.ndim()];
    let mut stops = a.shape().to_vec();
    if let (Some(first), Some(end)) = (starts.get_mut(axis), stops.get_mut(axis)) {
        (*first, *end) = (start, stop);
    }
    slice(a, &starts, &stops)
}

/// `a` with `update` written at `starts..stops`; in place where nothing else holds `a`.
pub fn slice_update(a: &Array, update: &Array, starts: &[i32], stops: &[i32]) -> Result<Array> {
    let strides = vec![1; starts.len()];
    let stream = Stream::thread_local_or_default();
    // SAFETY: as in `slice`.
    call("slice_update", |result| unsafe {
        mlx_sys::mlx_slice_update(
            result,
            a.as_ptr(),
            update.as_ptr(),
            starts.as_ptr(),
            starts.len(),
            stops.as_ptr(),
            stops.len(),
            strides.as_ptr(),
            strides.len(),
            stream.as_ptr(),
        )
    })
}

/// [`slice_update`], in place whoever else holds `a`. Earlier readers of `a` may remain, but must not read what is written.
pub fn write(a: &Array, update: &Array, starts: &[i32], stops: &[i32]) -> Result<Array> {
    let updated = slice_update(a, update, starts, stops)?;
    // SAFETY: the handle is valid.
    call("write", |result| unsafe { mlx_sys::node_mlx_in_place(result, updated.as_ptr()) })
}

/// `a` with `values` (broadcast to `indices`) added at `indices` along `axis`, as often as an index occurs.
pub fn scatter_add_axis(a: &Array, indices: &Array, values: &Array, axis: i32) -> Result<Array> {
    let stream = Stream::thread_local_or_default();
    // SAFETY: the arrays and the stream outlive the call; MLX checks shapes and the axis but not the indices. They are
    // token ids, which `Steps::new` has checked against the vocabulary, or 16-bit ranks on an axis with room for all of them.
    call("scatter_add_axis", |result| unsafe {
        mlx_sys::mlx_scatter_add_axis(result, a.as_ptr(), indices.as_ptr(), values.as_ptr(), axis, stream.as_ptr())
    })
}

/// `a[…] @ b[indices]` for matrices `b` of (E, in, out): x (…, 1, in) → (…, 1, out).
pub fn gather_matmul(a: &Array, b: &Array, indices: &Array, sorted: bool) -> Result<Array> {
    Ok(mlx_rs::ops::gather_mm(a, b, None, indices, sorted)?)
}

/// An integer as a 0-d array of `like`'s dtype. Those of ids and indices are made here, not converted by the device.
pub fn scalar_like(value: i32, like: &Array) -> Result<Array> {
    match (like.dtype(), u32::try_from(value)) {
        (Dtype::Uint32, Ok(value)) => Ok(Array::from_slice(&[value], &[])),
        (dtype, _) => Ok(Array::from_int(value).as_dtype(dtype)?),
    }
}

/// `a` cut at `ends` along `axis` (which may be negative); views.
///
/// MLX's own split, which is one operation, gives views that count fewer elements than they span, and on NVIDIA GPUs
/// `fast::rope` of such a view writes beyond what it allocates (0.32.2). Slices do not.
pub fn split<const N: usize>(a: &Array, ends: &[i32], axis: i32) -> Result<[Array; N]> {
    let parts = if computes_on_cuda() {
        let length = dim(a, if axis < 0 { a.ndim() as i32 + axis } else { axis } as usize);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let stops = ends.iter().copied().chain([length]);
        starts.zip(stops).map(|(start, stop)| slice_axis(a, axis, start, stop)).collect::<Result<_>>()?
    } else {
        a.split_at_indices(ends, axis)?
    };
    exactly(parts)
}

/// The arrays, which have to be `N`.
pub fn exactly<const N: usize>(arrays: Vec<Array>) -> Result<[Array; N]> {
    arrays.try_into().map_err(|arrays: Vec<Array>| Error::internal(format!("{} arrays, not {N}", arrays.len())))
}

/// The bits that integers share, one by one.
pub fn bitwise_and(a: &Array, b: &Array) -> Result<Array> {
    let stream = Stream::thread_local_or_default();
    // SAFETY: the arrays and the stream outlive the call; MLX checks shapes and dtypes.
    call("bitwise_and", |result| unsafe { mlx_sys::mlx_bitwise_and(result, a.as_ptr(), b.as_ptr(), stream.as_ptr()) })
}

/// `a << by`, for integers.
pub fn left_shift(a: &Array, by: &Array) -> Result<Array> {
    let stream = Stream::thread_local_or_default();
    // SAFETY: the arrays and the stream outlive the call; MLX checks shapes and dtypes.
    call("left_shift", |result| unsafe { mlx_sys::mlx_left_shift(result, a.as_ptr(), by.as_ptr(), stream.as_ptr()) })
}

/// `a >> by`, for integers.
pub fn right_shift(a: &Array, by: &Array) -> Result<Array> {
    let stream = Stream::thread_local_or_default();
    // SAFETY: the arrays and the stream outlive the call; MLX checks shapes and dtypes.
    call("right_shift", |result| unsafe { mlx_sys::mlx_right_shift(result, a.as_ptr(), by.as_ptr(), stream.as_ptr()) })
}
