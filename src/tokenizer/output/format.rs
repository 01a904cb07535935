// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tokenizer_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: more formats, and the vocabulary as a fallback.
// Differs from mlx-lm: reasoning between [THINK] tags, and templates that only describe calls between <tool_call> tags.

//! How models mark reasoning and tool calls.

use super::section::members::Grammar;
use super::tags::between;
use super::tools::grammar;

const HARMONY: &[&str] =
    &["<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>"];

/// A model's tool-call format, named as mlx-lm's tool parsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ToolFormat {
    /// The model has no tool calls; its output is text.
    #[default]
    None,
    /// A JSON object between `<tool_call>` tags: Hermes, Qwen 2.5 and 3.
    JsonTools,
    /// `<function=name><parameter=key>value</parameter></function>`: Qwen3-Coder, Qwen3.5.
    Qwen3Coder,
    /// `[TOOL_CALLS]`, then `name[ARGS]{…}` or a JSON list.
    Mistral,
    /// Python calls in a list: LFM2.
    Pythonic,
    /// FunctionGemma.
    FunctionGemma,
    /// Gemma 4.
    Gemma4,
    /// `name<arg_key>key</arg_key><arg_value>value</arg_value>`: GLM 4.5 to 4.7, Laguna.
    Glm47,
    /// The same with longer tags.
    Longcat,
    /// `functions.name:0` and a JSON object.
    KimiK2,
    /// `<invoke name="…"><parameter name="…">`.
    MinimaxM2,
    /// `<function name="…"><param name="…">`.
    Minicpm5,
    /// gpt-oss: each message names its channel, a call its recipient. Not in mlx-lm.
    Harmony,
}

