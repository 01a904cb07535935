// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The `quantization` entry of config.json: one setting for all layers, and exceptions by layer name.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::awq;
use crate::{
    error::{Error, Result},
    files::read_json,
    mlx::{Quantization, QuantizationMode},
};

const CONFIG: &str = "config.json";
const MODELOPT: &str = "hf_quant_config.json";

/// How each layer is quantized, if it is.
#[derive(Debug, Clone, Default)]
pub struct QuantizationConfig {
    default: Option<Quantization>,
    /// The entries of the config by layer name, checked when the layer is read: some may name no layer.
    layers: Map<String, Value>,
    awq: bool,
}

const GROUP_SIZES: &[i32] = &[32, 64, 128];
const BITS: &[i32] = &[2, 3, 4, 5, 6, 8];
/// The default group size and bits of a layer's own entry.
const AFFINE_DEFAULT: (i32, i32) = (64, 4);

impl QuantizationConfig {
    /// Reads `quantization`, or the `quantization_config` of checkpoints from other tools if MLX supports the format.
    /// Wrappers of text models may have the latter in `text_config`, and NVIDIA's ModelOpt in hf_quant_config.json.
    ///
    /// # Errors
    /// `ConfigInvalid` for settings that MLX does not support.
    pub fn read(folder: &Path, config: &Map<String, Value>) -> Result<Self> {
        if config.get("quantize_activations").is_some_and(|value| *value != Value::Bool(false) && !value.is_null()) {
            return Err(Error::config(CONFIG, "quantize_activations", "quantized activations are not supported"));
        }
        if let Some(entries) = object(CONFIG, config, "quantization")? {
            return Self::of_layers(entries, "quantization");
        }
        let text = config.get("text_config").and_then(Value::as_object);
        for config in [Some(config), text].into_iter().flatten() {
            let entries = object(CONFIG, config, "quantization_config")?;
            if let Some(entries) = entries.filter(|entries| !entries.is_empty()) {
                return match entries.get("quant_method") {
                    Some(method) => of_method(method, entries),
                    None => Self::of_layers(entries, "quantization_config"),
                };
            }
        }
        match read_json(folder, MODELOPT)? {
            Some(entries) => of_modelopt(MODELOPT, "quantization", object(MODELOPT, &entries, "quantization")?),
            None => Ok(Self::default()),
        }
    }

    /// Reads MLX's own entry: a setting, and exceptions by layer name.
    fn of_layers(entries: &Map<String, Value>, key: &str) -> Result<Self> {
        Ok(Self { default: Some(setting(entries, key, None)?), layers: entries.clone(), awq: false })
    }

    fn all(mode: QuantizationMode) -> Self {
        let (group_size, bits) = mode.fixed().unwrap_or((32, 4));
        Self { default: Some(Quantization { group_size, bits, mode }), ..Self::default() }
    }

    /// Returns the setting for a layer whose matrix has `columns` columns, whose packed weight has `packed`, and whose
    /// scales have `scales`.
    ///
    /// As in mlx-lm, a layer's own entry in the config decides. For other layers, the shapes and the type of the scales
    /// decide; the config's general setting only holds for most layers.
    ///
    /// # Errors
    /// `ConfigInvalid` if the layer's entry has settings that MLX does not support.
    pub fn of(
        &self,
        layer: &str,
        columns: i32,
        packed: i32,
        scales: i32,
        byte_scales: bool,
    ) -> Result<Option<Quantization>> {
        let Some(default) = self.default else { return Ok(None) };
        match self.layers.get(layer) {
            Some(Value::Object(entry)) => {
                return setting(entry, &format!("quantization.{layer}"), Some(AFFINE_DEFAULT)).map(Some);
            }
            Some(Value::Bool(true)) => return Ok(Some(default)),
            Some(Value::Bool(false) | Value::Null) => return Ok(None),
            Some(other) => {
                let message = format!("{other} is neither an object nor a boolean");
                return Err(Error::config(CONFIG, &format!("quantization.{layer}"), message));
            }
            None => {}
        }
        Ok(infer(columns, packed, scales, byte_scales))
    }

    /// Whether the config gives a layer a global scale per matrix.
    pub fn has_global_scale(&self, layer: &str) -> bool {
        self.layers.get(layer).and_then(|entry| entry.get("global_scale")) == Some(&Value::Bool(true))
    }

