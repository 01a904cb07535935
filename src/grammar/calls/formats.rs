// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What stands around calls and arguments in each format, as chat templates write it.

use super::arguments::Style;
use crate::tokenizer::output::ToolFormat;

/// How a format writes sections of calls, behind the tag that begins them.
pub struct Form {
    pub before: &'static str,
    pub after: &'static str,
    pub more: More,
    /// Whether nothing but sections can follow a section.
    pub is_last: bool,
    pub call: CallForm,
}

/// How further calls follow.
pub enum More {
    /// In another section, which may stand behind this.
    Sections(&'static str),
    /// In the same section, behind this.
    Calls(&'static str),
}

/// How a format writes a call.
pub enum CallForm {
    /// `{"name": …, "arguments": {…}}`
    Json,
    /// Text, the name, text, and the arguments as JSON.
    Headed(&'static str, &'static [Item], &'static str),
    /// Text, the name, text, arguments, text.
    Listed(&'static str, &'static str, &'static Style, &'static str),
}

/// What may stand between a name and its arguments.
pub enum Item {
    Literal(&'static str),
    /// A regular expression.
    Pattern(&'static str),
}

const PYTHON: Style =
    Style { name: ("", "="), separator: ", ", string: None, value: ("", ""), is_typed: true, has_space: true };
const GEMMA4: Style = Style {
    name: ("", ":"),
    separator: ",",
    string: Some(("<|\"|>", "<|\"|>")),
    value: ("", ""),
    is_typed: true,
    has_space: false,
};
const FUNCTION_GEMMA: Style = Style { string: Some(("<escape>", "<escape>")), ..GEMMA4 };
const QWEN: Style = Style {
    name: ("<parameter=", ">"),
    separator: "",
    string: Some(("", "")),
    value: ("\n", "\n</parameter>\n"),
    is_typed: false,
    has_space: true,
};
const GLM: Style = Style { name: ("<arg_key>", "</arg_key>"), value: ("<arg_value>", "</arg_value>"), ..QWEN };
const GLM_LINES: Style = Style { value: ("\n<arg_value>", "</arg_value>\n"), ..GLM };
const LONGCAT: Style = Style {
    name: ("<longcat_arg_key>", "</longcat_arg_key>"),
    value: ("\n<longcat_arg_value>", "</longcat_arg_value>\n"),
    ..QWEN
};
const MINIMAX: Style = Style { name: ("<parameter name=\"", "\">"), value: ("", "</parameter>\n"), ..QWEN };
const MINICPM: Style =
    Style { name: ("<param name=\"", "\">"), string: Some(("<![CDATA[", "]]>")), value: ("", "</param>"), ..QWEN };

const LINE: More = More::Sections("\n");

/// The form of a format; `None` for those without sections. `template`: the chat template.
pub fn form(format: ToolFormat, template: &str) -> Option<Form> {
    let sections = |before, after, more, call| Form { before, after, more, is_last: false, call };
    Some(match format {
        ToolFormat::None | ToolFormat::Harmony => return None,
        ToolFormat::JsonTools => sections("\n", "\n</tool_call>", LINE, CallForm::Json),
        ToolFormat::Qwen3Coder => {
            let call = CallForm::Listed("", ">\n", &QWEN, "");
            sections("\n<function=", "</function>\n</tool_call>", LINE, call)
        }
        ToolFormat::Mistral if !template.contains("[ARGS]") => {
            Form { is_last: true, ..sections(" [", "]", More::Calls(", "), CallForm::Json) }
        }
        ToolFormat::Mistral => {
            let id: &'static [Item] = match template.contains("[CALL_ID]") {
                true => &[Item::Literal("[CALL_ID]"), Item::Pattern("[a-zA-Z0-9]{9}")],
                false => &[],
            };
            Form { is_last: true, ..sections("", "", More::Sections(""), CallForm::Headed("", id, "[ARGS]")) }
        }
        ToolFormat::Pythonic => {
            sections("[", "]<|tool_call_end|>", More::Calls(", "), CallForm::Listed("", "(", &PYTHON, ")"))
        }
        ToolFormat::FunctionGemma => {
            let call = CallForm::Listed("", "{", &FUNCTION_GEMMA, "}");
            sections("call:", "<end_function_call>", More::Sections(""), call)
        }
        ToolFormat::Gemma4 => {
            sections("call:", "<tool_call|>", More::Sections(""), CallForm::Listed("", "{", &GEMMA4, "}"))
        }
        ToolFormat::Glm47 if template.contains("\n<arg_value>") || template.contains(r"\n<arg_value>") => {
            sections("", "</tool_call>", LINE, CallForm::Listed("", "\n", &GLM_LINES, ""))
        }
        ToolFormat::Glm47 => sections("", "</tool_call>", LINE, CallForm::Listed("", "", &GLM, "")),
        ToolFormat::Longcat => sections("", "</longcat_tool_call>", LINE, CallForm::Listed("", "\n", &LONGCAT, "")),
        ToolFormat::KimiK2 => {
            let call = CallForm::Headed(
                "<|tool_call_begin|>functions.",
                &[Item::Literal(":"), Item::Pattern("[0-9]{1,2}")],
                "<|tool_call_argument_begin|>",
            );
            sections("", "<|tool_call_end|><|tool_calls_section_end|>", More::Calls("<|tool_call_end|>"), call)
        }
        ToolFormat::MinimaxM2 => {
            let call = CallForm::Listed("<invoke name=\"", "\">\n", &MINIMAX, "</invoke>\n");
            sections("\n", "</minimax:tool_call>", More::Calls(""), call)
        }
        ToolFormat::Minicpm5 => sections("\"", "</function>", LINE, CallForm::Listed("", "\">", &MINICPM, "")),
    })
}
