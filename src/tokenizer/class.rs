// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from transformers (https://github.com/huggingface/transformers)
// Original: src/transformers/models/auto/tokenization_auto.py
// Original: src/transformers/models/code_llama/tokenization_code_llama.py
// Original: src/transformers/models/codegen/tokenization_codegen.py
// Original: src/transformers/models/gemma/tokenization_gemma.py
// Original: src/transformers/models/gpt2/tokenization_gpt2.py
// Original: src/transformers/models/gpt_neox/tokenization_gpt_neox.py
// Original: src/transformers/models/llama/tokenization_llama.py
// Original: src/transformers/models/qwen2/tokenization_qwen2.py
// Original: src/transformers/models/qwen3_5/tokenization_qwen3_5.py
// Git Tag: v5.23.0

//! The tokenizer classes of transformers, through which mlx-lm loads.
//!
//! Most take tokenizer.json as it is. Some use only its vocabulary, merges and post-processor, and bring the other
//! stages themselves: mlx-lm's token ids are then theirs, whatever the file says.

use serde_json::{Value, json};

/// A class, as far as it matters to the models that are ported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Class {
    /// tokenizer.json as it is.
    #[default]
    Backend,
    Llama,
    CodeLlama,
    Gemma,
    Qwen2,
    Qwen35,
    Gpt2,
    CodeGen,
    GptNeoX,
}

use Class::{Backend, CodeGen, CodeLlama, Gemma, Gpt2, GptNeoX, Llama, Qwen2, Qwen35};

/// How a model's class is chosen. Each `model_type` has its own rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassRule {
    /// The class that the checkpoint names.
    Named,
    /// The class that the checkpoint names, or this one if it names none.
    NamedOr(Class),
    /// This class, even if the checkpoint names another.
    Always(Class),
}

const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN3_5: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What a class is told by tokenizer_config.json.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassOptions {
    pub add_prefix_space: Option<bool>,
    /// Puts a space not only before the text, but also behind each special token.
    pub legacy: bool,
}

/// The stages that a class brings.
pub struct Pipeline {
    pub normalizer: Option<Value>,
    pub pre_tokenizer: Value,
    pub decoder: Value,
    /// Whether the model writes unknown characters as bytes.
    pub byte_fallback: bool,
    pub has_unk_token: bool,
}

impl ClassRule {
    /// The class that transformers would load. `remote`: the checkpoint brings one of its own, which is not run.
    pub fn choose(self, named: Option<&str>, remote: bool, byte_level: bool) -> Class {
        match (named.map(Class::from_name), self) {
            (Some(named), _) if remote => named,
            (_, Self::Always(class)) => class,
            (Some(Llama), _) if byte_level => Backend,
            (Some(named), _) => named,
            (None, Self::NamedOr(class)) => class,
            (None, Self::Named) => Backend,
        }
    }
}

impl Class {
    pub(super) fn from_name(name: &str) -> Self {
        match name.strip_suffix("Fast").unwrap_or(name) {
            "LlamaTokenizer" => Llama,
            "CodeLlamaTokenizer" => CodeLlama,
            "GemmaTokenizer" => Gemma,
            "Qwen2Tokenizer" => Qwen2,
            "Qwen3_5Tokenizer" => Qwen35,
            "GPT2Tokenizer" => Gpt2,
            "CodeGenTokenizer" => CodeGen,
            "GPTNeoXTokenizer" => GptNeoX,
            _ => Backend,
        }
    }

    /// The special tokens of a tokenizer_config.json that says nothing about them.
    pub fn default_tokens(self) -> &'static [(&'static str, &'static str)] {
        const END: &str = "<|endoftext|>";
        match self {
            Backend => &[],
            Llama => &[("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>")],
            CodeLlama => &[
                ("unk_token", "<unk>"),
                ("bos_token", "<s>"),
                ("eos_token", "</s>"),
                ("prefix_token", "▁<PRE>"),
                ("middle_token", "▁<MID>"),
                ("suffix_token", "▁<SUF>"),
                ("eot_token", "▁<EOT>"),
                ("fill_token", "<FILL_ME>"),
            ],
            Gemma => &[
                ("unk_token", "<unk>"),
                ("bos_token", "<bos>"),
                ("eos_token", "<eos>"),
                ("pad_token", "<pad>"),
                ("mask_token", "<mask>"),
            ],
            Qwen2 | Qwen35 => &[("unk_token", END), ("eos_token", END), ("pad_token", END)],
            Gpt2 | CodeGen => &[("unk_token", END), ("bos_token", END), ("eos_token", END)],
            GptNeoX => &[("unk_token", END), ("bos_token", END), ("eos_token", END), ("pad_token", "<|padding|>")],
        }
    }

    /// Whether the class can do with vocab.json and merges.txt.
    pub fn is_byte_level(self) -> bool {
        matches!(self, Qwen2 | Qwen35 | Gpt2 | CodeGen | GptNeoX)
    }

    /// The stages, for classes that bring them.
    pub fn pipeline(self, options: &ClassOptions) -> Option<Pipeline> {
        let prefix_space = options.add_prefix_space.unwrap_or(matches!(self, Llama | CodeLlama));
        let nfc = json!({ "type": "NFC" });
        Some(match self {
            Backend => return None,
            Llama | CodeLlama => {
                let scheme = match (prefix_space, options.legacy && self == Llama) {
                    (false, _) => "never",
                    (true, false) => "first",
                    (true, true) => "always",
                };
                Pipeline {
                    pre_tokenizer: json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme,
                                           "split": false }),
                    has_unk_token: self == CodeLlama,
                    ..sentencepiece(prefix_space || self == CodeLlama)
                }
            }
            Gemma => Pipeline {
                normalizer: Some(json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" })),
                ..sentencepiece(false)
            },
            Qwen2 => Pipeline { normalizer: Some(nfc), ..split_by(QWEN2, prefix_space) },
            Qwen35 => Pipeline { normalizer: Some(nfc), ..split_by(QWEN3_5, prefix_space) },
            Gpt2 | CodeGen => byte_level(prefix_space),
            GptNeoX => Pipeline { normalizer: Some(nfc), ..byte_level(prefix_space) },
        })
    }
}

fn sentencepiece(strip: bool) -> Pipeline {
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if strip {
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    Pipeline {
        normalizer: None,
        pre_tokenizer: json!({ "type": "Split", "pattern": { "String": " " }, "behavior": "MergedWithPrevious",
                               "invert": false }),
        decoder: json!({ "type": "Sequence", "decoders": decoders }),
        byte_fallback: true,
        has_unk_token: true,
    }
}

fn byte_level(prefix_space: bool) -> Pipeline {
    let stage = json!({ "type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": true });
    Pipeline {
        normalizer: None,
        pre_tokenizer: stage.clone(),
        decoder: stage,
        byte_fallback: false,
        has_unk_token: false,
    }
}

fn split_by(regex: &str, prefix_space: bool) -> Pipeline {
    let stages = [
        json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false }),
        json!({ "type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": true, "use_regex": false }),
    ];
    Pipeline { pre_tokenizer: json!({ "type": "Sequence", "pretokenizers": stages }), ..byte_level(false) }
}
