// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

mod kinds;
mod limits;
mod round_trip;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::*;

/// mlx-lm's results for outputs; written by tools/parity/tool_calls.py.
static FIXTURE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../__test__/fixtures/tool-calls.json")).unwrap());
static TOOLS: LazyLock<Vec<ToolSpec>> =
    LazyLock::new(|| FIXTURE["tools"].as_array().unwrap().iter().filter_map(ToolSpec::from_json).collect());

fn cases() -> &'static [Value] {
    FIXTURE["cases"].as_array().unwrap()
}

fn reasoning_of(format: ToolFormat) -> ReasoningFormat {
    match format {
        ToolFormat::Gemma4 => ReasoningFormat::Channel,
        ToolFormat::Longcat => ReasoningFormat::Longcat,
        ToolFormat::Harmony => ReasoningFormat::Harmony,
        _ => ReasoningFormat::Think,
    }
}

/// Joins split texts, and removes random ids.
pub fn joined(pieces: impl IntoIterator<Item = Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = vec![];
    for piece in pieces {
        match (out.last_mut(), piece) {
            (Some(Piece::Text(last)), Piece::Text(text)) => last.push_str(&text),
            (Some(Piece::Reasoning(last)), Piece::Reasoning(text)) => last.push_str(&text),
            (
                Some(Piece::ToolCallDelta { index: last, arguments: more, .. }),
                Piece::ToolCallDelta { index, name: None, arguments, .. },
            ) if *last == index => more.push_str(&arguments),
            (_, Piece::ToolCallDelta { index, name, arguments, .. }) => {
                out.push(Piece::ToolCallDelta { index, id: None, name, arguments });
            }
            (_, Piece::ToolCall { index, id, name, arguments }) => {
                let id = if id.contains(':') { id } else { String::new() };
                out.push(Piece::ToolCall { index, id, name, arguments });
            }
            (_, piece) => out.push(piece),
        }
    }
    out
}

fn run<'a>(mut parser: OutputParser, parts: impl IntoIterator<Item = &'a str>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = parts.into_iter().flat_map(|part| parser.push(part)).collect();
    pieces.extend(parser.finish());
    pieces
}

fn parser(format: ToolFormat) -> OutputParser {
    OutputParser::new(format, reasoning_of(format), &TOOLS)
}

fn parse(format: ToolFormat, output: &str) -> Vec<Piece> {
    joined(run(parser(format), [output]))
}

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn thought(text: &str) -> Piece {
    Piece::Reasoning(text.to_owned())
}

fn call(index: usize, name: &str, arguments: Value) -> Piece {
    Piece::ToolCall { index, id: String::new(), name: name.to_owned(), arguments }
}

fn delta(index: usize, name: &str, arguments: &str) -> Piece {
    Piece::ToolCallDelta { index, id: None, name: Some(name.to_owned()), arguments: arguments.to_owned() }
}

/// Returns the text, the reasoning and the calls.
fn sorted(pieces: &[Piece]) -> (String, String, Vec<Value>) {
    let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), vec![]);
    for piece in pieces {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Reasoning(part) => reasoning.push_str(part),
            Piece::ToolCallDelta { .. } => {}
            Piece::ToolCall { index, id, name, arguments } => {
                assert_eq!(*index, calls.len());
                calls.push(json!({ "id": id, "name": name, "arguments": arguments }));
            }
        }
    }
    (text, reasoning, calls)
}

#[test]
fn outputs_are_parsed_as_by_mlx_lm() {
    assert!(cases().len() > 80);
    for case in cases() {
        let output = case["output"].as_str().unwrap();
        let format = ToolFormat::from_name(case["parser"].as_str().unwrap()).unwrap();
        let (text, reasoning, mut calls) = sorted(&run(parser(format), [output]));
        if case.get("differs").is_some() {
            assert_eq!((text.as_str(), calls.len()), (output, 0), "{output}");
            continue;
        }
        if let Some(ours) = case.get("ours") {
            calls.iter_mut().for_each(|call| drop(call.as_object_mut().unwrap().remove("id")));
            assert_eq!(Value::from(calls), ours["calls"], "{output}");
            assert_ne!(ours["calls"], case["calls"], "{output}: no difference any more");
            continue;
        }
        for (call, expected) in calls.iter_mut().zip(case["calls"].as_array().unwrap()) {
            if expected.get("id").is_none() {
                call.as_object_mut().unwrap().remove("id");
            }
        }
        assert_eq!(Value::from(calls), case["calls"], "{output}");
        assert_eq!(reasoning, case["reasoning"].as_str().unwrap(), "{output}");
        match case.get("failed") {
            None => assert_eq!(text, case["text"].as_str().unwrap(), "{output}"),
            Some(failed) => {
                let failed = failed.as_array().unwrap();
                assert!(failed.iter().all(|body| text.contains(body.as_str().unwrap())), "{output}: {text}");
            }
        }
    }
}

