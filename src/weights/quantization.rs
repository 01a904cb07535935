// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The `quantization` entry of config.json: one setting for all layers, and exceptions by layer name.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    mlx::{Quantization, QuantizationMode},
};

const FILE: &str = "config.json";

/// How each layer is quantized, if it is.
#[derive(Debug, Clone, Default)]
pub struct QuantizationConfig {
    default: Option<Quantization>,
    /// `None` for a layer that is named as dense.
    layers: HashMap<String, Option<Quantization>>,
}

const GROUP_SIZES: &[i32] = &[32, 64, 128];
const BITS: &[i32] = &[2, 3, 4, 5, 6, 8];

impl QuantizationConfig {
    /// Reads `quantization`, or the `quantization_config` of checkpoints that other tools made in a way that MLX has.
    /// Wrappers of text models may keep the latter in `text_config`.
    ///
    /// # Errors
    /// `ConfigInvalid` for settings that MLX does not have.
    pub fn from_config(config: &Map<String, Value>) -> Result<Self> {
        let present =
            |config: &Map<String, Value>, key: &str| config.get(key).filter(|value| !value.is_null()).cloned();
        let text = config.get("text_config").and_then(Value::as_object);
        let found = present(config, "quantization").map(|value| ("quantization", value)).or_else(|| {
            present(config, "quantization_config")
                .or_else(|| present(text?, "quantization_config"))
                .map(|value| ("quantization_config", value))
        });
        let Some((key, value)) = found else { return Ok(Self::default()) };
        let entries =
            value.as_object().ok_or_else(|| Error::config(FILE, key, "must be an object with group_size and bits"))?;
        if let Some(method) = entries.get("quant_method").and_then(Value::as_str)
            && key == "quantization_config"
        {
            return Ok(Self { default: of_method(method, entries)?, layers: HashMap::new() });
        }
        let default = setting(entries, key)?;
        let mut layers = HashMap::new();
        for (name, entry) in entries {
            match entry {
                Value::Object(entry) => {
                    layers.insert(name.clone(), Some(setting(entry, &format!("{key}.{name}"))?));
                }
                Value::Bool(quantized) => {
                    layers.insert(name.clone(), quantized.then_some(default));
                }
                _ => {}
            }
        }
        Ok(Self { default: Some(default), layers })
    }

    /// The setting for a layer whose packed weight and scales have so many columns, and whose matrix has `columns`.
    ///
    /// As in mlx-lm, a layer that the config names is what it says; for any other the shapes decide, with the kind of
    /// the scales, and the config's own setting is only what most layers have.
    pub fn of(&self, layer: &str, columns: i32, packed: i32, scales: i32, byte_scales: bool) -> Option<Quantization> {
        if let Some(named) = self.layers.get(layer) {
            return *named;
        }
        self.default?;
        let group_size = columns.checked_div(scales)?;
        let bits = packed.checked_mul(32)?.checked_div(columns)?;
        let mode = if byte_scales {
            *QuantizationMode::ALL.iter().find(|mode| mode.fixed() == Some((group_size, bits)))?
        } else if GROUP_SIZES.contains(&group_size) && BITS.contains(&bits) {
            QuantizationMode::Affine
        } else {
            return None;
        };
        Some(Quantization { group_size, bits, mode })
    }

    /// The setting that layers have unless they say otherwise.
    pub fn default_setting(&self) -> Option<Quantization> {
        self.default
    }
}

/// What another tool's quantization comes to; `None` for fp8, which models dequantize.
fn of_method(method: &str, entries: &Map<String, Value>) -> Result<Option<Quantization>> {
    let format = entries.get("format").and_then(Value::as_str).unwrap_or_default();
    let mode = match (method, format) {
        ("fp8", _) => return Ok(None),
        ("mxfp4", _) | ("compressed-tensors", "mxfp4-pack-quantized") => QuantizationMode::Mxfp4,
        ("mxfp8", _) => QuantizationMode::Mxfp8,
        ("compressed-tensors", "nvfp4-pack-quantized") => QuantizationMode::Nvfp4,
        ("compressed-tensors", "pack-quantized") => QuantizationMode::Affine,
        ("compressed-tensors", _) => {
            return Err(Error::config(FILE, "quantization_config.format", format!("'{format}' is not supported")));
        }
        _ => {
            return Err(Error::config(
                FILE,
                "quantization_config.quant_method",
                format!("'{method}' is not supported"),
            ));
        }
    };
    let (group_size, bits) = mode.fixed().unwrap_or((32, 4));
    Ok(Some(Quantization { group_size, bits, mode }))
}

