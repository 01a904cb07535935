// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Whatever is drawn is read as calls that follow the schemas. The tokenizer has a token for each byte, so that models
//! without any idea write them, and tags may begin anywhere.

use std::{fs, path::Path};

use super::*;
use crate::{
    grammar::{
        Source,
        tests::{grammars, written},
    },
    tokenizer::output::{OutputParser, Piece},
};

const LLAMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/__test__/fixtures/llama");
const FORMATS: [ToolFormat; 12] = [
    ToolFormat::JsonTools,
    ToolFormat::Qwen3Coder,
    ToolFormat::Mistral,
    ToolFormat::Pythonic,
    ToolFormat::FunctionGemma,
    ToolFormat::Gemma4,
    ToolFormat::Glm47,
    ToolFormat::Longcat,
    ToolFormat::KimiK2,
    ToolFormat::MinimaxM2,
    ToolFormat::Minicpm5,
    ToolFormat::Harmony,
];

fn tools() -> Vec<ToolSpec> {
    let of = |name: &str, parameters: Value| ToolSpec { name: name.to_owned(), parameters };
    vec![
        of(
            "get_weather",
            json!({
                "type": "object",
                "properties": {
                    "city": { "type": "string", "minLength": 1, "maxLength": 6 },
                    "days": { "type": "integer", "minimum": 1, "maximum": 14 },
                    "unit": { "enum": ["C", "°F", null, 7] },
                    "zip": { "type": ["string", "null"], "pattern": "^[0-9]{2}|x$", "maxLength": 5 },
                    "near": { "anyOf": [{ "$ref": "#/$defs/place" }, { "type": "boolean" }] },
                },
                "required": ["city", "days"],
                "$defs": {
                    "place": {
                        "type": "object",
                        "properties": { "at": { "type": "array", "items": { "type": "number", "minimum": 0, "maximum": 9 }, "maxItems": 2 } },
                        "required": ["at"],
                    },
                },
            }),
        ),
        of("get-time", Value::Null),
    ]
}

fn check(name: &str, arguments: &Value) -> bool {
    let arguments = arguments.as_object().unwrap();
    if name == "get-time" {
        return arguments.is_empty();
    }
    let length = |value: &Value| value.as_str().map(|text| text.chars().count());
    let may = |key: &str, test: &dyn Fn(&Value) -> bool| arguments.get(key).is_none_or(test);
    name == "get_weather"
        && arguments.keys().all(|key| ["city", "days", "unit", "zip", "near"].contains(&key.as_str()))
        && arguments.get("city").and_then(length).is_some_and(|length| (1..=6).contains(&length))
        && arguments.get("days").and_then(Value::as_u64).is_some_and(|days| (1..=14).contains(&days))
        && may("unit", &|unit| [json!("C"), json!("°F"), json!(null), json!(7)].contains(unit))
        && may("zip", &|zip| {
            let begins = |text: &str| text.len() >= 2 && text.bytes().take(2).all(|byte| byte.is_ascii_digit());
            zip.is_null()
                || zip.as_str().is_some_and(|text| begins(text) || text.ends_with('x')) && length(zip) <= Some(5)
        })
        && may("near", &|near| near.is_boolean() || near["at"].as_array().is_some_and(|at| at.len() <= 2))
}

/// What a parser makes of an answer: the text, and the calls.
fn read(calls: &Calls, answer: &str) -> (String, Vec<(String, Value)>) {
    let mut parser = OutputParser::new(calls.format, calls.reasoning, &tools());
    let mut pieces = parser.push(answer);
    pieces.extend(parser.finish());
    let (mut text, mut all) = (String::new(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Text(more) | Piece::Reasoning(more) => text += &more,
            Piece::ToolCall { name, arguments, .. } => all.push((name, arguments)),
            Piece::ToolCallDelta { .. } => {}
        }
    }
    (text, all)
}

fn calls(format: ToolFormat, extent: Extent, tools: Vec<ToolSpec>) -> Calls {
    let reasoning = match format {
        ToolFormat::Harmony => ReasoningFormat::Harmony,
        _ => ReasoningFormat::Think,
    };
    Calls { format, reasoning, tools, extent }
}