#[test]
fn formats_are_inferred_as_by_mlx_lm() {
    for case in FIXTURE["templates"].as_array().unwrap() {
        let expected = case["parser"].as_str().map_or(ToolFormat::None, |name| ToolFormat::from_name(name).unwrap());
        let template = case["template"].as_str().unwrap();
        assert_eq!(ToolFormat::infer(template, |_| false), expected, "{template}");
    }
    assert_eq!(ToolFormat::infer("", |token| token.starts_with("<|tool_call_")), ToolFormat::Pythonic);
    assert_eq!(ToolFormat::infer("<|channel|>x<|message|>y<|call|>", |_| false), ToolFormat::Harmony);
    assert_eq!(ReasoningFormat::infer(|token| token.contains("think>")), ReasoningFormat::Think);
    assert_eq!(ReasoningFormat::infer(|token| token.contains("channel")), ReasoningFormat::Channel);
    assert_eq!(ReasoningFormat::infer(|token| token != "</think>"), ReasoningFormat::Longcat);
    assert_eq!(ReasoningFormat::infer(|token| token == "<think>"), ReasoningFormat::None);
}

const HARMONY: [&str; 13] = [
    "<|channel|>analysis<|message|>I think 🤔 <b>.<|end|><|start|>assistant<|channel|>final<|message|>Answer 1 < 2<|return|>",
    "<|channel|>analysis<|message|>Look it up.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather \
     <|constrain|>json<|message|>{\"city\": \"Zürich <|x\"}<|call|>",
    "<|channel|>commentary to=functions.now<|message|>{}",
    " to=functions.now<|channel|>commentary <|constrain|>json<|message|>{\"a\": \"}\"}<|call|>",
    "<|channel|>commentary<|message|>I will call two.<|end|><|start|>assistant to=functions.a<|channel|>commentary json\
     <|message|>{\"x\":1}<|call|><|start|>assistant to=functions.b<|channel|>commentary<|message|>{\"y\":[2]}<|call|>",
    "<|channel|>commentary to=functions.now<|message|>{\"a\": 1<|call|>after",
    "<|channel|>commentary to=functions.now<|message|>{\"a\": ",
    "plain answer, שלום <|chan",
    "too much text",
    "<|channel|>anal",
    "<|channel|>final<|message|>a<|channel|>analysis<|message|>b<|start|>assistant<|channel|>final<|message|>c",
    "<|channel|>commentary to=python<|message|>print(1)<|call|>",
    "",
];

#[test]
fn harmony_channels_are_distinguished() {
    let parsed = HARMONY.map(|output| parse(ToolFormat::Harmony, output));
    assert_eq!(parsed[0], [thought("I think 🤔 <b>."), text("Answer 1 < 2")]);
    let city = "{\"city\": \"Zürich <|x\"}";
    let weather = call(0, "get_weather", json!({ "city": "Zürich <|x" }));
    assert_eq!(parsed[1], [thought("Look it up."), delta(0, "get_weather", city), weather]);
    assert_eq!(parsed[2], [delta(0, "now", "{}"), call(0, "now", json!({}))]);
    assert_eq!(parsed[3], [delta(0, "now", "{\"a\": \"}\"}"), call(0, "now", json!({ "a": "}" }))]);
    assert_eq!(parsed[4][0], text("I will call two."));
    assert_eq!(parsed[4][2], call(0, "a", json!({ "x": 1 })));
    assert_eq!(parsed[4][4], call(1, "b", json!({ "y": [2] })));
    assert_eq!(parsed[5], [delta(0, "now", "{\"a\": 1"), text(&format!("{}after", HARMONY[5].replace("after", "")))]);
    assert_eq!(parsed[6].last(), Some(&text(HARMONY[6])));
    assert_eq!(parsed[7], [text(HARMONY[7])]);
    assert_eq!(parsed[8], [text(HARMONY[8])]);
    assert_eq!(parsed[9], []);
    assert_eq!(parsed[10], [text("a"), thought("b"), text("c")]);
    assert_eq!(parsed[11], [text(HARMONY[11])]);
    assert_eq!(parsed[12], []);
    assert_eq!(parse(ToolFormat::Harmony, "<|channel|>final<|end|>"), []);
}

