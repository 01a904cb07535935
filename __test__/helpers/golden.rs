// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Reads what an oracle computed.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::SafeTensors;

pub type Result<T> = std::result::Result<T, String>;

/// The tensors of a golden file.
pub struct Golden {
    pub numbers: BTreeMap<String, Vec<i32>>,
    /// Rows of logits.
    pub logits: BTreeMap<String, Vec<Vec<f32>>>,
}

impl Golden {
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut golden = Self { numbers: BTreeMap::new(), logits: BTreeMap::new() };
        for (name, tensor) in tensors.iter() {
            let words = tensor.data().chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]);
            match (tensor.dtype(), tensor.shape()) {
                (safetensors::Dtype::I32, [_] | [_, _]) => {
                    golden.numbers.insert(name.to_owned(), words.map(i32::from_le_bytes).collect());
                }
                (safetensors::Dtype::F32, [_, vocab]) => {
                    let values: Vec<f32> = words.map(f32::from_le_bytes).collect();
                    golden.logits.insert(name.to_owned(), values.chunks(*vocab).map(<[f32]>::to_vec).collect());
                }
                (dtype, shape) => return Err(format!("golden {name} is {dtype:?} {shape:?}")),
            }
        }
        Ok(golden)
    }

    pub fn numbers(&self, name: &str) -> Result<&[i32]> {
        self.numbers.get(name).map(Vec::as_slice).ok_or_else(|| format!("the golden has no {name}"))
    }

    pub fn logits(&self, name: &str) -> Result<&[Vec<f32>]> {
        self.logits.get(name).map(Vec::as_slice).ok_or_else(|| format!("the golden has no {name}"))
    }
}
