// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Kernels of our own for NVIDIA GPUs, through MLX's `cuda_kernel`.

use std::{
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

use super::{call, computes_on_cuda, cpu, exactly, kernel::Layout, last_error, memory};
use crate::error::Result;

/// The first of NVIDIA's architectures whose tensor cores take bf16.
const FIRST_ARCHITECTURE: usize = 8;

/// Whether the GPU can run our kernels, and nobody has asked for MLX's.
pub fn is_usable() -> bool {
    static USABLE: OnceLock<bool> = OnceLock::new();
    computes_on_cuda()
        && *USABLE.get_or_init(|| {
            !cpu::leaves_all_to_mlx() && memory::cuda_architecture().is_some_and(|major| major >= FIRST_ARCHITECTURE)
        })
}

/// A kernel, which MLX compiles when it first runs in a process: on disk it keeps its own ones only
/// (mlx/backend/cuda/custom_kernel.cpp). It belongs to a thread.
#[derive(Debug)]
pub struct CudaKernel(mlx_fast_cuda_kernel);

impl CudaKernel {
    /// `source`: the body of a function of this name, whose parameters are the inputs and the outputs. [`Layout::Strided`]
    /// leaves the inputs as they are, whatever their strides.
    pub fn new(name: &str, inputs: &[&str], outputs: &[&str], source: &str, header: &Header, layout: Layout) -> Self {
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let (name, source, header) = (text(name), text(source), text(header.text()));
        // SAFETY: MLX copies the strings; the vectors are created and freed here.
        unsafe {
            let vector = |names: &[&str]| {
                let vector = mlx_sys::mlx_vector_string_new();
                for name in names {
                    mlx_sys::mlx_vector_string_append_value(vector, text(name).as_ptr());
                }
                vector
            };
            let (inputs, outputs) = (vector(inputs), vector(outputs));
            let kernel = mlx_sys::mlx_fast_cuda_kernel_new(
                name.as_ptr(),
                inputs,
                outputs,
                source.as_ptr(),
                header.as_ptr(),
                layout == Layout::Contiguous,
                0,
            );
            mlx_sys::mlx_vector_string_free(inputs);
            mlx_sys::mlx_vector_string_free(outputs);
            Self(kernel)
        }
    }

    /// Arrays of the given shapes, for blocks of `threads` threads and a grid that counts threads.
    pub fn apply<const N: usize>(
        &self,
        inputs: &[&Array],
        outputs: [(&[i32], Dtype); N],
        grid: [i32; 3],
        threads: i32,
    ) -> Result<[Array; N]> {
        let stream = Stream::thread_local_or_default();
        let handles: Vec<_> = inputs.iter().map(|input| input.as_ptr()).collect();
        let [x, y, z] = grid;
        // SAFETY: the handles and slices outlive the calls, and what is created here is freed here.
        unsafe {
            let config = mlx_sys::mlx_fast_cuda_kernel_config_new();
            for (shape, dtype) in outputs {
                mlx_sys::mlx_fast_cuda_kernel_config_add_output_arg(config, shape.as_ptr(), shape.len(), dtype.into());
            }
            mlx_sys::mlx_fast_cuda_kernel_config_set_grid(config, x, y, z);
            mlx_sys::mlx_fast_cuda_kernel_config_set_thread_group(config, threads, 1, 1);
            let inputs = mlx_sys::mlx_vector_array_new_data(handles.as_ptr(), handles.len());
            let mut results = mlx_sys::mlx_vector_array_new();
            let status = mlx_sys::mlx_fast_cuda_kernel_apply(&raw mut results, self.0, inputs, config, stream.as_ptr());
            let results_of = || {
                let mut arrays = Vec::with_capacity(N);
                for index in 0..N {
                    arrays.push(call("cuda_kernel", |result| mlx_sys::mlx_vector_array_get(result, results, index))?);
                }
                exactly(arrays)
            };
            let all = if status == 0 { results_of() } else { Err(last_error("cuda_kernel")) };
            mlx_sys::mlx_vector_array_free(results);
            mlx_sys::mlx_vector_array_free(inputs);
            mlx_sys::mlx_fast_cuda_kernel_config_free(config);
            all
        }
    }
}

impl Drop for CudaKernel {
    fn drop(&mut self) {
        // SAFETY: it was created with `new`, and nobody uses it afterwards.
        unsafe { mlx_sys::mlx_fast_cuda_kernel_free(self.0) };
    }
}

/// What stands before kernels: a line that includes a copy of their source, as MLX hashes the text of a kernel whenever it
/// runs; where no file can be written, the text itself.
#[derive(Debug)]
pub struct Header {
    name: &'static str,
    source: &'static str,
    text: OnceLock<String>,
}

impl Header {
    pub const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source, text: OnceLock::new() }
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| self.write().unwrap_or_else(|| self.source.to_owned()))
    }

    fn write(&self) -> Option<String> {
        let folder = env::var("MLX_PTX_CACHE_DIR").ok().filter(|path| !path.contains(['"', '\\', '\n']))?;
        let mut hasher = DefaultHasher::new();
        self.source.hash(&mut hasher);
        let path = Path::new(&folder).join(format!("node-mlx-{}-{:016x}.cuh", self.name, hasher.finish()));
        if fs::read_to_string(&path).ok().as_deref() != Some(self.source) {
            fs::create_dir_all(&folder).ok()?;
            let partial = path.with_extension(process::id().to_string());
            fs::write(&partial, self.source).and_then(|()| fs::rename(&partial, &path)).ok()?;
        }
        Some(format!("#include \"{}\"\n", path.to_str()?))
    }
}
