// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Products of a few rows with quantized matrices on NVIDIA GPUs, by our own kernel (qmv.cuh). Each function returns `None`
//! where MLX's operation has to do. docs/decisions/nvidia.md says why and where.

use std::{
    cell::RefCell,
    collections::HashMap,
    env,
    ffi::CString,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    process,
    sync::OnceLock,
};

use mlx_rs::{Array, Dtype, Stream};
use mlx_sys::mlx_fast_cuda_kernel;

use super::{QuantizationMode, QuantizedArray, call, computes_on_cuda, cpu, last_error, memory};
use crate::error::{Error, Result};

const SOURCE: &str = include_str!("qmv.cuh");
/// The most rows of x.
const MAX_ROWS: i32 = 8;
/// The most pairs of a row and an expert; with more, experts are shared, and read once for each pair.
const MAX_PAIRS: i32 = 64;
/// The fewest weights of a product. A smaller one takes the GPU less time than what MLX spends on the host to run a kernel
/// that it does not know.
const MIN_WEIGHTS: i64 = 1 << 23;
/// What the kernel's grid is a multiple of: columns of y for each tile of a block.
const TILE: i32 = 16;
/// The first of NVIDIA's architectures whose tensor cores take bf16.
const FIRST_ARCHITECTURE: usize = 8;

/// The arguments of the kernel's templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    x: &'static str,
    mode: &'static str,
    bits: i32,
    group_size: i32,
    /// The most rows; `None` for the form that gathers.
    rows: Option<i32>,
    tiles: i32,
    warps: i32,
}

/// What a product needs to know of a matrix.
struct Operand<'a> {
    arrays: Vec<&'a Array>,
    x: Dtype,
    n: i32,
    form: Form,
}

impl<'a> Operand<'a> {
    fn new(x: &Array, matrix: &'a QuantizedArray, rows: Option<i32>, pairs: i32) -> Option<Self> {
        let QuantizedArray { weight, scales, biases, quantization } = matrix;
        let name = match x.dtype() {
            Dtype::Bfloat16 => "__nv_bfloat16",
            Dtype::Float16 => "__half",
            _ => return None,
        };
        let (mode, stored) = match quantization.mode {
            QuantizationMode::Affine => ("AFFINE", x.dtype()),
            QuantizationMode::Mxfp4 => ("MXFP4", Dtype::Uint8),
            QuantizationMode::Nvfp4 => ("NVFP4", Dtype::Uint8),
            QuantizationMode::Mxfp8 => return None,
        };
        let (&k, &[.., n, groups]) = (x.shape().last()?, scales.shape()) else { return None };
        let is_served = scales.dtype() == stored
            && biases.as_ref().is_none_or(|biases| biases.dtype() == stored)
            && biases.is_some() == (quantization.mode == QuantizationMode::Affine)
            && k % 32 == 0
            && groups.checked_mul(quantization.group_size) == Some(k)
            && n > 0
            // For rows of one group, MLX's kernel is wrong (`QuantizedArray::lacks_kernel`).
            && (groups == 1 || i64::from(n) * i64::from(k) * i64::from(pairs) >= MIN_WEIGHTS);
        if !is_served || !is_usable() {
            return None;
        }
        let (tiles, warps) = layout(n, k, rows.unwrap_or(1));
        let (bits, group_size) = (quantization.bits, quantization.group_size);
        let form = Form { x: name, mode, bits, group_size, rows, tiles, warps };
        let arrays = [Some(weight), Some(scales), biases.as_ref()].into_iter().flatten().collect();
        Some(Self { arrays, x: x.dtype(), n, form })
    }

    /// Runs the kernel for `pairs` rows of experts, or for one matrix.
    fn run(&self, last: &[&Array], shape: &[i32], pairs: i32) -> Result<Array> {
        let (tile, threads) = (TILE * self.form.tiles, 32 * self.form.warps);
        let blocks = self.n.checked_add(tile - 1).map_or(i32::MAX, |n| n / tile);
        let grid = blocks.checked_mul(threads).ok_or_else(|| Error::internal("a matrix has too many rows"))?;
        KERNELS.with_borrow_mut(|kernels| {
            let kernel = kernels.entry(self.form).or_insert_with(|| Kernel::new(self.form, self.arrays.len() == 3));
            let inputs = [self.arrays.as_slice(), last].concat();
            kernel.apply(&inputs, shape, self.x, [grid, pairs, 1], threads)
        })
    }
}

