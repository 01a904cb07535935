// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What this crate needs of MLX beyond mlx-rs: quantization in every mode, plain slices, safetensors files, devices,
//! and errors as our own type. Everything here runs on the inference thread only (src/engine).

mod compiled;
mod cpu;
mod cuda;
mod decode_attention;
mod failures;
#[cfg(test)]
mod guards;
mod heads;
mod kernel;
mod memory;
mod ops;
mod products;
mod qmv;
mod quantized;
mod safetensors;
mod sampling;
mod transformer;

use std::{
    cell::RefCell,
    ffi::{CStr, c_char, c_void},
    sync::{Mutex, Once, OnceLock},
};

use mlx_rs::{
    Array, Device, DeviceType, Stream,
    error::{ConversionError, Exception},
};
use mlx_sys::{mlx_array, mlx_optional_int};

use crate::{
    error::{Error, Result},
    panics,
};
use failures::from_message;

pub use compiled::Compiled;
pub use cpu::{has_kernels, operations_per_second, set_threads, stop_kernels};
pub use cpu_kernels::{Activation, Keep};
pub use heads::{JoinedHeads, Periods, Turn};
pub use kernel::take_failure;
pub use memory::{available_memory, largest_array, set_memory_limit, wire_weights};
pub use ops::{
    bitwise_and, dim, exactly, gather_matmul, left_shift, right_shift, scalar, scalar_like, scatter_add_axis, slice,
    slice_axis, slice_update, split, vector, write,
};
pub use products::{
    dense_matmul_transposed, gather_dense_matmul_transposed, gather_quantized_matmul_transposed,
    quantized_matmul_transposed,
};
pub use qmv::{After, Fused, dense_gather_product, dense_product, quantized_gather_product, quantized_product};
pub use quantized::{Quantization, QuantizationMode, QuantizedArray, lacks_batched_kernel};
pub use safetensors::{Source, Tensor, load_safetensors};
pub use sampling::{allow, draw, keep};
pub use transformer::{Rotation, attention, gated, gated_halves, logsumexp, rms_norm};

unsafe extern "C" {
    /// mlx-rs's handler, which keeps the message for the next `Exception` of the calling thread.
    fn default_mlx_error_handler(message: *const c_char, data: *mut c_void);
}

thread_local! {
    static LAST_ERROR: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the message for [`call`], then passes it on to mlx-rs.
extern "C" fn keep_message(message: *const c_char, data: *mut c_void) {
    // SAFETY: mlx-c passes a NUL-terminated string that lives for the call.
    unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        LAST_ERROR.with_borrow_mut(|last| *last = Some(text));
        default_mlx_error_handler(message, data);
    }
}

/// The device that a process computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Cpu,
    Gpu,
}

impl Backend {
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }

    fn device(self) -> Device {
        match self {
            Self::Cpu => Device::new(DeviceType::Cpu, 0),
            Self::Gpu => Device::new(DeviceType::Gpu, 0),
        }
    }

    /// mlx-c's device, for the caller to free.
    fn handle(self) -> mlx_sys::mlx_device {
        let kind = match self {
            Self::Cpu => mlx_sys::mlx_device_type__MLX_CPU,
            Self::Gpu => mlx_sys::mlx_device_type__MLX_GPU,
        };
        // SAFETY: it has no preconditions; it only creates a handle.
        unsafe { mlx_sys::mlx_device_new_type(kind, 0) }
    }

    pub fn is_available(self) -> bool {
        init();
        let mut available = false;
        // SAFETY: plain calls with valid out-pointers; a failure leaves `available` false.
        unsafe {
            let device = self.handle();
            mlx_sys::mlx_device_is_available(&raw mut available, device);
            mlx_sys::mlx_device_free(device);
        }
        available
    }
}

/// The default device is an unsynchronised global of MLX's, so it is set once, by the first model that is loaded.
static CHOSEN: Mutex<Option<Backend>> = Mutex::new(None);

/// On NVIDIA GPUs, MLX counts all graphs that it ever recorded, and from the 801st on every evaluation fails, which a
/// long-running program reaches (0.32.2).
const GRAPH_CHECK: &str = "MLX_ENABLE_CACHE_THRASHING_CHECK";

