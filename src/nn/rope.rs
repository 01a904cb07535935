// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/rope_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Rotary position embeddings in the variants that model configs ask for.
//!
//! Differs from mlx-lm: LongRoPE has factors for short texts too, YaRN's `truncate` and every `attention_factor` count, and
//! `rope_type` wins over `type`.

use std::{cell::Cell, f32::consts::PI};

use mlx_rs::{Array, fast, ops};
use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    mlx::{self, JoinedHeads, Periods, Rotation, Turn},
};

const FILE: &str = "config.json";

#[cfg(test)]
thread_local! {
    /// How often wavelengths have been computed.
    pub static COMPUTED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

thread_local! {
    static TEXT_LENGTH: Cell<i32> = const { Cell::new(0) };
}

/// Says to which length the text will have grown when the passes until it is dropped are done: a rotation may depend on
/// that, also for the first tokens of a prompt that is read in chunks. Without it, a text ends where a pass does.
#[derive(Debug)]
pub struct TextLength(());

impl TextLength {
    pub fn of(tokens: usize) -> Self {
        TEXT_LENGTH.set(i32::try_from(tokens).unwrap_or(i32::MAX));
        Self(())
    }
}

impl Drop for TextLength {
    fn drop(&mut self) {
        TEXT_LENGTH.set(0);
    }
}

/// A rotary embedding over the first `dims` features of each head.
#[derive(Debug)]
pub struct Rope {
    dims: i32,
    traditional: bool,
    usual: Angles,
    /// LongRoPE: what longer texts than that number of tokens are rotated by.
    long: Option<(i32, Angles)>,
}

#[derive(Debug)]
struct Angles {
    kind: Kind,
    /// The same for our own kernels; `None` for a rotation that depends on the length of the text.
    rotation: Option<Rotation>,
}

#[derive(Debug)]
enum Kind {
    /// Angles from a base, positions times `scale`.
    Plain { base: f32, scale: f32 },
    /// Own wavelengths; the rotated features are first multiplied by `mscale`.
    Frequencies { freqs: Array, mscale: f32 },
    /// A base that grows with the length of the text.
    DynamicNtk { base: f64, factor: f64, max_position_embeddings: f64 },
}

/// `rope_scaling` (or `rope_parameters`) of a config, read with the field's name in every error.
struct Scaling<'a>(&'a Map<String, Value>);

impl Scaling<'_> {
    fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => Err(invalid(name, format!("{value} is not a number"))),
            },
        }
    }

    fn positive(&self, name: &str, default: Option<f64>) -> Result<f64> {
        match self.number(name)?.or(default) {
            Some(number) if number > 0.0 => Ok(number),
            Some(number) => Err(invalid(name, format!("{number} is not positive"))),
            None => Err(invalid(name, "is missing")),
        }
    }

    /// A list of `length` numbers, or one number for all of them.
    fn numbers(&self, name: &str, length: usize) -> Result<Vec<f32>> {
        let Some(Value::Array(list)) = self.0.get(name) else {
            return Ok(vec![self.positive(name, Some(1.0))? as f32; length]);
        };
        let numbers: Option<Vec<f32>> = list.iter().map(|value| Some(value.as_f64()? as f32)).collect();
        numbers
            .filter(|numbers| numbers.len() == length)
            .ok_or_else(|| invalid(name, format!("is not a list of {length} numbers")))
    }

    fn kind(&self) -> Result<&str> {
        // "type" is the older name.
        for name in ["rope_type", "type"] {
            match self.0.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(kind)) => return Ok(kind),
                Some(value) => return Err(invalid(name, format!("{value} is not a string"))),
            }
        }
        Ok("default")
    }
}

fn invalid(name: &str, message: impl Into<String>) -> Error {
    Error::config(FILE, &format!("rope_scaling.{name}"), message)
}

/// Returns `base ** (2i / dims)` for each pair of features, computed by MLX to equal mlx-lm's bit for bit.
fn wavelengths(base: f32, dims: i32) -> Result<Vec<f32>> {
    #[cfg(test)]
    COMPUTED.set(COMPUTED.get() + 1);
    let exponents = ops::arange::<_, f32>(0, dims, 2)?.divide(Array::from_f32(dims as f32))?;
    let freqs = Array::from_f32(base).power(exponents)?;
    freqs.to_vec_exact::<f32>().map_err(|error| Error::internal(error.to_string()))
}