/// `x @ matrix.T`; x: (…, k), at most [`MAX_ROWS`] rows → (…, n)
pub fn matmul_transposed(x: &Array, matrix: &QuantizedArray) -> Option<Result<Array>> {
    if !computes_on_cuda() || matrix.weight.ndim() != 2 {
        return None;
    }
    let (&k, batch) = x.shape().split_last()?;
    let rows: i32 = batch.iter().try_fold(1i32, |rows, &length| rows.checked_mul(length))?;
    if !(1..=MAX_ROWS).contains(&rows) || k == 0 {
        return None;
    }
    let operand = Operand::new(x, matrix, Some(rows.cast_unsigned().next_power_of_two().cast_signed()), 1)?;
    Some(operand.run(&[x], &[batch, &[operand.n]].concat(), 1))
}

/// `x[…] @ matrices[indices].T`; x: (…, 1, k) with the axes of `indices` before, of which the last may be 1 → (…, 1, n)
pub fn gather_matmul_transposed(x: &Array, matrices: &QuantizedArray, indices: &Array) -> Option<Result<Array>> {
    if !computes_on_cuda() || matrices.weight.ndim() != 3 || indices.dtype() != Dtype::Uint32 {
        return None;
    }
    let &[ref batch @ .., 1, k] = x.shape() else { return None };
    let (own, wanted) = (batch.split_last()?, indices.shape().split_last()?);
    let is_broadcast = own.1 == wanted.1 && (own.0 == wanted.0 || *own.0 == 1);
    let pairs = i32::try_from(indices.size()).ok()?;
    if !is_broadcast || !(1..MAX_PAIRS).contains(&pairs) || k == 0 {
        return None;
    }
    let operand = Operand::new(x, matrices, None, pairs)?;
    Some(operand.run(&[x, indices], &[indices.shape(), &[1, operand.n]].concat(), pairs))
}

/// Tiles and warps of a block, as measured on an H100 (docs/decisions/nvidia.md). Sixteen warps leave each thread half of the
/// registers that the compiler may take, which only a kernel for few rows does with.
fn layout(n: i32, k: i32, rows: i32) -> (i32, i32) {
    match (n, k) {
        (16_384.., _) => (2, 4),
        (..=4096, 2048..) if rows <= 2 => (1, 16),
        _ => (1, 8),
    }
}

/// Whether the GPU can run the kernel, and nobody has asked for MLX's.
fn is_usable() -> bool {
    static USABLE: OnceLock<bool> = OnceLock::new();
    *USABLE.get_or_init(|| {
        !cpu::leaves_all_to_mlx() && memory::cuda_architecture().is_some_and(|major| major >= FIRST_ARCHITECTURE)
    })
}

thread_local! {
    /// Of the inference thread.
    static KERNELS: RefCell<HashMap<Form, Kernel>> = RefCell::default();
}

/// A kernel, which MLX compiles when it first runs in a process: on disk it keeps its own ones only
/// (mlx/backend/cuda/custom_kernel.cpp).
struct Kernel(mlx_fast_cuda_kernel);