    /// Returns the general setting.
    pub fn default_setting(&self) -> Option<Quantization> {
        self.default
    }

    /// Whether layers are packed in AutoAWQ's layout.
    pub fn is_awq(&self) -> bool {
        self.awq
    }
}

/// Infers the quantization of a layer from its shapes; `None` if MLX does not support it.
fn infer(columns: i32, packed: i32, scales: i32, byte_scales: bool) -> Option<Quantization> {
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

/// Converts the quantization of another tool.
fn of_method(method: &Value, entries: &Map<String, Value>) -> Result<QuantizationConfig> {
    let text = |name: &str| entries.get(name).and_then(Value::as_str).unwrap_or_default();
    let refused = |field: &str, value: &str| {
        let message = format!("'{value}' is not supported");
        Err(Error::config(CONFIG, &format!("quantization_config.{field}"), message))
    };
    match method.as_str().unwrap_or_default() {
        "awq" | "gptq" => of_awq(entries),
        // Models dequantize such weights, except for these, which are mxfp8 under another name.
        "fp8" if text("scale_fmt") == "ue8m0" && entries.get("weight_block_size") == Some(&json!([32, 32])) => {
            Ok(QuantizationConfig::all(QuantizationMode::Mxfp8))
        }
        "fp8" => Ok(QuantizationConfig::default()),
        "mxfp4" => Ok(QuantizationConfig::all(QuantizationMode::Mxfp4)),
        "mxfp8" => Ok(QuantizationConfig::all(QuantizationMode::Mxfp8)),
        "modelopt" => of_modelopt(CONFIG, "quantization_config", Some(entries)),
        "compressed-tensors" => match text("format") {
            "mxfp4-pack-quantized" => Ok(QuantizationConfig::all(QuantizationMode::Mxfp4)),
            "nvfp4-pack-quantized" => Ok(QuantizationConfig::all(QuantizationMode::Nvfp4)),
            "pack-quantized" => Ok(QuantizationConfig::all(QuantizationMode::Affine)),
            format => refused("format", format),
        },
        _ => refused("quant_method", method.as_str().unwrap_or(&method.to_string())),
    }
}

/// Reads AutoAWQ's and GPTQ's settings.
fn of_awq(entries: &Map<String, Value>) -> Result<QuantizationConfig> {
    let mut entries = entries.clone();
    entries.retain(|name, value| matches!(name.as_str(), "bits" | "group_size") && !value.is_null());
    let default = setting(&entries, "quantization_config", Some((awq::GROUP_SIZE, awq::BITS)))?;
    if default.bits != awq::BITS {
        let message = format!("{} is not supported for AWQ and GPTQ, only {}", default.bits, awq::BITS);
        return Err(Error::config(CONFIG, "quantization_config.bits", message));
    }
    Ok(QuantizationConfig { default: Some(default), awq: true, ..QuantizationConfig::default() })
}

/// Reads NVIDIA ModelOpt's settings, which are nested in its own file, and may be in config.json.
fn of_modelopt(file: &str, at: &str, entries: Option<&Map<String, Value>>) -> Result<QuantizationConfig> {
    let nested = entries.and_then(|entries| entries.get("quantization")).and_then(Value::as_object);
    let algorithm = nested.or(entries).and_then(|entries| entries.get("quant_algo")).and_then(Value::as_str);
    match algorithm {
        Some("NVFP4") => Ok(QuantizationConfig::all(QuantizationMode::Nvfp4)),
        Some(other) => Err(Error::config(file, &format!("{at}.quant_algo"), format!("'{other}' is not supported"))),
        None => Err(Error::config(file, &format!("{at}.quant_algo"), "is missing")),
    }
}

/// Returns the object `key`, if there is one.
fn object<'a>(file: &str, config: &'a Map<String, Value>, key: &str) -> Result<Option<&'a Map<String, Value>>> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(entries)) => Ok(Some(entries)),
        Some(_) => Err(Error::config(file, key, "must be an object with group_size and bits")),
    }
}

