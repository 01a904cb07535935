// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Reading weight files.

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    path::Path,
};

use mlx_rs::{Array, Stream};

use super::last_error;
use crate::error::{Error, Result};

/// The tensors of a safetensors file, lazily: data is read when an array is evaluated.
///
/// MLX's reader trusts the header, so the file must have passed `weights::header`.
pub fn load_safetensors(path: &Path) -> Result<HashMap<String, Array>> {
    let invalid = |message: String| Error::WeightsInvalid { path: path.to_owned(), message };
    let c_path = path
        .to_str()
        .and_then(|path| CString::new(path).ok())
        .ok_or_else(|| invalid("the path is not UTF-8".to_owned()))?;
    // Files are read by the CPU, also for a GPU.
    let stream = Stream::cpu();
    let mut tensors = HashMap::new();
    // SAFETY: both maps and the iterator are created, used and freed here; keys are copied before the next step.
    unsafe {
        let mut arrays = mlx_sys::mlx_map_string_to_array_new();
        let mut metadata = mlx_sys::mlx_map_string_to_string_new();
        let status =
            mlx_sys::mlx_load_safetensors(&raw mut arrays, &raw mut metadata, c_path.as_ptr(), stream.as_ptr());
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
