// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! How chat templates write calls.

use super::*;

/// What a format can write.
pub struct Style {
    pub format: ToolFormat,
    pub template: &'static str,
    /// Values have no types: those of the schema count.
    pub untyped: bool,
    /// Characters of names and keys besides letters and digits.
    pub marks: &'static str,
    /// Tags that strings may contain.
    pub tags: &'static [&'static str],
    /// Strings that cannot be told from the text around them.
    pub is_ambiguous: fn(&str) -> bool,
}

impl Style {
    pub fn name(&self, index: usize, random: &mut Random) -> String {
        let key: String = self.key(random).chars().filter(|c| !"\"\\{}\n ".contains(*c)).collect();
        format!("f{index}{key}")
    }

    pub fn key(&self, random: &mut Random) -> String {
        let marks: Vec<char> = self.marks.chars().chain("abcXYZ019_é漢".chars()).collect();
        let inner: String = (0..random.below(6)).map(|_| marks[random.below(marks.len())]).collect();
        format!("k{inner}e")
    }
}

const JSON: &[&str] = &["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "<think>", "{\"name\": \"f\"}"];
const NONE: fn(&str) -> bool = |_| false;

const QWEN: &[&str] = &["<tool_call>", "</tool_call>", "<function=f>", "</function>", "<parameter=a>", "</parameter>"];
const GLM: &[&str] = &["<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"];
const LONGCAT: &[&str] = &["<longcat_tool_call>", "</longcat_tool_call>", "<longcat_arg_key>", "</longcat_arg_value>"];
const MINIMAX: &[&str] =
    &["<minimax:tool_call>", "</minimax:tool_call>", "<invoke name=\"f\">", "</invoke>", "</parameter>"];
const MINICPM: &[&str] = &["<function name=\"f\">", "</function>", "<param name=\"a\">", "</param>", "]]>"];
const HARMONY: &[&str] = &["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|call|>"];
const KIMI: &[&str] = &["<|tool_calls_section_end|>", "<|tool_call_end|>", "<|tool_call_argument_begin|>"];

/// Whether one of the tags begins a line, or comes after an end tag.
fn looks_like_structure(text: &str, end: &str, tags: &[&str]) -> bool {
    let begins = |rest: &str| tags.iter().any(|tag| rest.trim_start().starts_with(tag));
    text.split('\n').any(begins) || text.split(end).skip(1).any(begins) || own_line(text)
}

fn own_line(text: &str) -> bool {
    text.starts_with('\n') && text.ends_with('\n')
}

const HERMES: &str = "{%- for c in messages[0].tool_calls %}{%- if not loop.first %}{{- '\n' }}{% endif %}\
    {{- '<tool_call>\n{\"name\": \"' ~ c.function.name ~ '\", \"arguments\": ' ~ c.function.arguments | tojson ~ '}\n</tool_call>' }}\
    {%- endfor %}";
const HERMES_2: &str = "{%- for c in messages[0].tool_calls %}{{- '<tool_call>\n{ \"arguments\": ' }}\
    {{- c.function.arguments | tojson ~ ', \"name\": \"' ~ c.function.name ~ '\"}\n</tool_call>\n' }}{%- endfor %}";
const QWEN_3_5: &str = "{%- for c in messages[0].tool_calls %}{{- '\n<tool_call>\n<function=' ~ c.function.name ~ '>\n' }}\
    {%- for key, value in c.function.arguments | items %}{{- '<parameter=' ~ key ~ '>\n' }}\
    {{- value | tojson if value is mapping or (value is sequence and value is not string) else value | string }}\
    {{- '\n</parameter>\n' }}{%- endfor %}{{- '</function>\n</tool_call>' }}{%- endfor %}";
const MISTRAL: &str = "{%- for c in messages[0].tool_calls %}\
    {{- '[TOOL_CALLS]' ~ c.function.name ~ '[ARGS]' ~ c.function.arguments | tojson }}{%- endfor %}";
const MISTRAL_LIST: &str = "{{- '[TOOL_CALLS] [' }}{%- for c in messages[0].tool_calls %}\
    {{- {'name': c.function.name, 'arguments': c.function.arguments, 'id': c.id} | tojson }}\
    {%- if not loop.last %}{{- ', ' }}{% endif %}{%- endfor %}{{- ']' }}";
const LFM2: &str = "{%- set calls = namespace(all=[]) %}{%- for c in messages[0].tool_calls %}\
    {%- set given = namespace(all=[]) %}{%- for key, value in c.function.arguments | items %}\
    {%- set value = value | tojson if value is string or value is mapping else value | string %}\
    {%- set given.all = given.all + [key ~ '=' ~ value] %}{%- endfor %}\
    {%- set calls.all = calls.all + [c.function.name ~ '(' ~ given.all | join(', ') ~ ')'] %}{%- endfor %}\
    {{- '<|tool_call_start|>[' ~ calls.all | join(', ') ~ ']<|tool_call_end|>' }}";
const LFM2_5: &str = "{%- for c in messages[0].tool_calls %}{{- '<|tool_call_start|>[' ~ c.function.name ~ '(' }}\
    {%- for key, value in c.function.arguments | items %}{{- key ~ '=' }}\
    {{- '\"' ~ value ~ '\"' if value is string else value | tojson if value is mapping else value | string }}\
    {%- if not loop.last %}{{- ', ' }}{% endif %}{%- endfor %}{{- ')]<|tool_call_end|>' }}{%- endfor %}";
const GLM_4_5: &str = "{%- for c in messages[0].tool_calls %}{{- '\n<tool_call>' ~ c.function.name ~ '\n' }}\
    {%- for key, value in c.function.arguments | items %}{{- '<arg_key>' ~ key ~ '</arg_key>\n<arg_value>' }}\
    {{- value if value is string else value | tojson }}{{- '</arg_value>\n' }}{%- endfor %}{{- '</tool_call>' }}{%- endfor %}";
const GLM_5: &str = "{%- for c in messages[0].tool_calls %}{{- '<tool_call>' ~ c.function.name }}\
    {%- for key, value in c.function.arguments | items %}{{- '<arg_key>' ~ key ~ '</arg_key><arg_value>' }}\
    {{- value if value is string else value | tojson }}{{- '</arg_value>' }}{%- endfor %}{{- '</tool_call>' }}{%- endfor %}";
const LONGCAT_FLASH: &str = "{%- for c in messages[0].tool_calls %}{{- '<longcat_tool_call>' ~ c.function.name ~ '\n' }}\
    {%- for key, value in c.function.arguments | items %}\
    {{- '<longcat_arg_key>' ~ key ~ '</longcat_arg_key>\n<longcat_arg_value>' }}\
    {{- value if value is string else value | tojson }}{{- '</longcat_arg_value>\n' }}{%- endfor %}\
    {{- '</longcat_tool_call>\n' }}{%- endfor %}";
const MINIMAX_M2: &str = "{{- '<minimax:tool_call>\n' }}{%- for c in messages[0].tool_calls %}\
    {{- '<invoke name=\"' ~ c.function.name ~ '\">\n' }}{%- for key, value in c.function.arguments | items %}\
    {{- '<parameter name=\"' ~ key ~ '\">' ~ (value if value is string else value | tojson) ~ '</parameter>\n' }}\
    {%- endfor %}{{- '</invoke>\n' }}{%- endfor %}{{- '</minimax:tool_call>' }}";
const MINICPM5: &str = "{%- for c in messages[0].tool_calls %}{{- '<function name=\"' ~ c.function.name ~ '\">' }}\
    {%- for key, value in c.function.arguments | items %}{{- '<param name=\"' ~ key ~ '\">' }}\
    {{- '<![CDATA[' ~ value ~ ']]>' if value is string else value | tojson }}{{- '</param>' }}{%- endfor %}\
    {{- '</function>\n' }}{%- endfor %}";
const KIMI_K2: &str = "{{- '<|tool_calls_section_begin|>' }}{%- for c in messages[0].tool_calls %}\
    {{- '<|tool_call_begin|>' ~ c.id ~ '<|tool_call_argument_begin|>' ~ c.function.arguments | tojson ~ '<|tool_call_end|>' }}\
    {%- endfor %}{{- '<|tool_calls_section_end|>' }}";
const GPT_OSS: &str = "{%- for c in messages[0].tool_calls %}{%- if not loop.first %}{{- '<|start|>assistant' }}{% endif %}\
    {{- ' to=functions.' ~ c.function.name ~ '<|channel|>commentary <|constrain|>json<|message|>' }}\
    {{- c.function.arguments | tojson ~ '<|call|>' }}{%- endfor %}";

macro_rules! gemma {
    ($start:literal, $end:literal, $quote:literal) => {
        concat!(
            "{%- macro write(value) %}{%- if value is string %}{{- '",
            $quote,
            "' ~ value ~ '",
            $quote,
            "' }}{%- elif value is boolean %}{{- 'true' if value else 'false' }}{%- elif value is mapping %}{{- '{' }}",
            "{%- for key, inner in value | dictsort %}{{- key ~ ':' ~ write(inner) }}",
            "{%- if not loop.last %}{{- ',' }}{% endif %}{%- endfor %}{{- '}' }}",
            "{%- elif value is sequence %}{{- '[' }}{%- for inner in value %}{{- write(inner) }}",
            "{%- if not loop.last %}{{- ',' }}{% endif %}{%- endfor %}{{- ']' }}{%- else %}{{- value }}{%- endif %}",
            "{%- endmacro %}{%- for c in messages[0].tool_calls %}{{- '",
            $start,
            "call:' ~ c.function.name ~ write(c.function.arguments) ~ '",
            $end,
            "' }}{%- endfor %}"
        )
    };
}

const fn typed(
    format: ToolFormat,
    template: &'static str,
    marks: &'static str,
    tags: &'static [&'static str],
) -> Style {
    Style { format, template, untyped: false, marks, tags, is_ambiguous: NONE }
}