#[test]
fn previews_show_the_arguments_as_the_model_writes_them() {
    let arguments = "{\"name\": \"x\", \"a\": [1, \"}\\\"\"]}";
    let value: Value = serde_json::from_str(arguments).unwrap();
    let output = format!("<tool_call>\n{{\"id\": \"a,b\", \"name\": \"f\", \"arguments\": {arguments}}}\n</tool_call>");
    assert_eq!(parse(ToolFormat::JsonTools, &output), [delta(0, "f", arguments), call(0, "f", value.clone())]);

    let output = format!("[TOOL_CALLS]f[ARGS]{arguments}[TOOL_CALLS]g[CALL_ID]abc123xyz[ARGS] {{}}");
    let expected = [delta(0, "f", arguments), delta(1, "g", "{}"), call(0, "f", value), call(1, "g", json!({}))];
    assert_eq!(parse(ToolFormat::Mistral, &output), expected);
    let Piece::ToolCall { id, .. } = &run(parser(ToolFormat::Mistral), [output.as_str()])[3] else { panic!() };
    assert_eq!(id, "abc123xyz");

    let mut parser = parser(ToolFormat::JsonTools);
    let first = parser.push("<tool_call>{\"name\": \"f\", \"arguments\": {\"a");
    assert_eq!(joined(first), [delta(0, "f", "{\"a")]);
    let more = Piece::ToolCallDelta { index: 0, id: None, name: None, arguments: "\": 1}".to_owned() };
    assert_eq!(parser.push("\": 1}} </tool"), [more]);
    assert!(matches!(&parser.push("_call>")[..], [Piece::ToolCall { .. }]));
    assert_eq!(parser.finish(), []);
}

#[test]
fn text_is_held_back_only_while_it_may_be_a_tag() {
    let mut parser = parser(ToolFormat::JsonTools);
    assert_eq!(parser.push("hello <"), [text("hello ")]);
    assert_eq!(parser.push("t"), []);
    assert_eq!(parser.push("h<"), [text("<th")]);
    assert_eq!(parser.push("think>hm</thi"), [thought("hm")]);
    assert_eq!(parser.push("nk>so <tool_call"), [text("so ")]);
    assert_eq!(parser.push("s>"), [text("<tool_calls>")]);
    assert_eq!(parser.push("<tool_call>{\"name\": \"now\""), []);
    assert_eq!(parser.finish(), [text("<tool_call>{\"name\": \"now\"")]);
}