impl Kind {
    /// The angle from one position to the next for each pair of features; `None` where it depends on the length.
    fn frequencies(&self, dims: i32) -> Option<Vec<f32>> {
        match self {
            Self::Plain { base, scale } => {
                let exponents = (0..dims / 2).map(|pair| f64::from(2 * pair) / f64::from(dims));
                Some(exponents.map(|exponent| f64::from(*base).powf(-exponent) as f32 * scale).collect())
            }
            Self::Frequencies { freqs, .. } => {
                Some(freqs.to_vec_exact::<f32>().ok()?.into_iter().map(f32::recip).collect())
            }
            Self::DynamicNtk { .. } => None,
        }
    }
}

impl Angles {
    fn new(dims: i32, traditional: bool, kind: Kind) -> Self {
        let rotation = kind.frequencies(dims).map(|frequencies| Rotation::new(frequencies, traditional));
        Self { kind, rotation }
    }
}

impl Rope {
    /// As mlx-lm's `initialize_rope`.
    ///
    /// # Errors
    /// `ConfigInvalid` for an unknown kind, or a setting that is missing or impossible.
    pub fn new(
        dims: i32,
        base: f32,
        traditional: bool,
        scaling: Option<&Map<String, Value>>,
        max_position_embeddings: Option<i32>,
    ) -> Result<Self> {
        let plain = Kind::Plain { base, scale: 1.0 };
        let Some(scaling) = scaling.map(Scaling) else {
            return Ok(Self::of(dims, traditional, plain));
        };
        let max = max_position_embeddings.map(f64::from);
        let kind = match scaling.kind()? {
            "default" | "mrope" => plain,
            "longrope" | "su" => {
                let original = scaling.positive("original_max_position_embeddings", max)?;
                let factor = scaling.positive("factor", Some(max.unwrap_or(original) / original))?;
                let grown = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / original.ln()).sqrt() };
                let magnitude = scaling.number("attention_factor")?.unwrap_or(grown);
                let set = |factors, mscale| long_rope(dims, base, &scaling, [factors, mscale], magnitude);
                let mut rope = Self::of(dims, traditional, set("short_factor", "short_mscale")?);
                let long = Angles::new(dims, traditional, set("long_factor", "long_mscale")?);
                rope.long = Some((original as i32, long));
                return Ok(rope);
            }
            "proportional" => proportional(dims, base, &scaling)?,
            "linear" => Kind::Plain { base, scale: (1.0 / scaling.positive("factor", None)?) as f32 },
            "dynamic" => Kind::DynamicNtk {
                base: f64::from(base),
                factor: scaling.positive("factor", None)?,
                max_position_embeddings: f64::from(max_position_embeddings.ok_or_else(|| {
                    Error::config(FILE, "max_position_embeddings", "is missing, but dynamic RoPE requires it")
                })?),
            },
            "llama3" => llama3(dims, base, &scaling, max)?,
            "yarn" | "deepseek_yarn" | "telechat3-yarn" => yarn(dims, base, &scaling, max)?,
            kind => return Err(invalid("rope_type", format!("'{kind}' is not supported"))),
        };
        Ok(Self::of(dims, traditional, kind))
    }

    /// A plain rotation.
    pub fn plain(dims: i32, base: f32, traditional: bool) -> Self {
        Self::of(dims, traditional, Kind::Plain { base, scale: 1.0 })
    }

    fn of(dims: i32, traditional: bool, kind: Kind) -> Self {
        Self { dims, traditional, usual: Angles::new(dims, traditional, kind), long: None }
    }

    /// x: (B, H, L, D), the first row at position `offset` → (B, H, L, D)
    pub fn forward(&self, x: &Array, offset: i32) -> Result<Array> {
        let Self { dims, traditional, .. } = *self;
        let angles = self.angles(mlx::dim(x, 2) + offset);
        let x = match &angles.kind {
            Kind::Frequencies { mscale, .. } if *mscale != 1.0 => &self.scale_rotated(x, *mscale)?,
            _ => x,
        };
        if let Some(y) = angles.rotation.as_ref().and_then(|rotation| rotation.rotate(x, offset)) {
            return y;
        }
        match &angles.kind {
            Kind::Plain { base, scale } => Ok(fast::rope(x, dims, traditional, *base, *scale, offset, None)?),
            Kind::Frequencies { freqs, .. } => Ok(fast::rope(x, dims, traditional, None, 1.0, offset, freqs)?),
            Kind::DynamicNtk { base, factor, max_position_embeddings } => {
                let length = mlx::dim(x, 2) + offset;
                let ratio = f64::from(length).max(*max_position_embeddings) / max_position_embeddings;
                let exponent = f64::from(dims) / f64::from(dims - 2);
                let base = base * (factor * ratio - (factor - 1.0)).powf(exponent);
                Ok(fast::rope(x, dims, traditional, base as f32, 1.0, offset, None)?)
            }
        }
    }

    /// The same of queries and keys where a projection has left them, after their norms; `None` where that takes several
    /// steps.
    pub fn forward_heads(&self, joined: &JoinedHeads) -> Option<Result<[Array; 2]>> {
        let Angles { kind, rotation } = self.angles(mlx::dim(joined.qkv, 1) + joined.offset);
        let (periods, magnitude) = match kind {
            Kind::Plain { base, scale } => (Periods::Powers { base: *base, scale: *scale }, 1.0),
            Kind::Frequencies { freqs, mscale } => (Periods::Given(freqs), *mscale),
            Kind::DynamicNtk { .. } => return None,
        };
        let on_cpu = rotation.as_ref().filter(|_| magnitude == 1.0);
        on_cpu
            .and_then(|rotation| rotation.rotate_heads(joined))
            .or_else(|| joined.rotate(&Turn { dims: self.dims, traditional: self.traditional, periods, magnitude }))
    }

    /// Those for a text of this length, or of the one that is known.
    fn angles(&self, length: i32) -> &Angles {
        match &self.long {
            Some((limit, long)) if length.max(TEXT_LENGTH.get()) > *limit => long,
            _ => &self.usual,
        }
    }

    fn scale_rotated(&self, x: &Array, factor: f32) -> Result<Array> {
        let width = x.shape().last().copied().unwrap_or(0);
        if self.dims == width {
            return Ok(x.multiply(mlx::scalar(factor, x.dtype())?)?);
        }
        let factors: Vec<f32> = (0..width).map(|feature| if feature < self.dims { factor } else { 1.0 }).collect();
        Ok(x.multiply(mlx::vector(&factors, x.dtype())?)?)
    }
}

