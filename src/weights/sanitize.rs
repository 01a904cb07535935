// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Conversion of other tensor layouts, before a model takes the tensors: mlx-lm's `sanitize`. All operations are lazy,
//! and see only the tensors under the cursor, by the rest of their names.

use mlx_rs::{Array, Dtype, ops};

use super::{Stored, Tensor, Weights};
use crate::{
    error::{Error, Result},
    mlx,
};

impl Weights<'_> {
    /// Drops the tensors for whose names `keep` returns false.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        self.store.tensors.borrow_mut().retain(|name, _| self.local(name).is_none_or(&mut keep));
    }

    /// Renames the tensors for which `rename` returns a name. If two get the same name, one is kept.
    pub fn rename(&self, mut rename: impl FnMut(&str) -> Option<String>) {
        for name in self.names() {
            if let Some(new) = rename(&name) {
                let mut tensors = self.store.tensors.borrow_mut();
                let tensor = tensors.remove(&self.key(&name));
                tensors.extend(tensor.map(|tensor| (self.key(new), tensor)));
            }
        }
    }

    /// Replaces each tensor for which `replace` returns a list with the tensors of that list.
    pub fn replace(&self, mut replace: impl FnMut(&str, &Array) -> Result<Option<Vec<(String, Array)>>>) -> Result<()> {
        for name in self.names() {
            let Some(array) = self.store.peek(&self.key(&name)) else { continue };
            if let Some(parts) = replace(&name, &array)? {
                self.remove(&name);
                for (name, part) in parts {
                    self.insert(&name, part);
                }
            }
        }
        Ok(())
    }

    /// Stacks `experts.<index>.<from>.<part>` as `<into>.<to>.<part>` of (experts, …) for each (from, to) and each of
    /// weight, scales, biases and bias that the first expert has. Missing experts are reported as missing tensors.
    pub fn stack_experts(&self, experts: &str, count: i32, into: &str, names: &[(&str, &str)]) -> Result<()> {
        for (from, to) in names {
            for part in ["weight", "scales", "biases", "bias"] {
                let name = |expert| format!("{experts}.{expert}.{from}.{part}");
                if !self.contains(&name(0)) {
                    continue;
                }
                let tensors: Vec<Tensor> = (0..count)
                    .map(|expert| self.remove_tensor(&name(expert)).ok_or_else(|| self.missing(&name(expert))))
                    .collect::<Result<_>>()?;
                let stored: Option<Vec<Stored>> = tensors.iter().map(|tensor| tensor.stored.clone()).collect();
                let arrays: Vec<&Array> = tensors.iter().map(|tensor| &tensor.array).collect();
                let all =
                    Tensor::moved(stored.and_then(|stored| Stored::stack(&stored)), || Ok(ops::stack(&arrays, 0)?))?;
                self.insert_tensor(&format!("{into}.{to}.{part}"), all);
            }
        }
        Ok(())
    }

    /// Renames the experts of layers that keep them in two tensors, as transformers 5 does: `experts.gate_up_proj` of (experts,
    /// 2 * out, in), gate above up, and `experts.down_proj` of (experts, out, in), to `<into>.<projection>.weight`.
    pub fn split_grouped_experts(&self, into: &str) -> Result<()> {
        for name in self.names() {
            let Some((mlp, projection)) = name.rsplit_once("experts.") else { continue };
            let to = |name: &str| format!("{mlp}{into}.{name}.weight");
            match (projection, self.shape(&name).as_deref()) {
                ("gate_up_proj", Some(&[_, both, _])) => {
                    let Some(Tensor { array, stored, .. }) = self.remove_tensor(&name) else { continue };
                    for (name, start, stop) in [("gate_proj", 0, both / 2), ("up_proj", both / 2, both)] {
                        let index = |at: i32| usize::try_from(at).unwrap_or_default();
                        let part = stored.as_ref().and_then(|stored| stored.slice(2, index(start), index(stop)));
                        let part = Tensor::moved(part, || mlx::slice_axis(&array, -2, start, stop))?;
                        self.insert_tensor(&to(name), part);
                    }
                }
                ("down_proj", _) => self.rename(|other| (other == name).then(|| to("down_proj"))),
                _ => {}
            }
        }
        Ok(())
    }

    /// Multiplies each tensor `<name>` by `<name>_scale_inv`, if that exists: one number, one per matrix, or one per
    /// block of 128 × 128. Bytes are fp8 (E4M3). Scales of activations are dropped.
    pub fn dequantize_fp8(&self) -> Result<()> {
        self.retain(|name| !name.ends_with("activation_scale"));
        for scale_name in self.names() {
            let Some(name) = scale_name.strip_suffix("_scale_inv") else { continue };
            let Some(scale) = self.remove(&scale_name) else { continue };
            let weight = self.remove(name).ok_or_else(|| self.missing(name))?;
            let weight = if weight.dtype() == Dtype::Uint8 { weight.from_fp8(Dtype::Bfloat16)? } else { weight };
            let scale = spread(&scale, weight.shape())?.ok_or_else(|| {
                let problem = format!("{} has shape {:?}", self.key(&scale_name), scale.shape());
                Error::WeightsMismatch { problems: vec![problem] }
            })?;
            self.insert(name, weight.multiply(scale)?.as_dtype(weight.dtype())?);
        }
        Ok(())
    }

    /// Converts 4-bit integers in compressed-tensors' layout, whose zero is in the middle, to affine quantization.
    pub fn unpack_int4(&self) -> Result<()> {
        for name in self.names() {
            let Some(layer) = name.strip_suffix("weight_shape") else { continue };
            self.remove(&name);
            let take = |part: &str| {
                let name = format!("{layer}{part}");
                self.remove(&name).ok_or_else(|| self.missing(&name))
            };
            let (packed, scales) = (take("weight_packed")?, take("weight_scale")?);
            self.insert(&format!("{layer}weight"), packed.view_dtype(Dtype::Uint32)?);
            self.insert(&format!("{layer}biases"), scales.multiply(mlx::scalar(-8.0, scales.dtype())?)?);
            self.insert(&format!("{layer}scales"), scales);
        }
        Ok(())
    }

    /// The shape of a tensor, if there is one of that name.
    pub fn shape(&self, name: &str) -> Option<Vec<i32>> {
        Some(self.store.peek(&self.key(name))?.shape().to_vec())
    }

    /// Returns the names of the tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let tensors = self.store.tensors.borrow();
        let mut names: Vec<String> = tensors.keys().filter_map(|name| self.local(name)).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Removes a tensor and returns it, as stored.
    pub fn remove(&self, name: &str) -> Option<Array> {
        self.remove_tensor(name).map(|tensor| tensor.array)
    }

    pub fn insert(&self, name: &str, array: Array) {
        self.insert_tensor(name, array.into());
    }

    fn remove_tensor(&self, name: &str) -> Option<Tensor> {
        self.store.tensors.borrow_mut().remove(&self.key(name))
    }

    fn insert_tensor(&self, name: &str, tensor: Tensor) {
        self.store.tensors.borrow_mut().insert(self.key(name), tensor);
    }

    /// Returns a name relative to the cursor, if it is under the cursor.
    pub(super) fn local<'n>(&self, name: &'n str) -> Option<&'n str> {
        if self.prefix.is_empty() { Some(name) } else { name.strip_prefix(self.prefix.as_str())?.strip_prefix('.') }
    }

    fn missing(&self, name: &str) -> Error {
        self.store.missing(&self.key(name))
    }
}

/// Returns a scale that can be multiplied with a weight of that shape: itself if it can be broadcast, or else expanded
/// from blocks.
fn spread(scale: &Array, shape: &[i32]) -> Result<Option<Array>> {
    const BLOCK: i32 = 128;
    let mut pairs = scale.shape().iter().rev().zip(shape.iter().rev());
    if scale.ndim() <= shape.len() && pairs.all(|(scale, weight)| *scale == 1 || scale == weight) {
        return Ok(Some(scale.clone()));
    }
    let &[rows, columns] = shape else { return Ok(None) };
    if scale.shape() != [(rows - 1) / BLOCK + 1, (columns - 1) / BLOCK + 1] {
        return Ok(None);
    }
    let rows_spread = ops::repeat_axis::<f32>(scale.clone(), BLOCK, 0)?;
    let blocks = ops::repeat_axis::<f32>(rows_spread, BLOCK, 1)?;
    Ok(Some(mlx::slice(&blocks, &[0, 0], &[rows, columns])?))
}