impl Kernel {
    fn new(form: Form, has_biases: bool) -> Self {
        let Form { x, mode, bits, group_size, rows, tiles, warps } = form;
        let biases = if has_biases { "biases" } else { "nullptr" };
        let (function, most_rows, indices, n) = match rows {
            Some(rows) => ("qmv", format!("{rows}, "), "", 0),
            None => ("gather_qmv", String::new(), "indices, ", 1),
        };
        let form = format!("{mode}, {bits}, {group_size}, {most_rows}{tiles}, {warps}");
        let name = format!("node_mlx_{function}_{x}_{}", form.replace(", ", "_"));
        let source = format!(
            "int rows = 1;
            for (int i = 0; i + 1 < x_ndim; ++i) rows *= x_shape[i];
            node_mlx::{function}<{x}, node_mlx::{form}>(
                w, scales, {biases}, x, {indices}y, scales_shape[{n}], scales_shape[{n} + 1] * {group_size}, rows);"
        );
        let inputs =
            [Some("w"), Some("scales"), has_biases.then_some("biases"), Some("x"), rows.is_none().then_some("indices")];
        let text = |text: String| CString::new(text).unwrap_or_default();
        let (name, source, header) = (text(name), text(source), text(header().to_owned()));
        // SAFETY: MLX copies the strings; the vectors are created and freed here.
        unsafe {
            let vector = |names: &[&str]| {
                let vector = mlx_sys::mlx_vector_string_new();
                for &name in names {
                    mlx_sys::mlx_vector_string_append_value(vector, text(name.to_owned()).as_ptr());
                }
                vector
            };
            let (inputs, outputs) = (vector(&inputs.into_iter().flatten().collect::<Vec<_>>()), vector(&["y"]));
            let kernel = mlx_sys::mlx_fast_cuda_kernel_new(
                name.as_ptr(),
                inputs,
                outputs,
                source.as_ptr(),
                header.as_ptr(),
                true,
                0,
            );
            mlx_sys::mlx_vector_string_free(inputs);
            mlx_sys::mlx_vector_string_free(outputs);
            Self(kernel)
        }
    }

    /// An array of the given shape, for blocks of `threads` threads and a grid that counts threads.
    fn apply(&self, inputs: &[&Array], shape: &[i32], dtype: Dtype, grid: [i32; 3], threads: i32) -> Result<Array> {
        let stream = Stream::thread_local_or_default();
        let handles: Vec<_> = inputs.iter().map(|input| input.as_ptr()).collect();
        let [x, y, z] = grid;
        // SAFETY: the handles and slices outlive the calls, and what is created here is freed here.
        unsafe {
            let config = mlx_sys::mlx_fast_cuda_kernel_config_new();
            mlx_sys::mlx_fast_cuda_kernel_config_add_output_arg(config, shape.as_ptr(), shape.len(), dtype.into());
            mlx_sys::mlx_fast_cuda_kernel_config_set_grid(config, x, y, z);
            mlx_sys::mlx_fast_cuda_kernel_config_set_thread_group(config, threads, 1, 1);
            let inputs = mlx_sys::mlx_vector_array_new_data(handles.as_ptr(), handles.len());
            let mut outputs = mlx_sys::mlx_vector_array_new();
            let status = mlx_sys::mlx_fast_cuda_kernel_apply(&raw mut outputs, self.0, inputs, config, stream.as_ptr());
            let result = if status == 0 {
                call("cuda_kernel", |result| mlx_sys::mlx_vector_array_get(result, outputs, 0))
            } else {
                Err(last_error("cuda_kernel"))
            };
            mlx_sys::mlx_vector_array_free(outputs);
            mlx_sys::mlx_vector_array_free(inputs);
            mlx_sys::mlx_fast_cuda_kernel_config_free(config);
            result
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // SAFETY: it was created with `new`, and nobody uses it afterwards.
        unsafe { mlx_sys::mlx_fast_cuda_kernel_free(self.0) };
    }
}

/// What stands before the kernels: a line that includes a copy of [`SOURCE`], as MLX hashes the text of a kernel whenever it
/// runs; where no file can be written, the text itself.
fn header() -> &'static str {
    static HEADER: OnceLock<String> = OnceLock::new();
    HEADER.get_or_init(|| write_source().unwrap_or_else(|| SOURCE.to_owned()))
}

fn write_source() -> Option<String> {
    let folder = env::var("MLX_PTX_CACHE_DIR").ok().filter(|path| !path.contains(['"', '\\', '\n']))?;
    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let path = Path::new(&folder).join(format!("node-mlx-qmv-{:016x}.cuh", hasher.finish()));
    if fs::read_to_string(&path).ok().as_deref() != Some(SOURCE) {
        fs::create_dir_all(&folder).ok()?;
        let partial = path.with_extension(process::id().to_string());
        fs::write(&partial, SOURCE).and_then(|()| fs::rename(&partial, &path)).ok()?;
    }
    Some(format!("#include \"{}\"\n", path.to_str()?))
}