/// An attention scale with the half of YaRN's magnitude that does not go into the rotation.
pub fn apply_yarn_mscale(scale: f32, scaling: &Map<String, Value>) -> Result<f32> {
    let scaling = Scaling(scaling);
    let mscale_all_dim = scaling.number("mscale_all_dim")?.unwrap_or(0.0);
    let factor = scaling.number("factor")?.unwrap_or(1.0);
    if scaling.kind()? == "default" || factor <= 1.0 {
        return Ok(scale);
    }
    let magnitude = 0.1 * mscale_all_dim * factor.ln() + 1.0;
    Ok((f64::from(scale) * magnitude * magnitude) as f32)
}

fn frequencies(freqs: &[f32], mscale: f32) -> Result<Kind> {
    let shape = [i32::try_from(freqs.len()).unwrap_or(0)];
    let freqs = Array::from_slice(freqs, &shape);
    Ok(Kind::Frequencies { freqs, mscale })
}

/// LongRoPE (arXiv:2402.13753): wavelengths of the texts that the setting `factors` is for. `mscale`, if it is set, takes
/// the place of `magnitude`.
fn long_rope(dims: i32, base: f32, scaling: &Scaling, [factors, mscale]: [&str; 2], magnitude: f64) -> Result<Kind> {
    if !scaling.0.contains_key(factors) {
        return Err(invalid(factors, "is missing"));
    }
    let wavelengths = wavelengths(base, dims)?;
    let factors = scaling.numbers(factors, wavelengths.len())?;
    let freqs: Vec<f32> = wavelengths.iter().zip(factors).map(|(freq, factor)| factor * freq).collect();
    // Python's `or`: a scale of zero counts as none.
    let magnitude = scaling.number(mscale)?.filter(|scale| *scale != 0.0).unwrap_or(magnitude);
    frequencies(&freqs, magnitude as f32)
}