const fn untyped(
    format: ToolFormat,
    template: &'static str,
    tags: &'static [&'static str],
    is_ambiguous: fn(&str) -> bool,
) -> Style {
    Style { format, template, untyped: true, marks: "@$#.:/- ", tags, is_ambiguous }
}

pub static STYLES: [Style; 18] = [
    typed(ToolFormat::JsonTools, HERMES, "@$#.:/-", JSON),
    typed(ToolFormat::JsonTools, HERMES_2, "@$#.:/-", JSON),
    typed(ToolFormat::Mistral, MISTRAL, "@$#.:/-", JSON),
    typed(ToolFormat::Mistral, MISTRAL_LIST, "@$#.:/- ", JSON),
    typed(ToolFormat::KimiK2, KIMI_K2, "@$#.:/-", KIMI),
    typed(ToolFormat::Harmony, GPT_OSS, "@$#.:/-", HARMONY),
    typed(ToolFormat::Pythonic, LFM2, "@$#.:/-", &["<|tool_call_start|>", "<|tool_call_end|>", ")]", "f(a='b')"]),
    Style {
        is_ambiguous: |text| {
            let ends = |rest: &str| {
                rest.trim_start().is_empty() || rest.trim_start().starts_with([',', ':', ')', ']', '}', '\''])
            };
            text.contains('\\') || text.split('"').skip(1).any(ends) || text.contains("\"\"")
        },
        ..typed(ToolFormat::Pythonic, LFM2_5, "@$#.:/-", &["<|tool_call_end|>", ")]", "=", "f(a=b)"])
    },
    Style {
        is_ambiguous: |text| text.contains("<escape>"),
        ..typed(
            ToolFormat::FunctionGemma,
            gemma!("<start_function_call>", "<end_function_call>", "<escape>"),
            "@$#.:/-",
            &["<start_function_call>", "<end_function_call>", "call:f{", "<|\"|>"],
        )
    },
    Style {
        is_ambiguous: |text| text.contains("<|\"|>"),
        ..typed(
            ToolFormat::Gemma4,
            gemma!("<|tool_call>", "<tool_call|>", "<|\"|>"),
            "@$#.:/-",
            &["<|tool_call>", "<tool_call|>", "call:f{", "<escape>", "None"],
        )
    },
    untyped(ToolFormat::Qwen3Coder, QWEN_3_5, QWEN, |text| {
        looks_like_structure(text, "</parameter>", &["<parameter=", "</function>", "</tool_call>"])
    }),
    untyped(ToolFormat::Glm47, GLM_4_5, GLM, |text| {
        looks_like_structure(text, "</arg_value>", &["<arg_key>", "</tool_call>", "<arg_value>"])
    }),
    untyped(ToolFormat::Glm47, GLM_5, GLM, |text| {
        looks_like_structure(text, "</arg_value>", &["<arg_key>", "</tool_call>", "<arg_value>"])
    }),
    untyped(ToolFormat::Longcat, LONGCAT_FLASH, LONGCAT, |text| {
        looks_like_structure(text, "</longcat_arg_value>", &["<longcat_arg_key>", "</longcat_tool_call>"])
    }),
    untyped(ToolFormat::MinimaxM2, MINIMAX_M2, MINIMAX, |text| {
        let tags = ["<parameter name=", "</invoke>", "</minimax:tool_call>"];
        looks_like_structure(text, "</parameter>", &tags)
    }),
    untyped(ToolFormat::Minicpm5, MINICPM5, MINICPM, |text| {
        looks_like_structure(text, "</param>", &["<param", "</function>"])
    }),
    typed(ToolFormat::JsonTools, HERMES, "\"\\{}\n", JSON),
    typed(ToolFormat::Harmony, GPT_OSS, "{}", HARMONY),
];
