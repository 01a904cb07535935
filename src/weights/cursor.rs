// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The cursor through which models take their tensors: `weights.pp("self_attn").linear("q_proj", …)`.

use std::path::Path;

use mlx_rs::{Array, Dtype, ops::concatenate};

use super::{Adapter, Store, Stored, Tensor, adapter::Layer, reader::is_half};
use crate::{
    error::{Error, Result},
    mlx::{self, Backend, Quantization, QuantizationMode, QuantizedArray},
    nn::{
        Activation, Embedding, FusedLinear, Join, LayerNorm, Linear, LmHead, Matrix, RmsNorm, ShortConv, SwitchGlu,
        SwitchLinear,
    },
};

/// A cursor in the tree of tensor names.
#[derive(Clone)]
pub struct Weights<'a> {
    pub(super) store: &'a Store,
    pub(super) prefix: String,
}

/// The kinds of values that a layer can compute with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    /// Weights of a matrix, or scales of one, which our own kernels read in half precision.
    Weights,
    /// Quantized values, several to a word.
    Packed,
    /// The scales of all modes except affine.
    Bytes,
}

/// Tensors of several layers, by the name that they have in each.
struct StoredParts(Vec<(&'static str, Vec<Stored>)>);

impl StoredParts {
    /// Joins arrays that were taken unchanged by reading them as one: the device need not wait for the files to join them, and
    /// there is no second buffer.
    fn join(&self) -> impl Join {
        |part: &str, arrays: &[&Array], axis: i32| {
            let stored = self.0.iter().find(|(name, _)| *name == part);
            let joined = stored.and_then(|(_, stored)| Stored::join(stored, axis.unsigned_abs() as usize));
            match joined {
                Some(joined) => {
                    let is_single = arrays.iter().all(|array| array.dtype() == Dtype::Float32);
                    joined.array(is_single && is_half(joined.dtype))
                }
                None => Ok(concatenate(arrays, axis)?),
            }
        }
    }
}

impl<'a> Weights<'a> {
    pub(super) fn root(store: &'a Store) -> Self {
        Self { store, prefix: String::new() }
    }

    /// Returns the subtree `name`.
    pub fn pp(&self, name: impl std::fmt::Display) -> Self {
        Self { store: self.store, prefix: self.key(name) }
    }

    pub(super) fn key(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    /// Whether there is a tensor `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.store.peek(&self.key(name)).is_some()
    }

    /// Takes the tensor `name`. If it is missing or misshapen, records the problem for `finish` and returns a stand-in.
    fn take(&self, name: &str, shape: &[i32], wanted: Kind) -> Result<Array> {
        let key = self.key(name);
        let Some(tensor) = self.store.tensors.borrow_mut().remove(&key) else {
            if self.store.absent.is_some() {
                return Err(self.store.missing(&key));
            }
            self.store.problem(format!("missing {key}"));
            return Ok(Array::from_f32(0.0));
        };
        if tensor.array.shape() != shape {
            self.store.problem(format!("{key} has shape {:?}, expected {shape:?}", tensor.array.shape()));
        }
        match self.replacement(&key, shape, wanted)? {
            Some(array) => Ok(array),
            None => self.in_dtype(&key, tensor, wanted, Path::new("model.safetensors")),
        }
    }

    /// Converts a tensor from `path` to the dtype that its layer computes with.
    pub(super) fn in_dtype(&self, key: &str, tensor: Tensor, wanted: Kind, path: &Path) -> Result<Array> {
        let Tensor { array, widened, .. } = tensor;
        let dtype = array.dtype();
        let fits = match wanted {
            Kind::Float | Kind::Weights => matches!(dtype, Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16),
            Kind::Packed => dtype == Dtype::Uint32,
            Kind::Bytes => dtype == Dtype::Uint8,
        };
        if !fits {
            if dtype == Dtype::Uint8 && self.store.peek(&format!("{key}_scale_inv")).is_some() {
                let message = "'fp8' weights are supported for ministral3 and mistral4 only, as in mlx-lm";
                return Err(Error::config("config.json", "quantization_config.quant_method", message));
            }
            return Err(Error::WeightsInvalid {
                path: path.to_owned(),
                message: format!("tensor '{key}' has dtype {dtype:?}, which its layer does not support"),
            });
        }
        // Half precision is emulated on a CPU by MLX, and 10 to 40 times slower.
        let is_widened = match wanted {
            Kind::Float => true,
            Kind::Weights => !mlx::has_kernels(),
            Kind::Packed | Kind::Bytes => false,
        };
        match widened {
            _ if self.store.backend != Backend::Cpu || !is_widened => Ok(array),
            Some(widened) => Ok(widened),
            None => Ok(array.as_dtype(Dtype::Float32)?),
        }
    }

    /// Takes matrices of shape (…, rows, columns), dense or quantized as in the file. `kind`: that of floats.
    fn matrix(&self, shape: &[i32], kind: Kind) -> Result<Matrix> {
        let count = shape.iter().copied().map(i64::from).fold(1_i64, i64::saturating_mul);
        self.store.count(count);
        let Some(scales) = self.store.peek(&self.key("scales")) else {
            return Ok(Matrix::Dense(self.take("weight", shape, kind)?));
        };
        let last = |array: &Array| array.shape().last().copied().unwrap_or(0);
        let (columns, batch) = shape.split_last().map_or((0, shape), |(columns, batch)| (*columns, batch));
        let packed = self.store.peek(&self.key("weight")).as_ref().map_or(0, last);
        let bytes = scales.dtype() == Dtype::Uint8;
        let Some(quantization) = self.store.quantization.of(&self.prefix, columns, packed, last(&scales), bytes)?
        else {
            self.store.problem(format!(
                "{} has scales, but its quantization follows from neither config.json nor its shape",
                self.prefix
            ));
            return Ok(Matrix::Dense(Array::from_f32(0.0)));
        };
        let Quantization { group_size, bits, mode } = quantization;
        if columns % group_size != 0 {
            self.store.problem(format!("{} has {columns} columns, not a multiple of {group_size}", self.prefix));
        }
        let with_last = |last: i32| [batch, &[last]].concat();
        let (groups, affine) = (with_last(columns / group_size), mode == QuantizationMode::Affine);
        Ok(Matrix::Quantized(QuantizedArray {
            weight: self.take("weight", &with_last(columns.saturating_mul(bits) / 32), Kind::Packed)?,
            scales: self.take("scales", &groups, if affine { kind } else { Kind::Bytes })?,
            biases: if affine { Some(self.take("biases", &groups, kind)?) } else { None },
            quantization,
        }))
    }

    /// Takes layers of (batch…, outputs, inputs), without keeping their arrays: they may be joined first.
    fn read_linear(&self, name: &str, batch: &[i32], inputs: i32, outputs: i32, bias: bool) -> Result<Linear> {
        let at = self.pp(name);
        let matrix = at.matrix(&[batch, &[outputs, inputs]].concat(), Kind::Weights)?;
        let bias = if bias { Some(at.read_tensor("bias", &[batch, &[outputs]].concat())?) } else { None };
        let layer = match *batch {
            [] => Layer::Linear { inputs, outputs },
            [experts, ..] => Layer::Experts { experts, inputs, outputs },
        };
        let adapter = at.adapter(layer, &matrix)?;
        Ok(Linear::new(matrix, bias).with_adapter(adapter))
    }

    fn read_tensor(&self, name: &str, shape: &[i32]) -> Result<Array> {
        self.store.count(shape.iter().copied().map(i64::from).fold(1_i64, i64::saturating_mul));
        self.take(name, shape, Kind::Float)
    }

    /// Whether a problem was recorded: stand-ins cannot be joined, and `finish` will fail.
    pub(super) fn incomplete(&self) -> bool {
        !self.store.problems.borrow().is_empty()
    }

    /// Where layers are in the files that may be joined.
    fn stored_parts<'n>(&self, layers: impl Iterator<Item = &'n str> + Clone) -> StoredParts {
        let is_read = self.store.joins && !self.store.adapter.as_ref().is_some_and(Adapter::replaces);
        let parts = ["weight", "scales", "biases", "bias"].into_iter().filter(|_| is_read);
        let all =
            |part| layers.clone().map(|layer| self.store.stored(&self.pp(layer).key(part))).collect::<Option<Vec<_>>>();
        StoredParts(parts.filter_map(|part| Some((part, all(part)?))).collect())
    }

    /// Whether layers are joined if possible.
    fn can_join(&self) -> bool {
        self.store.joins && !self.incomplete()
    }

    /// Takes a tensor of floats.
    pub fn tensor(&self, name: &str, shape: &[i32]) -> Result<Array> {
        let tensor = self.read_tensor(name, shape)?;
        self.store.keep(vec![tensor.clone()]);
        Ok(tensor)
    }

    /// Takes a tensor of floats, transformed at load by `change`.
    pub fn tensor_with(&self, name: &str, shape: &[i32], change: impl FnOnce(Array) -> Result<Array>) -> Result<Array> {
        let tensor = change(self.read_tensor(name, shape)?)?;
        self.store.keep(vec![tensor.clone()]);
        Ok(tensor)
    }

    /// Takes a linear layer from `inputs` to `outputs` features.
    pub fn linear(&self, name: &str, inputs: i32, outputs: i32, bias: bool) -> Result<Linear> {
        let layer = self.read_linear(name, &[], inputs, outputs, bias)?;
        self.store.keep(layer.arrays());
        Ok(layer)
    }

    /// Takes linear layers with the same input; on a GPU they are computed as one if they are stored alike.
    pub fn fused_linear(&self, parts: &[(&str, i32)], inputs: i32, bias: bool) -> Result<FusedLinear> {
        let stored = self.stored_parts(parts.iter().map(|(name, _)| *name));
        let layers: Vec<Linear> = parts
            .iter()
            .map(|(name, outputs)| self.read_linear(name, &[], inputs, *outputs, bias))
            .collect::<Result<_>>()?;
        let layer = if self.can_join() {
            FusedLinear::new(layers, parts.iter().map(|(_, outputs)| *outputs), &stored.join())?
        } else {
            FusedLinear::Separate(layers)
        };
        self.store.keep(layer.arrays());
        Ok(layer)
    }

    /// Takes NVIDIA's second scale: one per expert, in addition to those of the groups.
    fn global_scale(&self, experts: i32) -> Result<Option<Array>> {
        let named = self.store.quantization.has_global_scale(&self.prefix);
        if !named && !self.contains("global_scale") {
            return Ok(None);
        }
        self.take("global_scale", &[experts], Kind::Float).map(Some)
    }

    /// Takes one matrix per head: weights of (heads, outputs, inputs).
    pub fn multi_linear(&self, name: &str, inputs: i32, outputs: i32, heads: i32) -> Result<Matrix> {
        // Our own kernels have no products with a matrix for each head.
        let matrix = self.pp(name).matrix(&[heads, outputs, inputs], Kind::Float)?;
        self.store.keep(matrix.arrays());
        Ok(matrix)
    }

    /// Takes experts with `gate_proj`, `up_proj` and `down_proj` of (experts, out, in), from and to `dims` features.
    pub fn switch_glu(
        &self,
        name: &str,
        dims: i32,
        hidden_dims: i32,
        experts: i32,
        activation: Activation,
        bias: bool,
    ) -> Result<SwitchGlu> {
        let at = self.pp(name);
        let stored = at.stored_parts(["gate_proj", "up_proj"].into_iter());
        let layer = |name, inputs, outputs| {
            let linear = at.read_linear(name, &[experts], inputs, outputs, bias)?;
            let nvfp4 = linear.quantization().is_some_and(|linear| linear.mode == QuantizationMode::Nvfp4);
            let global_scale = if nvfp4 { at.pp(name).global_scale(experts)? } else { None };
            Ok::<_, Error>(SwitchLinear::new(linear, global_scale))
        };
        let gate = layer("gate_proj", dims, hidden_dims)?;
        let up = layer("up_proj", dims, hidden_dims)?;
        let down = layer("down_proj", hidden_dims, dims)?;
        let layers = if self.can_join() {
            SwitchGlu::new(gate, up, down, activation, &stored.join())?
        } else {
            SwitchGlu::separate(gate, up, down, activation)
        };
        self.store.keep(layers.arrays());
        Ok(layers)
    }

    /// Takes a depthwise convolution over `positions` tokens: weights of (channels, positions, 1).
    pub fn short_conv(&self, name: &str, channels: i32, positions: i32) -> Result<ShortConv> {
        let taps = self.pp(name).tensor_with("weight", &[channels, positions, 1], |weight| {
            if self.incomplete() { Ok(weight) } else { ShortConv::taps(&weight) }
        })?;
        Ok(ShortConv::new(taps))
    }

    pub fn embedding(&self, name: &str, rows: i32, dims: i32) -> Result<Embedding> {
        let at = self.pp(name);
        at.cut_padding(rows)?;
        let matrix = at.matrix(&[rows, dims], Kind::Weights)?;
        let adapter = at.adapter(Layer::Embedding { rows, dims }, &matrix)?;
        let embedding = Embedding::new(matrix, adapter);
        self.store.keep(embedding.arrays());
        Ok(embedding)
    }

    /// Takes the output layer `lm_head` from `dims` features, or uses the embedding if `tied`, or if nothing asks for logits.
    pub fn lm_head(&self, tied: bool, dims: i32, vocab_size: i32, bias: bool) -> Result<LmHead> {
        if tied || !self.store.has_head {
            return Ok(LmHead::Tied);
        }
        self.pp("lm_head").cut_padding(vocab_size)?;
        Ok(LmHead::Untied(self.linear("lm_head", dims, vocab_size, bias)?))
    }

    /// Leaves out what a matrix has beyond the given rows, one for each token: no token has them.
    fn cut_padding(&self, rows: i32) -> Result<()> {
        for part in ["weight", "scales", "biases"] {
            if let Some(array) = self.store.peek(&self.key(part))
                && array.ndim() == 2
                && mlx::dim(&array, 0) > rows
            {
                self.remove(part);
                self.insert(part, mlx::slice_axis(&array, 0, 0, rows)?);
            }
        }
        Ok(())
    }

    pub fn rms_norm(&self, name: &str, dims: i32, eps: f32) -> Result<RmsNorm> {
        Ok(RmsNorm::new(self.pp(name).tensor("weight", &[dims])?, eps))
    }

    /// Takes a norm of Gemma, whose stored weight is added to 1.
    pub fn rms_norm_plus_one(&self, name: &str, dims: i32, eps: f32) -> Result<RmsNorm> {
        let stored = self.pp(name).read_tensor("weight", &[dims])?;
        let weight = stored.add(mlx::scalar(1.0, stored.dtype())?)?;
        self.store.keep(vec![weight.clone()]);
        Ok(RmsNorm::new(weight, eps))
    }

    pub fn layer_norm(&self, name: &str, dims: i32, eps: f32, bias: bool) -> Result<LayerNorm> {
        let at = self.pp(name);
        let bias = if bias { Some(at.tensor("bias", &[dims])?) } else { None };
        Ok(LayerNorm::new(at.tensor("weight", &[dims])?, bias, eps))
    }
}
