// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Our own kernels on the CPU, as operations of MLX's graph. docs/decisions/cpu-kernels.md says why and which.

use std::{ffi::c_void, slice, sync::Mutex};

use cpu_kernels::Tensor;
use mlx_rs::{Array, Stream};
use mlx_sys::node_mlx_input;

use super::call;
use crate::{error::Result, panics};

/// What a kernel panicked with, which its result does not tell: it is NaN then.
static FAILURE: Mutex<Option<String>> = Mutex::new(None);

/// What the first kernel that panicked since the last call said.
pub fn take_failure() -> Option<String> {
    panics::lock(&FAILURE).take()
}

/// How a kernel wants its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Row by row: others are copied.
    Contiguous,
    /// Each row's elements one after the other, the rows anywhere.
    Strided,
}

/// An input of a kernel.
pub(super) struct Input<'a> {
    raw: &'a node_mlx_input,
}

impl<'a> Input<'a> {
    fn shape(&self) -> &'a [i32] {
        self.raw.shape.get(..self.raw.ndim).unwrap_or_default()
    }

    fn size(&self) -> usize {
        self.shape().iter().map(|&length| length as usize).product()
    }

    /// A view of an array of at most four axes. `shape`: what it is broadcast to on all axes but the last; 0 keeps an axis.
    ///
    /// # Safety
    /// The array's dtype is that of `T`.
    pub(super) unsafe fn tensor<T>(&self, broadcast: [usize; 3]) -> Option<Tensor<'a, T>> {
        let own = self.shape();
        let missing = 4usize.checked_sub(own.len())?;
        let (mut shape, mut strides) = ([1; 4], [0; 4]);
        let axes = shape.iter_mut().zip(&mut strides).skip(missing);
        for ((length, stride), (&own, &own_stride)) in axes.zip(own.iter().zip(&self.raw.strides)) {
            *length = usize::try_from(own).ok()?;
            *stride = if own == 1 { 0 } else { usize::try_from(own_stride).ok()? };
        }
        for (length, wanted) in shape.iter_mut().zip(broadcast) {
            if *length == 1 && wanted > 0 {
                *length = wanted;
            }
        }
        let [a, b, c, d] = shape;
        let [sa, sb, sc, _] = strides;
        let data = if a * b * c * d == 0 {
            &[][..]
        } else {
            // SAFETY: the caller vouches for the type; the last element is inside of the array's buffer, which lives until the
            // kernel ends.
            unsafe { slice::from_raw_parts(self.raw.data.cast(), (a - 1) * sa + (b - 1) * sb + (c - 1) * sc + d) }
        };
        Tensor::new(data, shape, [sa, sb, sc])
    }

    /// The elements, of an array of `T`.
    ///
    /// # Safety
    /// The array's dtype is that of `T`.
    pub(super) unsafe fn elements<T>(&self) -> &'a [T] {
        let size = self.size();
        if size == 0 {
            return &[];
        }
        // SAFETY: the caller vouches for the type; the array is contiguous, and its buffer lives until the kernel ends.
        unsafe { slice::from_raw_parts(self.raw.data.cast(), size) }
    }

    /// The bytes of an array of elements of `size` bytes.
    ///
    /// # Safety
    /// The array's elements have that size.
    pub(super) unsafe fn bytes(&self, size: usize) -> &'a [u8] {
        let bytes = self.size() * size;
        if bytes == 0 {
            return &[];
        }
        // SAFETY: as in `elements`; every byte of an array is initialized.
        unsafe { slice::from_raw_parts(self.raw.data.cast(), bytes) }
    }
}

type Kernel = dyn Fn(&[Input<'_>], &mut [f32]) + Send + Sync;

/// An f32 array of the given shape, whose rows `kernel` computes from the inputs when it is evaluated.
pub(super) fn run_kernel(
    layout: Layout,
    inputs: &[&Array],
    shape: &[i32],
    kernel: impl Fn(&[Input<'_>], &mut [f32]) + Send + Sync + 'static,
) -> Result<Array> {
    let kernel: Box<Box<Kernel>> = Box::new(Box::new(kernel));
    let handles: Vec<_> = inputs.iter().map(|input| input.as_ptr()).collect();
    let stream = Stream::thread_local_or_default();
    // SAFETY: all slices outlive the call, which takes the box; `run` and `free` take what it holds.
    call("kernel", |result| unsafe {
        mlx_sys::node_mlx_run_kernel(
            result,
            run,
            Box::into_raw(kernel).cast(),
            free,
            layout == Layout::Strided,
            handles.as_ptr(),
            handles.len(),
            shape.as_ptr(),
            shape.len(),
            stream.as_ptr(),
        )
    })
}

/// # Safety
/// `state` is a `Box<Box<Kernel>>`, and the others are what `node_mlx_run_kernel` passes.
unsafe extern "C" fn run(
    state: *mut c_void,
    inputs: *const node_mlx_input,
    count: usize,
    output: *mut f32,
    size: usize,
) {
    // SAFETY: as above; nobody else has the output, which was allocated for `size` numbers and need not be read.
    let (kernel, inputs, output) = unsafe {
        let output = if size == 0 { &mut [] } else { slice::from_raw_parts_mut(output, size) };
        (&*state.cast::<Box<Kernel>>(), slice::from_raw_parts(inputs, count), output)
    };
    let inputs: Vec<Input<'_>> = inputs.iter().map(|raw| Input { raw }).collect();
    if let Err(message) = panics::catch(|| kernel(&inputs, output)) {
        output.fill(f32::NAN);
        panics::lock(&FAILURE).get_or_insert(message);
    }
}

/// # Safety
/// `state` is a `Box<Box<Kernel>>` that nobody uses afterwards.
unsafe extern "C" fn free(state: *mut c_void) {
    // SAFETY: as above.
    drop(unsafe { Box::from_raw(state.cast::<Box<Kernel>>()) });
}