#[test]
fn reasoning_can_be_open_from_the_start() {
    let think = ReasoningFormat::Think;
    assert!(think.starts_in_reasoning("<|im_start|>assistant\n<think>\n"));
    assert!(!think.starts_in_reasoning("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
    assert!(!think.starts_in_reasoning("assistant:"));
    assert!(!ReasoningFormat::None.starts_in_reasoning("<think>"));
    let harmony = ReasoningFormat::Harmony;
    assert!(harmony.starts_in_reasoning("<|start|>assistant<|channel|>analysis<|message|>"));
    assert!(!harmony.starts_in_reasoning("<|channel|>analysis<|message|>x<|end|><|start|>assistant"));
    assert!(!harmony.starts_in_reasoning("<|start|>assistant<|channel|>final<|message|>"));
    for (format, reasoning, end) in [
        (ToolFormat::None, think, "</think>"),
        (ToolFormat::Harmony, harmony, "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ] {
        let parser = OutputParser::new(format, reasoning, &[]).starting_in_reasoning();
        assert_eq!(joined(run(parser, ["a", end, "b"])), [thought("a"), text("b")]);
    }
    let parser = OutputParser::new(ToolFormat::None, ReasoningFormat::None, &[]).starting_in_reasoning();
    assert_eq!(run(parser, ["a</think>b"]), [text("a</think>b")]);
}

#[test]
fn a_call_mentioned_in_reasoning_is_not_a_call() {
    let output = "<think>I use <tool_call> now.</think>Answer <think>";
    assert_eq!(parse(ToolFormat::JsonTools, output), [thought("I use <tool_call> now."), text("Answer <think>")]);
    let output = "<think>not <tool_call>x</tool_call> but</think>this";
    assert_eq!(parse(ToolFormat::JsonTools, output), [thought("not <tool_call>x</tool_call> but"), text("this")]);
}

#[test]
fn generated_ids_are_unique_and_valid_for_mistral() {
    let output = "<tool_call>{\"name\": \"now\"}</tool_call>".repeat(3);
    let pieces =
        [run(parser(ToolFormat::JsonTools), [output.as_str()]), run(parser(ToolFormat::JsonTools), [&*output])];
    let mut ids: Vec<String> = vec![];
    for piece in pieces.concat() {
        let Piece::ToolCall { id, .. } = piece else { panic!("{piece:?}") };
        assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert!(!ids.contains(&id), "{id}");
        ids.push(id);
    }
}

#[test]
fn ids_come_with_the_first_delta() {
    let kimi = |id: &str, arguments: &str| {
        format!("<|tool_call_begin|>{id}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>")
    };
    let section = |calls: &str| format!("<|tool_calls_section_begin|>{calls}<|tool_calls_section_end|>");
    let hermes = |members: &str| format!("<tool_call>{{\"name\": \"f\", {members}}}</tool_call>");
    let outputs = [
        (ToolFormat::KimiK2, section(&(kimi("functions.f:0", "{}") + &kimi("functions.g:1", "{\"a\": 1}")))),
        (ToolFormat::Mistral, "[TOOL_CALLS]f[ARGS]{\"a\": 1}[TOOL_CALLS]g[CALL_ID]abc123xyz[ARGS]{}".to_owned()),
        (
            ToolFormat::JsonTools,
            hermes("\"id\": \"a\", \"arguments\": {}") + &hermes("\"arguments\": {}, \"id\": \"b\""),
        ),
        (ToolFormat::Harmony, HARMONY[4].to_owned()),
        // The first of these is malformed, and the second takes its index.
        (ToolFormat::KimiK2, section(&kimi("functions.f:0", "{oops")) + &section(&kimi("functions.g:0", "{}"))),
        (
            ToolFormat::KimiK2,
            section(&kimi("functions.f:0", "{oops")) + &section(&kimi("functions.g:0", "{'a': True}")),
        ),
    ];
    for (format, output) in outputs {
        let pieces = run(parser(format), output.split_inclusive(' '));
        let mut begun = std::collections::BTreeMap::new();
        let mut calls = 0;
        for piece in pieces {
            match piece {
                Piece::ToolCallDelta { index, id, name, .. } => {
                    assert_eq!(id.is_some(), name.is_some(), "{output}");
                    begun.extend(id.map(|id| (index, id)));
                }
                Piece::ToolCall { index, id, .. } => {
                    assert_eq!(begun.get(&index), Some(&id), "{output}");
                    calls += 1;
                }
                _ => {}
            }
        }
        assert!(calls > 0, "{output}");
    }
    let output = section(&kimi("functions.f:0", "{oops")) + &section(&kimi("functions.g:7", "{}"));
    let last = run(parser(ToolFormat::KimiK2), [output.as_str()]).pop();
    assert!(matches!(last, Some(Piece::ToolCall { id, .. }) if id == "functions.g:7"));
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

#[test]
fn pieces_do_not_depend_on_how_the_text_is_split() {
    let cases = cases().iter().map(|case| {
        (ToolFormat::from_name(case["parser"].as_str().unwrap()).unwrap(), case["output"].as_str().unwrap())
    });
    let mut random = Random(1);
    for (format, output) in cases.chain(HARMONY.map(|output| (ToolFormat::Harmony, output))) {
        let whole = parse(format, output);
        let borders: Vec<usize> = output.char_indices().map(|(at, _)| at).collect();
        for &border in &borders {
            let (first, second) = output.split_at(border);
            assert_eq!(joined(run(parser(format), [first, second])), whole, "{first:?} {second:?}");
        }
        for _ in 0..12 {
            let parts = split(output, &mut random);
            assert_eq!(joined(run(parser(format), parts.iter().copied())), whole, "{parts:?}");
        }
    }
}

/// Splits a text as tokens may.
fn split<'a>(text: &'a str, random: &mut Random) -> Vec<&'a str> {
    let longest = 1 + random.below(12);
    let mut rest = text;
    let mut parts = vec![];
    while !rest.is_empty() {
        let length = 1 + random.below(longest);
        let border = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
        let (part, after) = rest.split_at(border);
        parts.push(part);
        rest = after;
    }
    parts
}
