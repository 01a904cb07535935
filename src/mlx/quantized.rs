// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Quantized matrices, in every mode that MLX has; mlx-rs knows the affine one only.

use std::ffi::CStr;

use mlx_rs::{Array, Dtype, Stream};
use mlx_sys::mlx_optional_dtype;

use super::{Fused, call, computes_on_cuda, last_error, optional, qmv, some_int};
use crate::error::{Error, Result};

/// How a matrix is quantized: every `group_size` values of a row share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantization {
    pub group_size: i32,
    pub bits: i32,
    pub mode: QuantizationMode,
}

/// MLX's quantization modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantizationMode {
    /// Integers of 2 to 8 bits, with a scale and a bias for each group in the weights' own dtype.
    Affine,
    /// OCP microscaling: 4-bit floats (E2M1) and a power of two for each 32.
    Mxfp4,
    /// OCP microscaling: 8-bit floats (E4M3) and a power of two for each 32.
    Mxfp8,
    /// NVIDIA's: 4-bit floats (E2M1) and an E4M3 scale for each 16.
    Nvfp4,
}

impl QuantizationMode {
    pub const ALL: [Self; 4] = [Self::Affine, Self::Mxfp4, Self::Mxfp8, Self::Nvfp4];

    pub fn name(self) -> &'static str {
        self.c_name().to_str().unwrap_or_default()
    }

    fn c_name(self) -> &'static CStr {
        match self {
            Self::Affine => c"affine",
            Self::Mxfp4 => c"mxfp4",
            Self::Mxfp8 => c"mxfp8",
            Self::Nvfp4 => c"nvfp4",
        }
    }

    /// The only (group size, bits) that this mode has; `None` where the checkpoint chooses.
    pub fn fixed(self) -> Option<(i32, i32)> {
        match self {
            Self::Affine => None,
            Self::Mxfp4 => Some((32, 4)),
            Self::Mxfp8 => Some((32, 8)),
            Self::Nvfp4 => Some((16, 4)),
        }
    }
}

/// NVIDIA GPUs multiply by one quantized matrix only (0.32.2): neither by several, nor untransposed.
pub fn lacks_batched_kernel() -> bool {
    computes_on_cuda()
}

/// Matrices of (…, rows, columns), quantized along their columns.
#[derive(Debug, Clone)]
pub struct QuantizedArray {
    /// u32 of (…, rows, columns · bits / 32)
    pub weight: Array,
    /// (…, rows, columns / group size): floats in the affine mode, else bytes
    pub scales: Array,
    /// As `scales`; the affine mode only.
    pub biases: Option<Array>,
    pub quantization: Quantization,
}

impl QuantizedArray {
    /// Quantizes the last axis of `dense`.
    ///
    /// # Errors
    /// Unless that axis is a multiple of the group size.
    pub fn quantize(dense: &Array, quantization: Quantization) -> Result<Self> {
        let stream = Stream::thread_local_or_default();
        let mut parts = Vec::new();
        // SAFETY: the vector is created, read and freed here; its arrays are owned copies.
        unsafe {
            let mut vector = mlx_sys::mlx_vector_array_new();
            let status = mlx_sys::mlx_quantize(
                &raw mut vector,
                dense.as_ptr(),
                some_int(quantization.group_size),
                some_int(quantization.bits),
                quantization.mode.c_name().as_ptr(),
                mlx_sys::mlx_array_new(),
                stream.as_ptr(),
            );
            if status == 0 {
                for index in 0..mlx_sys::mlx_vector_array_size(vector) {
                    let part = call("quantize", |result| mlx_sys::mlx_vector_array_get(result, vector, index));
                    parts.push(part);
                }
            }
            mlx_sys::mlx_vector_array_free(vector);
            if status != 0 {
                return Err(last_error("quantize"));
            }
        }
        let mut parts = parts.into_iter();
        let mut next = || parts.next().transpose();
        let (Some(weight), Some(scales), biases) = (next()?, next()?, next()?) else {
            return Err(Error::internal("quantize gave no scales"));
        };
        Ok(Self { weight, scales, biases, quantization })
    }

