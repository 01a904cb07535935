// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! The architectures: what code outside a model's own file needs to know about a `model_type`.

use serde_json::{Map, Value};

use super::{
    Model, boxed, gemma, gemma2, gemma3, gemma3_text, gemma3n, gemma4, gemma4_text, gpt_oss, llama, llama4,
    llama4_text, ministral3, mistral3, mistral4, mixtral, phi, phi3, phimoe, pixtral, qwen2, qwen2_moe, qwen2_vl,
    qwen3, qwen3_5, qwen3_5_moe, qwen3_moe, qwen3_next, qwen3_vl, qwen3_vl_moe, smollm3,
};
use crate::{
    error::{Error, Result},
    tokenizer::{
        Class::{Backend, Gemma, Gpt2, Qwen2, Qwen35},
        ClassRule::{self, Always, Named, NamedOr},
    },
    weights::Weights,
};

pub type Constructor = fn(&Map<String, Value>, &Weights) -> Result<Box<dyn Model>>;

/// A `model_type` with a file of its own.
#[derive(Clone, Copy)]
pub struct Architecture {
    pub model_type: &'static str,
    /// How transformers chooses the tokenizer class; see models/auto/tokenization_auto.py.
    tokenizer: ClassRule,
    pub construct: Constructor,
}

/// A `model_type` that runs as another one.
struct Remapping {
    model_type: &'static str,
    tokenizer: ClassRule,
    runs_as: &'static str,
}

const fn architecture(model_type: &'static str, tokenizer: ClassRule, construct: Constructor) -> Architecture {
    Architecture { model_type, tokenizer, construct }
}

const fn remapping(model_type: &'static str, tokenizer: ClassRule, runs_as: &'static str) -> Remapping {
    Remapping { model_type, tokenizer, runs_as }
}

const REGISTRY: &[Architecture] = &[
    architecture("gemma", NamedOr(Gemma), |config, w| boxed(gemma::load(config, w))),
    architecture("gemma2", NamedOr(Gemma), |config, w| boxed(gemma2::load(config, w))),
    architecture("gemma3", NamedOr(Gemma), |config, w| boxed(gemma3::load(config, w))),
    architecture("gemma3_text", NamedOr(Gemma), |config, w| boxed(gemma3_text::load(config, w))),
    architecture("gemma3n", NamedOr(Gemma), |config, w| boxed(gemma3n::Gemma3n::new(config, w))),
    architecture("gemma4", Named, |config, w| boxed(gemma4::load(config, w))),
    architecture("gemma4_text", Named, |config, w| boxed(gemma4_text::Gemma4Text::new(config, w))),
    architecture("gpt_oss", Named, |config, w| boxed(gpt_oss::load(config, w))),
    architecture("llama", Named, |config, w| boxed(llama::load(config, w))),
    architecture("llama4", Named, |config, w| boxed(llama4::load(config, w))),
    architecture("llama4_text", Named, |config, w| boxed(llama4_text::load(config, w))),
    architecture("ministral3", Always(Backend), |config, w| boxed(ministral3::load(config, w))),
    architecture("mistral3", Always(Backend), mistral3::load),
    architecture("mistral4", Named, |config, w| boxed(mistral4::load(config, w))),
    architecture("mixtral", Always(Backend), |config, w| boxed(mixtral::load(config, w))),
    architecture("phi", NamedOr(Gpt2), |config, w| boxed(phi::load(config, w))),
    architecture("phi3", Always(Backend), |config, w| boxed(phi3::load(config, w))),
    architecture("phimoe", Always(Backend), |config, w| boxed(phimoe::load(config, w))),
    architecture("pixtral", Always(Backend), |config, w| boxed(pixtral::load(config, w))),
    architecture("qwen2", Always(Qwen2), |config, w| boxed(qwen2::load(config, w))),
    architecture("qwen2_moe", NamedOr(Qwen2), |config, w| boxed(qwen2_moe::load(config, w))),
    architecture("qwen2_vl", NamedOr(Qwen2), |config, w| boxed(qwen2_vl::load(config, w))),
    architecture("qwen3", NamedOr(Qwen2), |config, w| boxed(qwen3::load(config, w))),
    architecture("qwen3_5", Always(Qwen35), |config, w| boxed(qwen3_5::load(config, w))),
    architecture("qwen3_5_moe", Always(Qwen35), |config, w| boxed(qwen3_5_moe::load(config, w))),
    architecture("qwen3_moe", NamedOr(Qwen2), |config, w| boxed(qwen3_moe::load(config, w))),
    architecture("qwen3_next", NamedOr(Qwen2), |config, w| boxed(qwen3_next::load(config, w))),
    architecture("qwen3_vl", NamedOr(Qwen2), |config, w| boxed(qwen3_vl::load(config, w))),
    architecture("qwen3_vl_moe", NamedOr(Qwen2), |config, w| boxed(qwen3_vl_moe::load(config, w))),
    architecture("smollm3", Named, |config, w| boxed(smollm3::load(config, w))),
];