/// Rotates only the first `partial_rotary_factor` of the features, with the wavelengths of a full rotation.
fn proportional(dims: i32, base: f32, scaling: &Scaling) -> Result<Kind> {
    let share = scaling.number("partial_rotary_factor")?.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&share) {
        return Err(invalid("partial_rotary_factor", format!("{share} is not between 0 and 1")));
    }
    let factor = scaling.positive("factor", Some(1.0))? as f32;
    let pairs = (f64::from(dims) * share / 2.0) as usize;
    let freqs: Vec<f32> = wavelengths(base, dims)?
        .into_iter()
        .enumerate()
        .map(|(pair, freq)| if pair < pairs { factor * freq } else { f32::INFINITY })
        .collect();
    frequencies(&freqs, 1.0)
}

/// Stretches long wavelengths, keeps short ones, and blends those between.
fn llama3(dims: i32, base: f32, scaling: &Scaling, max: Option<f64>) -> Result<Kind> {
    let factor = scaling.positive("factor", None)? as f32;
    let low_freq_factor = scaling.positive("low_freq_factor", Some(1.0))? as f32;
    let high_freq_factor = scaling.positive("high_freq_factor", Some(4.0))? as f32;
    let old_context_len = scaling.positive("original_max_position_embeddings", max.or(Some(8192.0)))? as f32;

    let low_freq_wavelen = old_context_len / low_freq_factor;
    let high_freq_wavelen = old_context_len / high_freq_factor;
    let freqs: Vec<f32> = wavelengths(base, dims)?
        .into_iter()
        .map(|freq| {
            let wavelen = 2.0 * PI * freq;
            if wavelen > low_freq_wavelen {
                freq * factor
            } else if wavelen > high_freq_wavelen {
                let smooth = (old_context_len / wavelen - low_freq_factor) / (high_freq_factor - low_freq_factor);
                freq / ((1.0 - smooth) / factor + smooth)
            } else {
                freq
            }
        })
        .collect();
    frequencies(&freqs, 1.0)
}

/// YaRN (arXiv:2309.00071): wavelengths between interpolated and kept, by a ramp over the pairs of features.
fn yarn(dims: i32, base: f32, scaling: &Scaling, max: Option<f64>) -> Result<Kind> {
    let original = scaling.positive("original_max_position_embeddings", max.or(Some(4096.0)))?;
    let factor = scaling.positive("factor", max.map(|max| max / original))?;
    let beta_fast = scaling.positive("beta_fast", Some(32.0))?;
    let beta_slow = scaling.positive("beta_slow", Some(1.0))?;
    let given = |name| Ok::<_, Error>(scaling.number(name)?.filter(|number| *number != 0.0));
    let mscales = given("mscale")?.zip(given("mscale_all_dim")?);
    let truncate = scaling.0.get("truncate") != Some(&Value::Bool(false));

    let correction_dim = |rotations: f64| {
        f64::from(dims) * (original / (rotations * 2.0 * std::f64::consts::PI)).ln() / (2.0 * f64::from(base).ln())
    };
    let (mut low, mut high) = (correction_dim(beta_fast), correction_dim(beta_slow));
    if truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    let low = low.max(0.0);
    high = high.min(f64::from(dims - 1));
    if low == high {
        high += 0.001;
    }
    let magnitude = |mscale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 };
    let (low, width, factor) = (low as f32, (high - low) as f32, factor as f32);
    let freqs: Vec<f32> = wavelengths(base, dims)?
        .into_iter()
        .enumerate()
        .map(|(pair, extra)| {
            let inter = factor * extra;
            let mask = 1.0 - ((pair as f32 - low) / width).clamp(0.0, 1.0);
            (inter * extra) / (inter * mask + extra * (1.0 - mask))
        })
        .collect();
    let attention_factor = match (scaling.number("attention_factor")?, mscales) {
        (Some(factor), _) => factor,
        (None, Some((mscale, mscale_all_dim))) => magnitude(mscale) / magnitude(mscale_all_dim),
        (None, None) => magnitude(1.0),
    };
    frequencies(&freqs, attention_factor as f32)
}
