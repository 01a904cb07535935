// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A file that we take is one that the safetensors crate takes, and MLX reads the same tensors in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use node_mlx::{
    mlx,
    weights::{header, reader::View},
};
use safetensors::SafeTensors;

fuzz_target!(init: node_mlx_fuzz::init(), |data: &[u8]| {
    let path = node_mlx_fuzz::folder_with("fuzzed.safetensors", data).join("fuzzed.safetensors");
    let Ok(header) = header::open(&path) else { return };
    let tensors = &header.tensors;
    let theirs = SafeTensors::deserialize(data).unwrap();
    assert_eq!(tensors.len(), theirs.len());
    for (name, tensor) in tensors {
        let theirs = theirs.tensor(name).unwrap();
        assert_eq!((tensor.dtype, tensor.shape.as_slice()), (theirs.dtype(), theirs.shape()));
        assert_eq!(tensor.bytes, theirs.data().len() as u64);
    }
    let stored = header.stored(&path);
    let shown = stored.iter().map(|(name, stored)| (*name, stored));
    // There are types of numbers that MLX does not have.
    let Ok(arrays) = mlx::load_safetensors(&path, View::new(shown, false)) else { return };
    assert_eq!(arrays.len(), tensors.len());
    for (name, tensor) in tensors {
        let shape = arrays[name].shape().iter().map(|dim| *dim as usize);
        assert!(shape.eq(tensor.shape.iter().copied()));
        arrays[name].eval().unwrap();
    }
});
