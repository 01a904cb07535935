// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Kernels of our own for NVIDIA GPUs, through MLX's `cuda_kernel`.

use std::{
    cell::RefCell,
    collections::HashMap,
    env,
    ffi::{CStr, CString, c_void},
    fs::{self, File, TryLockError},
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    process,
    ptr::NonNull,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use mlx_rs::{Array, Dtype, Stream};
use mlx_sys::mlx_fast_cuda_kernel;

use super::{call, computes_on_cuda, cpu, exactly, kernel::Layout, last_error, memory};
use crate::error::Result;

/// The first of NVIDIA's architectures whose tensor cores take bf16.
const FIRST_ARCHITECTURE: usize = 8;
/// Files that processes lock in the folder of kernels.
const LOCKS: u64 = 256;
/// How long a process waits for another one's lock. Compiling a kernel takes some seconds.
const MAX_WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// Whether the GPU can run our kernels, and nobody has asked for MLX's.
pub fn is_usable() -> bool {
    static USABLE: OnceLock<bool> = OnceLock::new();
    computes_on_cuda()
        && *USABLE.get_or_init(|| {
            !cpu::leaves_all_to_mlx() && memory::cuda_architecture().is_some_and(|major| major >= FIRST_ARCHITECTURE)
        })
}

/// Whether kernels do what precedes and follows products as well, and the rest of a step with few rows. That has to be asked for:
/// docs/decisions/nvidia.md says what is known of it.
pub fn fuses() -> bool {
    static FUSES: OnceLock<bool> = OnceLock::new();
    is_usable() && *FUSES.get_or_init(|| env::var_os("NODE_MLX_CUDA_FUSED").is_some_and(|value| value == "1"))
}

/// A kernel, which belongs to a thread. It is compiled when it is first asked for on a machine.
#[derive(Debug)]
pub struct CudaKernel {
    name: CString,
    kernel: mlx_fast_cuda_kernel,
    /// MLX builds the kernel's text whenever it is asked for a new operation, so each is asked for once.
    operations: RefCell<HashMap<Launch, Operation>>,
}

/// What an operation depends on besides its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Launch {
    /// Counted in threads.
    pub grid: [i32; 3],
    /// Threads of a block.
    pub threads: i32,
}

impl CudaKernel {
    /// `source`: the body of a function of this name, whose parameters are the inputs and the outputs. [`Layout::Strided`]
    /// leaves the inputs as they are, whatever their strides.
    pub fn new(name: &str, inputs: &[&str], outputs: &[&str], source: &str, header: &Header, layout: Layout) -> Self {
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let (name, source, header) = (text(name), text(source), text(header.text()));
        // SAFETY: MLX copies the strings; the vectors are created and freed here.
        let kernel = unsafe {
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
            kernel
        };
        Self { name, kernel, operations: RefCell::default() }
    }

    /// Arrays of the given shapes and dtypes.
    pub fn apply<const N: usize>(
        &self,
        inputs: &[&Array],
        outputs: [(&[i32], Dtype); N],
        launch: Launch,
    ) -> Result<[Array; N]> {
        let mut operations = self.operations.borrow_mut();
        if let Some(operation) = operations.get(&launch) {
            return operation.apply(inputs, outputs);
        }
        let arrays = self.first(inputs, outputs, launch)?;
        if let Some(array) = arrays.first() {
            if operations.is_empty() {
                keep_on_disk(&self.name, array);
            }
            operations.extend(Operation::of(array).map(|operation| (launch, operation)));
        }
        Ok(arrays)
    }

    fn first<const N: usize>(
        &self,
        inputs: &[&Array],
        outputs: [(&[i32], Dtype); N],
        launch: Launch,
    ) -> Result<[Array; N]> {
        let stream = Stream::thread_local_or_default();
        let handles: Vec<_> = inputs.iter().map(|input| input.as_ptr()).collect();
        let Launch { grid: [x, y, z], threads } = launch;
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
            let (kernel, stream) = (self.kernel, stream.as_ptr());
            let status = mlx_sys::mlx_fast_cuda_kernel_apply(&raw mut results, kernel, inputs, config, stream);
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
        unsafe { mlx_sys::mlx_fast_cuda_kernel_free(self.kernel) };
    }
}

/// What computes arrays, to compute others from other inputs.
#[derive(Debug)]
struct Operation(NonNull<c_void>);

