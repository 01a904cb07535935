// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Handing safetensors files to MLX, which reads them through callbacks.

use std::{
    collections::HashMap,
    ffi::{CStr, CString, c_char, c_int, c_void},
    io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use mlx_rs::{Array, Dtype, Stream};
use safetensors::Dtype as StoredDtype;

use super::{computes_on_cuda, last_error};
use crate::error::{Error, Result};

/// A safetensors file as MLX is to see it. Its threads read several tensors at a time.
///
/// MLX trusts the header.
pub trait Source: Send + Sync {
    /// The length of the header and the header, as a file begins.
    fn head(&self) -> &[u8];

    /// How long the file is, in bytes.
    fn size(&self) -> u64;

    /// Reads the tensor that begins at `offset` of the file.
    fn read(&self, offset: u64, tensor: &mut [u8]) -> io::Result<()>;
}

/// The tensors of a file, lazily: data is read when an array is evaluated. Errors name `path`.
pub fn load_safetensors(path: &Path, source: impl Source + 'static) -> Result<HashMap<String, Array>> {
    let invalid = |message: String| Error::WeightsInvalid { path: path.to_owned(), message };
    // For NVIDIA GPUs alone MLX can read in line with what they compute; it cannot have them wait for a CPU's stream reliably
    // (docs/decisions/weights.md).
    let stream = if computes_on_cuda() { Stream::new() } else { Stream::cpu() };
    let mut tensors = HashMap::new();
    // SAFETY: both maps and the iterator are created, used and freed here; keys are copied before the next step. The
    // reader is freed here too, and what it reads from by `Reader::free`, once the last array is evaluated.
    unsafe {
        let reader = Reader::new(path, Box::new(source));
        let reader = mlx_sys::mlx_io_reader_new(Box::into_raw(Box::new(reader)).cast(), Reader::CALLBACKS);
        let mut arrays = mlx_sys::mlx_map_string_to_array_new();
        let mut metadata = mlx_sys::mlx_map_string_to_string_new();
        let status = mlx_sys::mlx_load_safetensors_reader(&raw mut arrays, &raw mut metadata, reader, stream.as_ptr());
        mlx_sys::mlx_io_reader_free(reader);
        if status == 0 {
            let iterator = mlx_sys::mlx_map_string_to_array_iterator_new(arrays);
            loop {
                let mut key = std::ptr::null();
                let mut value = mlx_sys::mlx_array_new();
                if mlx_sys::mlx_map_string_to_array_iterator_next(&raw mut key, &raw mut value, iterator) != 0 {
                    mlx_sys::mlx_array_free(value);
                    break;
                }
                tensors.insert(CStr::from_ptr(key).to_string_lossy().into_owned(), Array::from_ptr(value));
            }
            mlx_sys::mlx_map_string_to_array_iterator_free(iterator);
        }
        mlx_sys::mlx_map_string_to_string_free(metadata);
        mlx_sys::mlx_map_string_to_array_free(arrays);
        if status != 0 {
            return Err(invalid(last_error("load").to_string()));
        }
    }
    Ok(tensors)
}

/// The dtypes of caches, and of tokens.
const DTYPES: [(Dtype, StoredDtype); 5] = [
    (Dtype::Float32, StoredDtype::F32),
    (Dtype::Float16, StoredDtype::F16),
    (Dtype::Bfloat16, StoredDtype::BF16),
    (Dtype::Uint32, StoredDtype::U32),
    (Dtype::Uint8, StoredDtype::U8),
];

/// A tensor that belongs to no thread.
#[derive(Debug)]
pub struct Tensor {
    pub dtype: StoredDtype,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

impl Tensor {
    /// Copies an array of one of these dtypes, with at least one axis.
    pub fn of(array: &Array) -> Result<Self> {
        let dtype = DTYPES.into_iter().find(|(dtype, _)| *dtype == array.dtype());
        let Some((_, dtype)) = dtype else { return Err(Error::internal("an array that cannot be saved")) };
        let data = array.contiguous()?.view_dtype(Dtype::Uint8)?.to_vec_exact()?;
        Ok(Self { dtype, shape: array.shape().iter().map(|&dim| dim.unsigned_abs() as usize).collect(), data })
    }

    /// Returns the array; `None` if the dtype is another one, or the data is not what dtype and shape say.
    pub fn array(&self) -> Option<Array> {
        let (dtype, _) = DTYPES.into_iter().find(|(_, stored)| *stored == self.dtype)?;
        let shape: Vec<i32> = self.shape.iter().map(|&dim| i32::try_from(dim).ok()).collect::<Option<_>>()?;
        let bytes = self.shape.iter().try_fold(self.dtype.bitsize() / 8, |bytes, dim| bytes.checked_mul(*dim))?;
        if bytes != self.data.len() || shape.is_empty() || bytes == 0 {
            return None;
        }
        // SAFETY: the data has the size that shape and dtype say, and is copied.
        Some(unsafe { Array::from_raw_data(self.data.as_ptr().cast(), &shape, dtype) })
    }
}

/// A source with the position that MLX expects of a reader while it parses the header.
struct Reader {
    source: Box<dyn Source>,
    position: AtomicU64,
    label: CString,
}

impl Reader {
    const CALLBACKS: mlx_sys::mlx_io_vtable = mlx_sys::mlx_io_vtable {
        is_open: Some(Self::is_good),
        good: Some(Self::is_good),
        tell: Some(Self::tell),
        seek: Some(Self::seek),
        read: Some(Self::read),
        read_at_offset: Some(Self::read_at),
        write: None,
        label: Some(Self::label),
        free: Some(Self::free),
    };

    fn new(path: &Path, source: Box<dyn Source>) -> Self {
        let label = CString::new(path.to_string_lossy().as_bytes()).unwrap_or_default();
        Self { source, position: AtomicU64::new(0), label }
    }

    /// # Safety
    /// `this` is the pointer given to `mlx_io_reader_new`, and `free` has not been called. Both hold in every callback.
    unsafe fn of<'a>(this: *mut c_void) -> &'a Self {
        // SAFETY: it then points to a boxed `Reader`, which is only accessed through shared references.
        unsafe { &*this.cast::<Self>() }
    }

    unsafe extern "C" fn is_good(_: *mut c_void) -> bool {
        true
    }

    unsafe extern "C" fn tell(this: *mut c_void) -> usize {
        // SAFETY: MLX passes its reader, before `free`.
        let position = unsafe { Self::of(this) }.position.load(Ordering::Relaxed);
        usize::try_from(position).unwrap_or(usize::MAX)
    }

    unsafe extern "C" fn seek(this: *mut c_void, offset: i64, whence: c_int) -> c_int {
        // SAFETY: MLX passes its reader, before `free`.
        let this = unsafe { Self::of(this) };
        let start = match whence {
            0 => 0,
            1 => this.position.load(Ordering::Relaxed),
            _ => this.source.size(),
        };
        match start.checked_add_signed(offset) {
            Some(position) => {
                this.position.store(position, Ordering::Relaxed);
                0
            }
            None => -1,
        }
    }

    /// Reads of the header.
    unsafe extern "C" fn read(this: *mut c_void, data: *mut c_char, n: usize) -> usize {
        // SAFETY: MLX passes its reader, before `free`.
        let this = unsafe { Self::of(this) };
        let position = this.position.fetch_add(n as u64, Ordering::Relaxed);
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let Some(bytes) = this.source.head().get(start..).and_then(|rest| rest.get(..n)) else { return 0 };
        // SAFETY: MLX's buffer has room for `n` bytes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), data.cast(), n) };
        n
    }

    /// Reads of tensors.
    unsafe extern "C" fn read_at(this: *mut c_void, data: *mut c_char, n: usize, offset: usize) -> usize {
        if n == 0 {
            return 0;
        }
        // SAFETY: MLX's buffer has room for `n` bytes, which are only written.
        let tensor = unsafe { std::slice::from_raw_parts_mut(data.cast::<u8>(), n) };
        // SAFETY: MLX passes its reader, before `free`.
        match unsafe { Self::of(this) }.source.read(offset as u64, tensor) {
            Ok(()) => n,
            // MLX reports that nothing was read, with the label.
            Err(_) => 0,
        }
    }

    unsafe extern "C" fn label(this: *mut c_void) -> *const c_char {
        // SAFETY: MLX passes its reader, before `free`; the label lives as long as the reader.
        unsafe { Self::of(this) }.label.as_ptr()
    }

    unsafe extern "C" fn free(this: *mut c_void) {
        // SAFETY: it came from a box, and this is the last call.
        drop(unsafe { Box::from_raw(this.cast::<Self>()) });
    }
}
