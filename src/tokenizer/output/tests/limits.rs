// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

use std::time::{Duration, Instant};

use super::*;

const FORMATS: [(ToolFormat, &str, &str); 12] = [
    (ToolFormat::JsonTools, "<tool_call>", "</tool_call>"),
    (ToolFormat::Qwen3Coder, "<tool_call>", "</tool_call>"),
    (ToolFormat::Mistral, "[TOOL_CALLS]", ""),
    (ToolFormat::Pythonic, "<|tool_call_start|>", "<|tool_call_end|>"),
    (ToolFormat::FunctionGemma, "<start_function_call>", "<end_function_call>"),
    (ToolFormat::Gemma4, "<|tool_call>", "<tool_call|>"),
    (ToolFormat::Glm47, "<tool_call>", "</tool_call>"),
    (ToolFormat::Longcat, "<longcat_tool_call>", "</longcat_tool_call>"),
    (ToolFormat::KimiK2, "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
    (ToolFormat::MinimaxM2, "<minimax:tool_call>", "</minimax:tool_call>"),
    (ToolFormat::Minicpm5, "<function name=", "</function>"),
    (ToolFormat::Harmony, "<|channel|>x to=functions.f<|message|>", "<|call|>"),
];

#[test]
fn deep_nesting_is_text() {
    let nested = |open: &str, inside: &str, close: &str| open.repeat(100_000) + inside + &close.repeat(100_000);
    for (format, start, end, body) in [
        (ToolFormat::JsonTools, "<tool_call>", "</tool_call>", nested("{\"arguments\":", "1", "}")),
        (ToolFormat::Pythonic, "<|tool_call_start|>", "<|tool_call_end|>", nested("[", "f(", "]")),
        (ToolFormat::Gemma4, "<|tool_call>", "<tool_call|>", "call:f".to_owned() + &nested("{a:", "1", "}")),
        (ToolFormat::Mistral, "[TOOL_CALLS]", "", "f[ARGS]".to_owned() + &nested("{\"a\":", "1", "}")),
        (ToolFormat::Mistral, "[TOOL_CALLS]", "", nested("[", "1", "]")),
    ] {
        let output = format!("{start}{body}{end}");
        let (text, _, calls) = sorted(&run(parser(format), [output.as_str()]));
        assert!(text == output && calls.is_empty(), "{format:?}");
    }
    // A value that is nested too deeply to be parsed stays text.
    let deep = nested("[", "", "]");
    for (format, output) in [
        (ToolFormat::Glm47, "<tool_call>search<arg_key>tags</arg_key><arg_value>DEEP</arg_value></tool_call>"),
        (ToolFormat::Qwen3Coder, "<tool_call><function=search><parameter=tags>DEEP</parameter></function></tool_call>"),
        (ToolFormat::Pythonic, "<|tool_call_start|>[search(tags=DEEP)]<|tool_call_end|>"),
    ] {
        let (_, _, calls) = sorted(&run(parser(format), [&*output.replace("DEEP", &deep)]));
        assert!(calls[0]["arguments"]["tags"] == deep, "{format:?}");
    }
}

#[test]
fn hostile_text_takes_linear_time() {
    let parts = [
        "<",
        "<tool_call",
        "[TOOL_CALLS",
        "call:a{",
        "call:a{b:<escape>",
        "[a(",
        "a=",
        "[ARGS]",
        "a[ARGS]{}",
        "{\"a\":\"",
        "=",
        ",",
        "<arg_key>",
        "<arg_key>a</arg_key>",
        "<arg_key>a</arg_key><arg_value>",
        "<parameter=",
        "<parameter=a>",
        "<invoke name=",
        "<param name=",
        "<|tool_call_begin|>",
        "a:0<|tool_call_argument_begin|>",
        "<|\"|>",
        "\\n",
        "\\",
        "'",
        "\"",
        "-",
        "a\\",
        "<longcat_arg_key>",
        "<|channel|>",
        "<|start|>",
        "<|message|>",
        "to=",
        "{",
        "[",
        "(",
        " ",
        "<function=",
        "</function>",
    ];
    let begun = Instant::now();
    for (format, start, end) in FORMATS {
        for part in parts {
            let body = part.repeat(20_000 / part.len());
            let output = format!("{start}{body}{end}");
            let whole = joined(run(parser(format), [output.as_str()]));
            let mut buffer = [0; 4];
            let mut parser = parser(format);
            let mut pieces: Vec<Piece> = output.chars().flat_map(|c| parser.push(c.encode_utf8(&mut buffer))).collect();
            pieces.extend(parser.finish());
            assert!(joined(pieces) == whole, "{format:?} {part}");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn random_fragments_lose_no_text_and_leak_no_tag() {
    let fragments = [
        "<think>",
        "</think>",
        "<th",
        "{\"name\": \"f\", \"arguments\": {\"a\": \"",
        "\"}}",
        "😀",
        "漢字",
        "שלום",
        "<",
        "[",
        "|>",
        "f[ARGS]{}",
        "<function=f>",
        "</function>",
        "<parameter=a>1</parameter>",
        "f(a='x')",
        "]",
        "call:f{",
        "}",
        "\n",
        " ",
        "to=functions.f",
        "<|channel|>",
        "analysis",
        "final",
        "<|message|>",
        "<|end|>",
        "<|start|>assistant",
        "f<arg_key>a</arg_key>",
        "<arg_value>1</arg_value>",
        "<|tool_call_begin|>f:0<|tool_call_argument_begin|>{}",
        "<|tool_call_end|>",
    ];
    let mut random = Random(2);
    for (format, start, end) in FORMATS {
        for _ in 0..150 {
            let mut output = String::new();
            for _ in 0..1 + random.below(14) {
                match random.below(6) {
                    0 => output.push_str(start),
                    1 => output.push_str(end),
                    _ => output.push_str(fragments[random.below(fragments.len())]),
                }
            }
            let whole = parse(format, &output);
            let mut buffer = [0; 4];
            let mut by_character = parser(format);
            let mut pieces: Vec<Piece> =
                output.chars().flat_map(|c| by_character.push(c.encode_utf8(&mut buffer))).collect();
            pieces.extend(by_character.finish());
            assert_eq!(joined(pieces), whole, "{format:?} {output:?}");
            let (text, reasoning, calls) = sorted(&whole);
            if format != ToolFormat::Harmony && calls.is_empty() && !output.contains("think>") {
                assert_eq!((text, reasoning), (output, String::new()), "{format:?}");
            }
        }
    }
}