    /// The dense matrices that these stand for, in `dtype`; for `None` in that of the scales (affine), or bf16.
    pub fn dequantize(&self, dtype: Option<Dtype>) -> Result<Array> {
        let Self { weight, scales, biases, quantization } = self;
        // MLX computes in the dtype of the scales.
        let in_single = |part: &Array| match (quantization.mode, dtype) {
            (QuantizationMode::Affine, Some(Dtype::Float32)) => part.as_dtype(Dtype::Float32),
            _ => Ok(part.clone()),
        };
        let (scales, biases) = (in_single(scales)?, biases.as_ref().map(in_single).transpose()?);
        let stream = Stream::thread_local_or_default();
        // SAFETY: the arrays, the stream and the NUL-terminated name outlive the call, and the empty handle owns nothing. MLX
        // checks shapes, dtypes and the mode.
        let dense = call("dequantize", |result| unsafe {
            mlx_sys::mlx_dequantize(
                result,
                weight.as_ptr(),
                scales.as_ptr(),
                optional(biases.as_ref()),
                some_int(quantization.group_size),
                some_int(quantization.bits),
                quantization.mode.c_name().as_ptr(),
                mlx_sys::mlx_array_new(),
                mlx_optional_dtype { value: mlx_sys::mlx_dtype__MLX_FLOAT32, has_value: false },
                stream.as_ptr(),
            )
        })?;
        match dtype {
            Some(dtype) if dtype != dense.dtype() => Ok(dense.as_dtype(dtype)?),
            _ => Ok(dense),
        }
    }

    /// The same as `matmul` by way of the dense matrices.
    pub fn dense_matmul(&self, x: &Array, transpose: bool) -> Result<Array> {
        let dense = self.dequantize(Some(x.dtype()))?;
        Ok(x.matmul(if transpose { dense.swap_axes(-1, -2)? } else { dense })?)
    }

    /// `x @ self`, or with `transpose` `x @ self.T`, matrix by matrix.
    pub fn matmul(&self, x: &Array, transpose: bool) -> Result<Array> {
        if transpose && let Some(y) = qmv::quantized_product(x, self, Fused::default()) {
            return y;
        }
        if self.lacks_kernel(x, transpose) {
            return self.dense_matmul(x, transpose);
        }
        let Self { weight, scales, biases, quantization } = self;
        let stream = Stream::thread_local_or_default();
        // SAFETY: as in `dequantize`.
        call("quantized_matmul", |result| unsafe {
            mlx_sys::mlx_quantized_matmul(
                result,
                x.as_ptr(),
                weight.as_ptr(),
                scales.as_ptr(),
                optional(biases.as_ref()),
                transpose,
                some_int(quantization.group_size),
                some_int(quantization.bits),
                quantization.mode.c_name().as_ptr(),
                stream.as_ptr(),
            )
        })
    }

    /// `x[…] @ self[indices].T`: each of x's matrices times the one of ours that its index names. With `sorted`, equal
    /// indices follow each other.
    pub fn gather_matmul_transposed(&self, x: &Array, indices: &Array, sorted: bool) -> Result<Array> {
        let Self { weight, scales, biases, quantization } = self;
        let stream = Stream::thread_local_or_default();
        // SAFETY: as in `dequantize`. MLX does not check the indices: they are positions in the scores of the experts, of
        // which there is one matrix each.
        call("gather_qmm", |result| unsafe {
            mlx_sys::mlx_gather_qmm(
                result,
                x.as_ptr(),
                weight.as_ptr(),
                scales.as_ptr(),
                optional(biases.as_ref()),
                mlx_sys::mlx_array_new(),
                indices.as_ptr(),
                true,
                some_int(quantization.group_size),
                some_int(quantization.bits),
                quantization.mode.c_name().as_ptr(),
                sorted,
                stream.as_ptr(),
            )
        })
    }

    /// Whether MLX (0.32.2) has no kernel for this on the device, or one that is wrong.
    fn lacks_kernel(&self, x: &Array, transpose: bool) -> bool {
        if !computes_on_cuda() {
            return false;
        }
        // For rows that are a single group, as those of Gemma 3n's LAuReL are, it picks `qmm_sm90` on Hopper GPUs. Of the 90
        // tiny models on an H200 the seven with such rows were wrong, or compiled that kernel for minutes; no other was.
        let is_one_group = self.scales.shape().last() == Some(&1);
        let is_one_row = x.shape().split_last().is_some_and(|(_, others)| others.iter().all(|&size| size == 1));
        self.weight.ndim() > 2 || !transpose || (is_one_group && !is_one_row)
    }

    /// The same of each part: weight, scales and biases.
    pub fn map(&self, mut f: impl FnMut(&Array) -> Result<Array>) -> Result<Self> {
        Ok(Self {
            weight: f(&self.weight)?,
            scales: f(&self.scales)?,
            biases: self.biases.as_ref().map(f).transpose()?,
            quantization: self.quantization,
        })
    }

    pub fn arrays(&self) -> impl Iterator<Item = &Array> {
        [Some(&self.weight), Some(&self.scales), self.biases.as_ref()].into_iter().flatten()
    }
}
