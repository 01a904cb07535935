// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A file that we take is one that the safetensors crate takes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use node_mlx::weights::header;
use safetensors::SafeTensors;

fuzz_target!(|data: &[u8]| {
    let path = node_mlx_fuzz::model_with("fuzzed.safetensors", data).join("fuzzed.safetensors");
    let Ok(tensors) = header::read(&path) else { return };
    let theirs = SafeTensors::deserialize(data).unwrap();
    assert_eq!(tensors.len(), theirs.len());
    for (name, tensor) in tensors {
        let theirs = theirs.tensor(&name).unwrap();
        assert_eq!((tensor.dtype, tensor.shape.as_slice()), (theirs.dtype(), theirs.shape()));
        assert_eq!(tensor.bytes, theirs.data().len() as u64);
    }
});