#[test]
fn calls_that_must_come_follow_the_schemas_in_every_format() {
    for template in ["", "[ARGS]\n<arg_value>"] {
        let folder = with_template(template);
        let (tokenizer, grammars) = grammars(folder.to_str().unwrap());
        for format in FORMATS {
            for (extent, tools) in [(Extent::Calls, tools()), (Extent::One, tools()[..1].to_vec())] {
                let calls = calls(format, extent, tools);
                for seed in 0..20 {
                    let answer = written(&tokenizer, &grammars, Source::Calls(calls.clone()), seed);
                    let (text, read) = read(&calls, &answer);
                    let context = format!("{format:?} {extent:?}: {answer:?} {read:?}");
                    assert!(text.trim().is_empty(), "{text:?} {context}");
                    assert!(if extent == Extent::One { read.len() == 1 } else { !read.is_empty() }, "{context}");
                    assert!(read.iter().all(|(name, arguments)| check(name, arguments)), "{context}");
                }
            }
        }
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn text_may_stand_around_calls() {
    let (tokenizer, grammars) = grammars(LLAMA);
    for format in FORMATS {
        let calls = calls(format, Extent::Any, tools());
        let matcher = |text: &str| {
            let mut matcher = grammars.compile(Source::Calls(calls.clone())).unwrap();
            let mut tokens = tokenizer.encode_splitting(text, false, true).unwrap();
            let forced = matcher.force(usize::MAX).unwrap();
            assert!(tokens.starts_with(&forced), "{format:?}: {}", tokenizer.decode(&forced, false).unwrap());
            for token in tokens.split_off(forced.len()) {
                matcher.accept(token)?;
            }
            matcher.mask().map(|mask| mask.allows(tokenizer.eos_token_id().unwrap()))
        };
        let free = match format {
            ToolFormat::Harmony => {
                "<|channel|>commentary<|message|>I see\n<|end|><|start|>assistant<|channel|>final<|message|>Hi <a>"
            }
            _ => "Well, 1 < 2 <b>\n\n",
        };
        assert!(matcher(free).unwrap(), "{format:?}");
        let tag = format.opening().unwrap_or("<|channel|>commentary to=functions.");
        let wrong = format!("{}{tag}!", if format == ToolFormat::Harmony { "" } else { "Well: " });
        assert!(matcher(&wrong).is_err(), "{format:?}");
    }
}

fn with_template(template: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("node-mlx-calls-{}-{}", std::process::id(), template.len()));
    fs::create_dir_all(&folder).unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(Path::new(LLAMA).join(file), folder.join(file)).unwrap();
    }
    fs::write(folder.join("chat_template.jinja"), template).unwrap();
    folder
}

fn refused(format: ToolFormat, parameters: Value) -> (Option<String>, String) {
    let tool = ToolSpec { name: "f".to_owned(), parameters };
    let source = Source::Calls(calls(format, Extent::One, vec![tool]));
    match grammars(LLAMA).1.compile(source).map(|_| ()) {
        Err(Error::GrammarUnsupported { name, path, message }) => {
            assert_eq!(name, "tools");
            (path, message)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused_with_its_place() {
    let of = |schema: Value| json!({ "type": "object", "properties": { "a": schema } });
    for format in FORMATS {
        let path = |(path, _): (Option<String>, String)| path.unwrap_or_default();
        assert_eq!(path(refused(format, of(json!({ "not": {} })))), "/f/properties/a/not", "{format:?}");
        assert_eq!(
            path(refused(format, of(json!({ "type": "array", "uniqueItems": true })))),
            "/f/properties/a/uniqueItems"
        );
    }
    let message = "format is not supported here in this model's format of calls";
    let email = json!({ "type": "string", "format": "email" });
    let refusal = refused(ToolFormat::Qwen3Coder, of(email));
    assert_eq!(refusal, (Some("/f/properties/a/format".to_owned()), message.to_owned()));
    let name = json!({ "type": "object", "properties": { "a b": {} } });
    assert_eq!(refused(ToolFormat::Gemma4, name).0.unwrap(), "/f/properties/a b");
    let tag = of(json!({ "enum": ["</parameter>"] }));
    assert_eq!(refused(ToolFormat::MinimaxM2, tag).0.unwrap(), "/f/properties/a");
    let record = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    assert_eq!(refused(ToolFormat::Glm47, record).0.unwrap(), "/f/additionalProperties");
}