impl ToolFormat {
    /// Returns the format of mlx-lm's `tool_parser_type` in tokenizer_config.json.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "json_tools" => Self::JsonTools,
            "qwen3_coder" => Self::Qwen3Coder,
            "mistral" => Self::Mistral,
            "pythonic" => Self::Pythonic,
            "function_gemma" => Self::FunctionGemma,
            "gemma4" => Self::Gemma4,
            "glm47" | "laguna" => Self::Glm47,
            "longcat" => Self::Longcat,
            "kimi_k2" => Self::KimiK2,
            "minimax_m2" => Self::MinimaxM2,
            "minicpm5" => Self::Minicpm5,
            "harmony" => Self::Harmony,
            _ => return None,
        })
    }

    /// Infers the format from the text of a chat template, or else from the vocabulary.
    pub fn infer(chat_template: &str, has_token: impl Fn(&str) -> bool) -> Self {
        let has = |marker: &str| chat_template.contains(marker);
        if has("<minimax:tool_call>") {
            Self::MinimaxM2
        } else if has("<|tool_call>") && has("<tool_call|>") {
            Self::Gemma4
        } else if has("<start_function_call>") {
            Self::FunctionGemma
        } else if has("<longcat_tool_call>") {
            Self::Longcat
        } else if has("<arg_key>") {
            Self::Glm47
        } else if has("<|tool_list_start|>") || has("<|tool_call_start|>") {
            Self::Pythonic
        } else if has(r"<tool_call>\n<function=") || has("<tool_call>\n<function=") {
            Self::Qwen3Coder
        } else if has("<|tool_calls_section_begin|>") {
            Self::KimiK2
        } else if has(r#"<function name=""#) && has(r#"<param name=""#) {
            Self::Minicpm5
        } else if has("[TOOL_CALLS]") {
            Self::Mistral
        } else if has("<tool_call>") && (has("tool_call.name") || describes_json(chat_template)) {
            Self::JsonTools
        } else if has("<|channel|>") && has("<|message|>") && has("<|call|>") {
            Self::Harmony
        } else if has_token("<|tool_call_start|>") && has_token("<|tool_call_end|>") {
            Self::Pythonic
        } else {
            Self::None
        }
    }

    /// Returns the control tokens in its calls, which must be kept in the text.
    pub fn markers(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::JsonTools | Self::Qwen3Coder => &["<tool_call>", "</tool_call>"],
            Self::Mistral => &["[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"],
            Self::Pythonic => &["<|tool_call_start|>", "<|tool_call_end|>"],
            Self::FunctionGemma => &["<start_function_call>", "<end_function_call>", "<escape>"],
            Self::Gemma4 => &["<|tool_call>", "<tool_call|>", "<|\"|>"],
            Self::Glm47 => &["<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"],
            Self::Longcat => &[
                "<longcat_tool_call>",
                "</longcat_tool_call>",
                "<longcat_arg_key>",
                "</longcat_arg_key>",
                "<longcat_arg_value>",
                "</longcat_arg_value>",
            ],
            Self::KimiK2 => &[
                "<|tool_calls_section_begin|>",
                "<|tool_calls_section_end|>",
                "<|tool_call_begin|>",
                "<|tool_call_argument_begin|>",
                "<|tool_call_end|>",
            ],
            Self::MinimaxM2 => &["<minimax:tool_call>", "</minimax:tool_call>"],
            Self::Minicpm5 => &["<function", "</function>", "<param", "</param>"],
            Self::Harmony => HARMONY,
        }
    }

    /// Returns the tag that a call begins with.
    pub fn opening(self) -> Option<&'static str> {
        self.tags().map(|(start, _)| start)
    }

    /// Returns the tags around a section of calls. Without an end tag, the section ends with the output.
    pub(super) fn tags(self) -> Option<(&'static str, Option<&'static str>)> {
        Some(match self {
            Self::None | Self::Harmony => return None,
            Self::JsonTools | Self::Qwen3Coder | Self::Glm47 => ("<tool_call>", Some("</tool_call>")),
            Self::Mistral => ("[TOOL_CALLS]", None),
            Self::Pythonic => ("<|tool_call_start|>", Some("<|tool_call_end|>")),
            Self::FunctionGemma => ("<start_function_call>", Some("<end_function_call>")),
            Self::Gemma4 => ("<|tool_call>", Some("<tool_call|>")),
            Self::Longcat => ("<longcat_tool_call>", Some("</longcat_tool_call>")),
            Self::KimiK2 => ("<|tool_calls_section_begin|>", Some("<|tool_calls_section_end|>")),
            Self::MinimaxM2 => ("<minimax:tool_call>", Some("</minimax:tool_call>")),
            Self::Minicpm5 => ("<function name=", Some("</function>")),
        })
    }

    /// Returns the tags that a value between two tags cannot contain; none if values have quotes.
    pub fn value_tags(self) -> Vec<&'static str> {
        let Some(Grammar { section, call, member, value, .. }) = grammar(self) else { return Vec::new() };
        let mut tags = vec![section.0, section.1, *member, value.0, value.1];
        tags.extend(call.iter().flat_map(|(start, end)| [*start, *end]));
        tags
    }

    /// Returns what a call begins with that lacks the section's start tag.
    pub fn bare_call(self) -> Option<&'static str> {
        (self == Self::Qwen3Coder).then_some("<function=")
    }

    /// Returns how a section ends that lacks only its end tag. A truncated call must not be taken for one
    /// with fewer arguments.
    pub(super) fn closers(self) -> &'static [&'static str] {
        match self {
            Self::None | Self::Harmony | Self::Glm47 | Self::Longcat | Self::Minicpm5 => &[],
            Self::JsonTools | Self::FunctionGemma | Self::Gemma4 => &["}"],
            Self::Mistral => &["}", "]"],
            Self::Pythonic => &["]"],
            Self::Qwen3Coder => &["</function>"],
            Self::KimiK2 => &["}", "<|tool_call_end|>"],
            Self::MinimaxM2 => &["</invoke>"],
        }
    }
}

/// Whether a template tells the model to write a JSON object between `<tool_call>` tags, as SmolLM3's does.
fn describes_json(chat_template: &str) -> bool {
    between(chat_template, "<tool_call>", "</tool_call>").any(|call| {
        // The template may quote this as a string.
        let call = call.replace('\\', "");
        call.contains('{') && call.contains("\"name\"") && call.contains("\"arguments\"")
    })
}