impl Operation {
    /// What is to compute an array.
    fn of(array: &Array) -> Option<Self> {
        // SAFETY: the handle is valid, and what is returned is owned.
        NonNull::new(unsafe { mlx_sys::node_mlx_operation_of(array.as_ptr()) }).map(Self)
    }

    fn apply<const N: usize>(&self, inputs: &[&Array], outputs: [(&[i32], Dtype); N]) -> Result<[Array; N]> {
        let inputs: Vec<_> = inputs.iter().map(|input| input.as_ptr()).collect();
        let shapes = outputs.map(|(shape, _)| shape).concat();
        let (ndims, dtypes) = (outputs.map(|(shape, _)| shape.len()), outputs.map(|(_, dtype)| dtype.into()));
        // SAFETY: the handles and slices outlive the call, which fills the new handles or leaves them empty.
        unsafe {
            let mut handles = [(); N].map(|()| mlx_sys::mlx_array_new());
            let status = mlx_sys::node_mlx_operation_apply(
                handles.as_mut_ptr(),
                N,
                shapes.as_ptr(),
                ndims.as_ptr(),
                dtypes.as_ptr(),
                self.0.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
            );
            let arrays = handles.map(|handle| Array::from_ptr(handle));
            if status == 0 { Ok(arrays) } else { Err(last_error("cuda_kernel")) }
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // SAFETY: it is owned, and nobody uses it afterwards.
        unsafe { mlx_sys::node_mlx_operation_free(self.0.as_ptr()) };
    }
}

/// Has the kernel compiled that is to compute an array, unless it is in the folder of kernels. Of processes that want the same
/// one, the others wait, as MLX writes and reads a kernel's file without further care. MLX compiles what has not been kept.
fn keep_on_disk(name: &CStr, array: &Array) {
    let Some(folder) = kernels_folder() else { return };
    let Ok(lock) = File::create(folder.join(format!("node-mlx-{:02x}.lock", hash(name) % LOCKS))) else { return };
    let start = Instant::now();
    while let Err(TryLockError::WouldBlock) = lock.try_lock() {
        if start.elapsed() > MAX_WAIT {
            return;
        }
        thread::sleep(POLL);
    }
    if let Ok(folder) = CString::new(folder.into_os_string().into_encoded_bytes()) {
        mlx_sys::keep_kernel(array.as_ptr(), &folder);
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Where MLX keeps compiled kernels.
fn kernels_folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env::var_os("MLX_PTX_CACHE_DIR").filter(|path| !path.is_empty())?);
    fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

/// The kernels of a thread, by what their text depends on.
#[derive(Debug)]
pub struct Kernels<F>(RefCell<HashMap<F, CudaKernel>>);

impl<F> Default for Kernels<F> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<F: Copy + Eq + Hash> Kernels<F> {
    /// [`CudaKernel::apply`] of the one for `form`, which `make` makes.
    pub fn apply<const N: usize>(
        &self,
        form: F,
        make: impl FnOnce(F) -> CudaKernel,
        inputs: &[&Array],
        outputs: [(&[i32], Dtype); N],
        launch: Launch,
    ) -> Result<[Array; N]> {
        self.0.borrow_mut().entry(form).or_insert_with(|| make(form)).apply(inputs, outputs, launch)
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
        let folder = kernels_folder()?;
        let path = folder.join(format!("node-mlx-{}-{:016x}.cuh", self.name, hash(self.source)));
        let included = path.to_str().filter(|path| !path.contains(['"', '\\', '\n']))?;
        if fs::read_to_string(&path).ok().as_deref() != Some(self.source) {
            let partial = path.with_extension(process::id().to_string());
            fs::write(&partial, self.source).and_then(|()| fs::rename(&partial, &path)).ok()?;
        }
        Some(format!("#include \"{included}\"\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mlx;

    #[test]
    fn an_operation_computes_other_arrays_from_other_inputs() {
        mlx::choose_backend(None).unwrap();
        let array = |values: &[f32]| Array::from_slice(values, &[values.len() as i32]);
        let (a, b) = (array(&[1.0, 2.0]), array(&[3.0, 5.0]));
        let operation = Operation::of(&a.subtract(&b).unwrap()).unwrap();
        let [y] = operation.apply(&[&array(&[7.0; 3]), &array(&[4.0; 3])], [(&[3], Dtype::Float32)]).unwrap();
        assert_eq!(y.to_vec_exact::<f32>().unwrap(), [3.0; 3]);
        assert!(Operation::of(&a).is_none());
    }
}
