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
    /// Reads `quantization` (or, as mlx-lm's copies have it, `quantization_config`) of a config.
    ///
    /// # Errors
    /// `ConfigInvalid` for settings that MLX does not have.
    pub fn from_config(config: &Map<String, Value>) -> Result<Self> {
        let (key, value) = match (config.get("quantization"), config.get("quantization_config")) {
            (Some(value), _) if !value.is_null() => ("quantization", value),
            (_, Some(value)) if !value.is_null() => ("quantization_config", value),
            _ => return Ok(Self::default()),
        };
        let entries =
            value.as_object().ok_or_else(|| Error::config(FILE, key, "must be an object with group_size and bits"))?;
        if let Some(method) = entries.get("quant_method").and_then(Value::as_str) {
            return Err(Error::config(FILE, key, format!("quant_method '{method}' is not supported")));
        }
        let mut layers = HashMap::new();
        for (name, entry) in entries {
            match entry {
                Value::Object(entry) => {
                    layers.insert(name.clone(), Some(setting(entry, &format!("{key}.{name}"))?));
                }
                Value::Bool(false) => {
                    layers.insert(name.clone(), None);
                }
                _ => {}
            }
        }
        Ok(Self { default: Some(setting(entries, key)?), layers })
    }

    /// The setting for a layer whose packed weight and scales have so many columns, and whose matrix has `columns`.
    ///
    /// As in mlx-lm, a layer that the config names is what it says; for any other the shapes decide, and the config's
    /// own setting is only what most layers have.
    pub fn of(&self, layer: &str, columns: i32, packed: i32, scales: i32) -> Option<Quantization> {
        if let Some(named) = self.layers.get(layer) {
            return *named;
        }
        let mode = self.default?.mode;
        let group_size = columns.checked_div(scales).filter(|size| GROUP_SIZES.contains(size))?;
        let bits = packed.checked_mul(32)?.checked_div(columns).filter(|bits| BITS.contains(bits))?;
        Some(Quantization { group_size, bits, mode })
    }

    /// The setting that layers have unless they say otherwise.
    pub fn default_setting(&self) -> Option<Quantization> {
        self.default
    }
}

fn setting(entry: &Map<String, Value>, at: &str) -> Result<Quantization> {
    let number = |name: &str, allowed: &[i32]| {
        let value = entry.get(name).unwrap_or(&Value::Null);
        value
            .as_i64()
            .and_then(|value| i32::try_from(value).ok())
            .filter(|value| allowed.contains(value))
            .ok_or_else(|| Error::config(FILE, &format!("{at}.{name}"), format!("{value} is not one of {allowed:?}")))
    };
    match entry.get("mode").map(|mode| mode.as_str().unwrap_or_default()) {
        None | Some("affine") => {}
        Some(mode) => {
            return Err(Error::config(FILE, &format!("{at}.mode"), format!("'{mode}' is not supported; affine is")));
        }
    }
    Ok(Quantization {
        group_size: number("group_size", GROUP_SIZES)?,
        bits: number("bits", BITS)?,
        mode: QuantizationMode::Affine,
    })
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
        let of = |name: &str| config.of(name, 128, 24, 2).map(|q| (q.group_size, q.bits));
        assert_eq!(of("a.b"), Some((32, 8)));
        assert_eq!(of("c"), None);
        assert_eq!(of("x"), Some((64, 6)));
    }

    #[test]
    fn a_config_without_quantization_has_none() {
        assert!(parse(json!({})).unwrap().of("x", 128, 16, 2).is_none());
        assert!(parse(json!({"quantization": null})).unwrap().of("x", 128, 16, 2).is_none());
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