/// As in mlx-lm, and more.
const MODEL_REMAPPING: &[Remapping] = &[
    remapping("mistral", Always(Backend), "llama"),
    remapping("iquestcoder", Always(Backend), "llama"),
    remapping("xverse", Named, "llama"),
    remapping("llava", Always(Backend), "mistral3"),
    remapping("qwen2_5_vl", NamedOr(Qwen2), "qwen2_vl"),
    remapping("gemma4_unified", Named, "gemma4"),
    // Text models saved alone, which mlx-lm does not know.
    remapping("gemma3n_text", NamedOr(Gemma), "gemma3n"),
    remapping("gemma4_unified_text", Named, "gemma4_text"),
    remapping("qwen2_vl_text", Named, "qwen2_vl"),
    remapping("qwen2_5_vl_text", Named, "qwen2_vl"),
    remapping("qwen3_vl_text", Named, "qwen3_vl"),
    remapping("qwen3_vl_moe_text", Named, "qwen3_vl_moe"),
    remapping("qwen3_5_text", NamedOr(Qwen35), "qwen3_5"),
    remapping("qwen3_5_moe_text", Always(Qwen35), "qwen3_5_moe"),
];

/// Every `model_type` that can be loaded.
pub fn supported() -> Vec<&'static str> {
    let remapped = MODEL_REMAPPING.iter().map(|entry| entry.model_type);
    REGISTRY.iter().map(|entry| entry.model_type).chain(remapped).collect()
}

/// The architecture that a config.json asks for.
///
/// # Errors
/// `ModelUnsupported`.
pub fn find(config: &Map<String, Value>) -> Result<Architecture> {
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let registered = |name: &str| REGISTRY.iter().find(|entry| entry.model_type == name).copied();
    let found = match MODEL_REMAPPING.iter().find(|entry| entry.model_type == model_type) {
        Some(&Remapping { model_type, tokenizer, runs_as }) => {
            registered(runs_as).map(|target| Architecture { model_type, tokenizer, ..target })
        }
        None => registered(model_type),
    };
    found.ok_or_else(|| Error::ModelUnsupported { model_type: model_type.to_owned(), supported: supported() })
}

/// How transformers chooses the tokenizer class for the model of a config.json.
///
/// # Errors
/// `ModelUnsupported`.
pub fn tokenizer_class(config: &Map<String, Value>) -> Result<ClassRule> {
    Ok(find(config)?.tokenizer)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::tokenizer::Class;

    fn rule(model_type: &str) -> Result<ClassRule> {
        tokenizer_class(json!({ "model_type": model_type }).as_object().unwrap())
    }

    #[test]
    fn each_model_type_gets_the_tokenizer_class_that_transformers_loads() {
        let goldens: Value = serde_json::from_str(include_str!("../../__test__/fixtures/tokenizers.json")).unwrap();
        let classes = &goldens["classes"];
        for (kind, byte_level) in [("gpt2", true), ("llama2", false)] {
            let of_types = classes[kind].as_object().unwrap();
            let known: BTreeSet<&str> = of_types.keys().map(String::as_str).collect();
            assert_eq!(known, supported().into_iter().collect(), "run tools/parity/tokenizer_goldens.py");
            for (model_type, loaded) in of_types {
                for (named, loaded) in classes["named"].as_array().unwrap().iter().zip(loaded.as_array().unwrap()) {
                    let class = rule(model_type).unwrap().choose(named.as_str(), false, byte_level);
                    let expected = match loaded.as_str().unwrap() {
                        "LlamaTokenizer" => Class::Llama,
                        "CodeLlamaTokenizer" => Class::CodeLlama,
                        "GemmaTokenizer" => Class::Gemma,
                        "Qwen2Tokenizer" => Class::Qwen2,
                        "Qwen3_5Tokenizer" => Class::Qwen35,
                        "GPT2Tokenizer" => Class::Gpt2,
                        "CodeGenTokenizer" => Class::CodeGen,
                        "GPTNeoXTokenizer" => Class::GptNeoX,
                        _ => Class::Backend,
                    };
                    assert_eq!(class, expected, "{model_type}, {named}, byte-level: {byte_level}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_model_type_is_refused() {
        assert_eq!(rule("qwen9").unwrap_err().code(), "ERR_MODEL_UNSUPPORTED");
        assert_eq!(tokenizer_class(&Map::new()).unwrap_err().code(), "ERR_MODEL_UNSUPPORTED");
    }
}