/// Reads group size, bits and mode; `default` has the group size and bits of an affine setting that omits them.
fn setting(entry: &Map<String, Value>, at: &str, default: Option<(i32, i32)>) -> Result<Quantization> {
    let value = |name: &str| entry.get(name).filter(|value| !value.is_null());
    let name = value("mode").map_or("affine", |mode| mode.as_str().unwrap_or_default());
    let Some(mode) = QuantizationMode::ALL.into_iter().find(|mode| mode.name() == name) else {
        return Err(Error::config(CONFIG, &format!("{at}.mode"), format!("'{name}' is not supported")));
    };
    if value("quantize_input").is_some_and(|value| *value != Value::Bool(false)) {
        let message = "quantized activations are not supported";
        return Err(Error::config(CONFIG, &format!("{at}.quantize_input"), message));
    }
    let (group_sizes, all_bits) = match mode.fixed() {
        Some((group_size, bits)) => (vec![group_size], vec![bits]),
        None => (GROUP_SIZES.to_vec(), BITS.to_vec()),
    };
    let number = |name: &str, allowed: &[i32], default: Option<i32>| {
        let Some(value) = value(name) else {
            return default.ok_or_else(|| Error::config(CONFIG, &format!("{at}.{name}"), "is missing"));
        };
        let number = value.as_i64().and_then(|value| i32::try_from(value).ok());
        number
            .filter(|number| allowed.contains(number))
            .ok_or_else(|| Error::config(CONFIG, &format!("{at}.{name}"), format!("{value} is not one of {allowed:?}")))
    };
    let (group_size, bits) = default.map(|default| mode.fixed().unwrap_or(default)).unzip();
    Ok(Quantization {
        group_size: number("group_size", &group_sizes, group_size)?,
        bits: number("bits", &all_bits, bits)?,
        mode,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(config: &Value) -> Result<QuantizationConfig> {
        QuantizationConfig::read(Path::new("/nonexistent"), config.as_object().unwrap())
    }

    fn method(entries: Value) -> Result<QuantizationConfig> {
        parse(&json!({ "quantization_config": entries }))
    }

    #[test]
    fn the_config_decides_for_named_layers_and_the_shapes_for_others() {
        let config = parse(&json!({"quantization": {
            "group_size": 64, "bits": 4,
            "a.b": {"group_size": 32, "bits": 8}, "c": false, "d": null, "e": true, "a": {"bits": 5},
            "m": {"mode": "mxfp8"}, "unused.layer": {"bits": 7},
        }}))
        .unwrap();
        let of = |name: &str| config.of(name, 128, 24, 2, false).unwrap().map(|q| (q.group_size, q.bits));
        assert_eq!(of("a.b"), Some((32, 8)));
        assert_eq!(of("a.b.c"), Some((64, 6)));
        assert_eq!(of("a"), Some((64, 5)));
        assert_eq!(of("m"), Some((32, 8)));
        assert_eq!(of("c"), None);
        assert_eq!(of("d"), None);
        assert_eq!(of("e"), Some((64, 4)));
        assert_eq!(of("x"), Some((64, 6)));
        match config.of("unused.layer", 128, 24, 2, false) {
            Err(Error::ConfigInvalid { field, .. }) => assert_eq!(field, "quantization.unused.layer.bits"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn byte_scales_imply_a_microscaling_mode() {
        let config = parse(&json!({"quantization": {"group_size": 64, "bits": 4}})).unwrap();
        let of = |packed, scales| config.of("x", 128, packed, scales, true).unwrap().map(|q| q.mode);
        assert_eq!(of(16, 4), Some(QuantizationMode::Mxfp4));
        assert_eq!(of(32, 4), Some(QuantizationMode::Mxfp8));
        assert_eq!(of(16, 8), Some(QuantizationMode::Nvfp4));
        assert_eq!(of(16, 2), None);
    }

    #[test]
    fn methods_of_other_tools_are_recognised_by_name() {
        use QuantizationMode::{Affine, Mxfp4, Mxfp8, Nvfp4};
        for (entries, expected) in [
            (json!({"quant_method": "mxfp4"}), (Mxfp4, 32, 4)),
            (json!({"quant_method": "mxfp8"}), (Mxfp8, 32, 8)),
            (json!({"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [32, 32]}), (Mxfp8, 32, 8)),
            (json!({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}), (Nvfp4, 16, 4)),
            (json!({"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized"}), (Mxfp4, 32, 4)),
            (json!({"quant_method": "compressed-tensors", "format": "pack-quantized"}), (Affine, 32, 4)),
            (json!({"quant_method": "modelopt", "quant_algo": "NVFP4"}), (Nvfp4, 16, 4)),
            (json!({"quant_method": "modelopt", "quantization": {"quant_algo": "NVFP4"}}), (Nvfp4, 16, 4)),
            (json!({"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemm"}), (Affine, 64, 4)),
            (json!({"quant_method": "gptq", "sym": true}), (Affine, 128, 4)),
        ] {
            let found = method(entries.clone()).unwrap();
            let Quantization { group_size, bits, mode } = found.default_setting().unwrap();
            assert_eq!((mode, group_size, bits), expected, "{entries}");
            assert_eq!(found.is_awq(), matches!(entries["quant_method"].as_str(), Some("awq" | "gptq")), "{entries}");
        }
        assert!(method(json!({"quant_method": "fp8"})).unwrap().default_setting().is_none());
        assert!(method(json!({})).unwrap().default_setting().is_none());
        let nested = json!({"text_config": {"quantization_config": {"quant_method": "mxfp4"}}});
        assert!(parse(&nested).unwrap().default_setting().is_some());
        let both = json!({"quantization": {"group_size": 64, "bits": 4}, "quantization_config": {"quant_method": "x"}});
        assert_eq!(parse(&both).unwrap().default_setting().unwrap().group_size, 64);
    }

    #[test]
    fn modelopt_settings_are_read_from_hf_quant_config() {
        let folder = std::env::temp_dir().join(format!("node-mlx-modelopt-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let read = |algorithm: &str, config: Value| {
            let text = json!({"quantization": {"quant_algo": algorithm}}).to_string();
            std::fs::write(folder.join(MODELOPT), text).unwrap();
            QuantizationConfig::read(&folder, config.as_object().unwrap())
        };
        let found = read("NVFP4", json!({})).unwrap().default_setting().unwrap();
        assert_eq!(found.mode, QuantizationMode::Nvfp4);
        assert!(matches!(read("FP8", json!({})), Err(Error::ConfigInvalid { file, .. }) if file == MODELOPT));
        assert!(read("FP8", json!({"quantization": {"group_size": 64, "bits": 4}})).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_config_without_quantization_has_none() {
        for config in [json!({}), json!({"quantization": null}), json!({"quantize_activations": false})] {
            assert!(parse(&config).unwrap().of("x", 128, 16, 2, false).unwrap().is_none());
        }
    }

    #[test]
    fn errors_name_the_field_of_an_invalid_setting() {
        let mlx = |entry: Value| json!({ "quantization": entry });
        let other = |entry: Value| json!({ "quantization_config": entry });
        for (config, field) in [
            (mlx(json!({"group_size": 64, "bits": 7})), "quantization.bits"),
            (mlx(json!({"group_size": 0, "bits": 4})), "quantization.group_size"),
            (mlx(json!({"group_size": 64, "bits": 4, "mode": "magic"})), "quantization.mode"),
            (
                mlx(json!({"group_size": 16, "bits": 4, "mode": "nvfp4", "quantize_input": true})),
                "quantization.quantize_input",
            ),
            (mlx(json!({"bits": 4})), "quantization.group_size"),
            (mlx(json!(4)), "quantization"),
            (other(json!({"quant_method": "hqq"})), "quantization_config.quant_method"),
            (other(json!({"quant_method": "bitnet"})), "quantization_config.quant_method"),
            (other(json!({"quant_method": "awq", "bits": 8})), "quantization_config.bits"),
            (other(json!({"quant_method": "gptq", "group_size": -1})), "quantization_config.group_size"),
            (
                other(json!({"quant_method": "compressed-tensors", "format": "float-quantized"})),
                "quantization_config.format",
            ),
            (other(json!({"quant_method": "modelopt", "quant_algo": "FP8"})), "quantization_config.quant_algo"),
            (json!({"quantize_activations": true}), "quantize_activations"),
        ] {
            match parse(&config) {
                Err(Error::ConfigInvalid { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{other:?}"),
            }
        }
    }
}