fn setting(entry: &Map<String, Value>, at: &str) -> Result<Quantization> {
    let name = match entry.get("mode") {
        None | Some(Value::Null) => "affine",
        Some(mode) => mode.as_str().unwrap_or_default(),
    };
    let Some(mode) = QuantizationMode::ALL.into_iter().find(|mode| mode.name() == name) else {
        return Err(Error::config(FILE, &format!("{at}.mode"), format!("'{name}' is not supported")));
    };
    let number = |name: &str, allowed: &[i32]| {
        let value = entry.get(name).unwrap_or(&Value::Null);
        value
            .as_i64()
            .and_then(|value| i32::try_from(value).ok())
            .filter(|value| allowed.contains(value))
            .ok_or_else(|| Error::config(FILE, &format!("{at}.{name}"), format!("{value} is not one of {allowed:?}")))
    };
    let (group_sizes, all_bits) = match mode.fixed() {
        Some((group_size, bits)) => (vec![group_size], vec![bits]),
        None => (GROUP_SIZES.to_vec(), BITS.to_vec()),
    };
    Ok(Quantization { group_size: number("group_size", &group_sizes)?, bits: number("bits", &all_bits)?, mode })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: Value) -> Result<QuantizationConfig> {
        QuantizationConfig::from_config(value.as_object().unwrap())
    }

    #[test]
    fn named_layers_are_what_the_config_says_and_others_what_their_shapes_say() {
        let config = parse(
            json!({"quantization": {"group_size": 64, "bits": 4, "a.b": {"group_size": 32, "bits": 8}, "c": false}}),
        )
        .unwrap();
        let of = |name: &str| config.of(name, 128, 24, 2, false).map(|q| (q.group_size, q.bits));
        assert_eq!(of("a.b"), Some((32, 8)));
        assert_eq!(of("c"), None);
        assert_eq!(of("x"), Some((64, 6)));
    }

    #[test]
    fn byte_scales_mean_one_of_the_microscaling_modes() {
        let config = parse(json!({"quantization": {"group_size": 64, "bits": 4}})).unwrap();
        let of = |packed, scales| config.of("x", 128, packed, scales, true).map(|q| q.mode);
        assert_eq!(of(16, 4), Some(QuantizationMode::Mxfp4));
        assert_eq!(of(32, 4), Some(QuantizationMode::Mxfp8));
        assert_eq!(of(16, 8), Some(QuantizationMode::Nvfp4));
        assert_eq!(of(16, 2), None);
    }

    #[test]
    fn other_tools_methods_are_known_by_name() {
        let of = |method: Value| parse(json!({ "quantization_config": method })).unwrap().default_setting().unwrap();
        assert_eq!(of(json!({"quant_method": "mxfp4"})).mode, QuantizationMode::Mxfp4);
        let packed = json!({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"});
        assert_eq!(of(packed).mode, QuantizationMode::Nvfp4);
        assert!(parse(json!({"quantization_config": {"quant_method": "hqq"}})).is_err());
    }

    #[test]
    fn a_config_without_quantization_has_none() {
        assert!(parse(json!({})).unwrap().of("x", 128, 16, 2, false).is_none());
        assert!(parse(json!({"quantization": null})).unwrap().of("x", 128, 16, 2, false).is_none());
    }

    #[test]
    fn impossible_settings_name_their_field() {
        for (entry, field) in [
            (json!({"group_size": 64, "bits": 7}), "quantization.bits"),
            (json!({"group_size": 0, "bits": 4}), "quantization.group_size"),
            (json!({"group_size": 64, "bits": 4, "mode": "magic"}), "quantization.mode"),
            (json!({"bits": 4}), "quantization.group_size"),
        ] {
            match parse(json!({ "quantization": entry })) {
                Err(Error::ConfigInvalid { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{other:?}"),
            }
        }
    }
}