/// Installs the error handler: without one, mlx-c ends the process at the first error.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Elsewhere other threads may read the environment meanwhile, for nothing: it is an option of the build for CUDA.
        if cfg!(target_os = "linux") && std::env::var_os(GRAPH_CHECK).is_none() {
            // SAFETY: MLX, which reads it, has not been called yet, and Rust's own accesses are synchronised.
            unsafe { std::env::set_var(GRAPH_CHECK, "0") };
        }
        mlx_sys::avoid_empty_kernels();
        // mlx-rs installs its own handler at its first fallible call; ours must come after it.
        let _ = mlx_rs::memory::active_memory();
        // SAFETY: the handler lives as long as the program.
        unsafe { mlx_sys::mlx_set_error_handler(Some(keep_message), std::ptr::null_mut(), None) };
    });
}

/// Makes `wanted` (or, for `None`, the best there is) the process's device.
///
/// # Errors
/// `DeviceUnavailable` if it does not exist or work here, or if models already run on another one; `InvalidArgValue` if
/// an environment variable for the CPU's kernels has a value that it cannot have.
pub fn choose_backend(wanted: Option<Backend>) -> Result<Backend> {
    init();
    let mut chosen = panics::lock(&CHOSEN);
    if let Some(backend) = *chosen {
        return match wanted {
            Some(other) if other != backend => Err(Error::DeviceUnavailable {
                device: other.name(),
                reason: Some(format!("this process already computes on the {}", backend.name())),
            }),
            _ => Ok(backend),
        };
    }
    check_memory()?;
    let backend = match wanted {
        Some(backend) if !backend.is_available() => {
            return Err(Error::DeviceUnavailable { device: backend.name(), reason: None });
        }
        Some(backend) => backend,
        None if Backend::Gpu.is_available() => Backend::Gpu,
        // A Mac without its GPU cannot compute at all, and models would be very slow.
        None if cfg!(target_os = "macos") => {
            let reason = Some("Metal is not available".to_owned());
            return Err(Error::DeviceUnavailable { device: Backend::Gpu.name(), reason });
        }
        None => Backend::Cpu,
    };
    if backend == Backend::Cpu {
        cpu::check_variables()?;
        // MLX fuses kernels on the CPU with the system's C++ compiler at run time; users may have none.
        mlx_rs::transforms::compile::disable_compile();
        limit_blas_threads();
        mlx_sys::check_allocations();
    }
    #[cfg(target_os = "linux")]
    if backend == Backend::Gpu {
        mlx_sys::keep_signals();
    }
    Device::set_default(&backend.device());
    *chosen = Some(backend);
    Ok(backend)
}

/// Takes the ways of a GPU without one, to look at the graphs there: what they compute does not matter.
#[doc(hidden)]
pub fn trace_as_gpu() -> Result<()> {
    choose_backend(Some(Backend::Cpu))?;
    *panics::lock(&CHOSEN) = Some(Backend::Gpu);
    mlx_rs::transforms::compile::enable_compile();
    Ok(())
}

/// MLX's builds for GPUs take all memory from the GPU: without one that works, they cannot compute on the CPU either
/// (mlx/backend/metal/allocator.cpp).
fn check_memory() -> Result<()> {
    mlx_rs::memory::memory_limit().map(drop).map_err(|error| match error.into() {
        Error::Internal { message } => Error::DeviceUnavailable {
            device: Backend::Gpu.name(),
            reason: Some(if message.contains("metallib") { format!("{message} ({METALLIB})") } else { message }),
        },
        error => error,
    })
}

/// Where MLX looks for its kernels (mlx/backend/metal/device.cpp).
const METALLIB: &str = "mlx.metallib has to lie beside libmlx.dylib: reinstall the package, or unpack all of it";

/// Leaves one core to the host program. OpenBLAS's threads wait for each other in a busy loop: with one on every core,
/// any other thread makes each product several times slower.
fn limit_blas_threads() {
    if std::env::var_os("OPENBLAS_NUM_THREADS").is_none() {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        mlx_sys::set_blas_threads(u16::try_from(cores.saturating_sub(1).max(1)).unwrap_or(u16::MAX));
    }
}

/// Whether the GPU is an NVIDIA one.
pub fn is_cuda() -> bool {
    static CUDA: OnceLock<bool> = OnceLock::new();
    *CUDA.get_or_init(|| {
        let mut available = false;
        // SAFETY: a plain call with a valid out-pointer; a failure leaves `available` false.
        unsafe { mlx_sys::mlx_cuda_is_available(&raw mut available) };
        available
    })
}

/// Whether the device chosen by [`choose_backend`] is an NVIDIA GPU.
pub fn computes_on_cuda() -> bool {
    backend() == Backend::Gpu && is_cuda()
}