/// A model's reasoning format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReasoningFormat {
    /// No reasoning, or unmarked reasoning.
    #[default]
    None,
    /// `<think>`.
    Think,
    /// `<longcat_think>`.
    Longcat,
    /// `<|think:start|>`.
    ThinkStart,
    /// Gemma 4: `<|channel>thought`.
    Channel,
    /// Magistral: `[THINK]`. Not in mlx-lm.
    Brackets,
    /// gpt-oss: a message on the channel `analysis`. Not in mlx-lm.
    Harmony,
}

impl ReasoningFormat {
    /// Infers the format from the vocabulary.
    pub fn infer(has_token: impl Fn(&str) -> bool) -> Self {
        let has_all = |tokens: &[&str]| tokens.iter().all(|token| has_token(token));
        if has_all(&["<think>", "</think>"]) {
            Self::Think
        } else if has_all(&["<longcat_think>", "</longcat_think>"]) {
            Self::Longcat
        } else if has_all(&["<|think:start|>", "<|think:end|>"]) {
            Self::ThinkStart
        } else if has_all(&["<|channel>", "<channel|>"]) {
            Self::Channel
        } else if has_all(&["[THINK]", "[/THINK]"]) {
            Self::Brackets
        } else if has_all(&["<|start|>", "<|channel|>", "<|message|>"]) {
            Self::Harmony
        } else {
            Self::None
        }
    }

    /// Whether a prompt leaves the reasoning open, as with chat templates that begin it themselves.
    pub fn starts_in_reasoning(self, prompt: &str) -> bool {
        match self {
            Self::Harmony => {
                let header = prompt.rsplit_once("<|channel|>").and_then(|(_, rest)| rest.split_once("<|message|>"));
                header.is_some_and(|(channel, rest)| channel.trim() == "analysis" && !rest.contains("<|end|>"))
            }
            _ => self.tags().is_some_and(|(start, end)| prompt.rfind(start) > prompt.rfind(end)),
        }
    }

    /// Returns the control tokens around it, which must be kept in the text.
    pub(super) fn markers(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Think => &["<think>", "</think>"],
            Self::Longcat => &["<longcat_think>", "</longcat_think>"],
            Self::ThinkStart => &["<|think:start|>", "<|think:end|>"],
            Self::Channel => &["<|channel>", "<channel|>"],
            Self::Brackets => &["[THINK]", "[/THINK]"],
            Self::Harmony => HARMONY,
        }
    }

    /// Returns the text that begins the reasoning; `None` without reasoning.
    pub fn opening(self) -> Option<&'static str> {
        match self {
            Self::Harmony => Some("<|channel|>analysis<|message|>"),
            _ => self.tags().map(|(start, _)| start),
        }
    }

    /// Returns the text that ends the reasoning, as models write it; `None` without reasoning.
    pub fn closing(self) -> Option<String> {
        let gap = self.gap();
        match self {
            Self::Harmony => Some(format!("<|end|>{gap}")),
            Self::Channel | Self::Brackets => self.tags().map(|(_, end)| format!("{end}{gap}")),
            _ => self.tags().map(|(_, end)| format!("\n{end}{gap}")),
        }
    }

    /// Returns what models write between the end tag and the answer.
    pub fn gap(self) -> &'static str {
        match self {
            Self::Harmony => "<|start|>assistant<|channel|>final<|message|>",
            Self::None | Self::Channel | Self::Brackets => "",
            _ => "\n\n",
        }
    }

    /// Returns the tags around the reasoning.
    pub(super) fn tags(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::None | Self::Harmony => return None,
            Self::Think => ("<think>", "</think>"),
            Self::Longcat => ("<longcat_think>", "</longcat_think>"),
            Self::ThinkStart => ("<|think:start|>", "<|think:end|>"),
            Self::Channel => ("<|channel>thought", "<channel|>"),
            Self::Brackets => ("[THINK]", "[/THINK]"),
        })
    }
}