/// Whether the device chosen by [`choose_backend`] is an Apple GPU.
pub fn computes_on_metal() -> bool {
    backend() == Backend::Gpu && !is_cuda()
}

/// The device chosen by [`choose_backend`]; the CPU before that.
pub fn backend() -> Backend {
    panics::lock(&CHOSEN).unwrap_or(Backend::Cpu)
}

impl From<Exception> for Error {
    fn from(error: Exception) -> Self {
        from_message(error.what())
    }
}

impl From<ConversionError> for Error {
    fn from(error: ConversionError) -> Self {
        match error {
            ConversionError::Exception(error) => error.into(),
            error => Self::internal(error.to_string()),
        }
    }
}

/// Runs a call of mlx-c that answers through its first parameter.
fn call(what: &str, f: impl FnOnce(*mut mlx_array) -> i32) -> Result<Array> {
    // SAFETY: `mlx_array_new` gives an owned empty handle; `f` fills it or fails, and it is freed exactly once.
    unsafe {
        let mut result = mlx_sys::mlx_array_new();
        if f(&raw mut result) == 0 {
            return Ok(Array::from_ptr(result));
        }
        mlx_sys::mlx_array_free(result);
    }
    Err(last_error(what))
}

fn last_error(what: &str) -> Error {
    let message = LAST_ERROR.with_borrow_mut(Option::take);
    from_message(&message.unwrap_or_else(|| format!("{what} failed")))
}

/// An empty handle stands for an argument that is left out.
fn optional(array: Option<&Array>) -> mlx_array {
    // SAFETY: an empty handle owns nothing, so it need not be freed.
    array.map_or_else(|| unsafe { mlx_sys::mlx_array_new() }, Array::as_ptr)
}

fn some_int(value: i32) -> mlx_optional_int {
    mlx_optional_int { value, has_value: true }
}

/// How many reads may fail one after the other, at most.
const MOST_ERRORS: usize = 1000;

/// Waits for everything that was queued, on each stream, and discards its errors but the first of the device's stream; after
/// an error, so that the next job starts from a clean slate.
pub fn synchronize() -> Option<Error> {
    // SAFETY: takes no arguments.
    let failed = unsafe { mlx_sys::mlx_synchronize_default() } != 0;
    let error = failed.then(|| last_error("synchronize"));
    // Reads fail on the CPU's stream. It tells an error instead of waiting, and what is still queued may fail as well
    // (mlx/scheduler.cpp). NVIDIA GPUs read on their own.
    if !computes_on_cuda() {
        let stream = Stream::cpu();
        // SAFETY: the stream lives for the call, whose failure says what is to be discarded.
        let _ = (0..MOST_ERRORS).any(|_| unsafe { mlx_sys::mlx_synchronize(stream.as_ptr()) } == 0);
    }
    LAST_ERROR.with_borrow_mut(|last| *last = None);
    error
}

/// The arrays that the primitive of that name will compute, among those and what they are computed from.
pub fn pending(arrays: &[Array], primitive: &CStr) -> Result<Vec<Array>> {
    // SAFETY: the vectors are created, used and freed here, and arrays are copied into and out of them. The name ends with a
    // NUL.
    unsafe {
        let (queue, mut found) = (mlx_sys::mlx_vector_array_new(), mlx_sys::mlx_vector_array_new());
        for array in arrays {
            mlx_sys::mlx_vector_array_append_value(queue, array.as_ptr());
        }
        let status = mlx_sys::node_mlx_pending(&raw mut found, queue, primitive.as_ptr());
        let get = |index| call("pending", |result| mlx_sys::mlx_vector_array_get(result, found, index));
        let pending = if status == 0 {
            (0..mlx_sys::mlx_vector_array_size(found)).map(get).collect()
        } else {
            Err(last_error("pending"))
        };
        mlx_sys::mlx_vector_array_free(queue);
        mlx_sys::mlx_vector_array_free(found);
        pending
    }
}

/// Clears CUDA's last error of this thread. MLX checks it on every wait and never clears it, so after one failed
/// allocation every operation would fail (0.32.2).
pub fn forget_error() {
    if computes_on_cuda() {
        mlx_sys::forget_cuda_error();
    }
}

/// MLX's version.
pub fn version() -> String {
    // SAFETY: the string is created, read and freed here.
    unsafe {
        let mut text = mlx_sys::mlx_string_new();
        mlx_sys::mlx_version(&raw mut text);
        let version = CStr::from_ptr(mlx_sys::mlx_string_data(text)).to_string_lossy().into_owned();
        mlx_sys::mlx_string_free(text);
        version
    }
}
