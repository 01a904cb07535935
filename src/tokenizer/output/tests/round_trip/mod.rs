// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What a chat template writes for calls, the parser reads back, however the text is split.

mod styles;
mod values;

use serde_json::{Map, Value, json};

use self::styles::{STYLES, Style};
use self::values::{Parameter, arguments, parameters};
use super::*;
use crate::tokenizer::chat_template::{TemplateOptions, apply};

const ROUNDS: u64 = 300;

#[test]
fn a_call_is_read_back_from_every_template() {
    for (index, style) in STYLES.iter().enumerate() {
        for round in 0..ROUNDS {
            let mut random = Random(round << 8 | index as u64);
            read_back(style, &mut random);
        }
    }
}

fn read_back(style: &Style, random: &mut Random) {
    let functions: Vec<(String, Vec<Parameter>)> =
        (0..2).map(|index| (style.name(index, random), parameters(style, random))).collect();
    let tools: Vec<Value> = functions.iter().map(|(name, parameters)| values::tool(name, parameters)).collect();
    let specs: Vec<ToolSpec> = tools.iter().filter_map(ToolSpec::from_json).collect();
    let calls: Vec<Value> = (0..1 + random.below(3))
        .map(|index| {
            let (name, parameters) = &functions[random.below(2)];
            let arguments = Value::from(arguments(style, parameters, random));
            let id = format!("functions.{name}:{index}");
            json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
        })
        .collect();
    let message = json!([{ "role": "assistant", "content": "", "tool_calls": calls }]);
    let output = apply(style.template, &message, Map::new(), &TemplateOptions::default()).unwrap();

    let parser = OutputParser::new(style.format, reasoning_of(style.format), &specs);
    let pieces = joined(run(parser, split(&output, random)));
    let (text, reasoning, parsed) = sorted(&pieces);
    let context = || format!("{:?}: {output}\nbecame {pieces:#?}\nwith {tools:#?}", style.format);
    assert_eq!((text.trim(), reasoning.as_str()), ("", ""), "{}", context());
    assert_eq!(parsed.len(), calls.len(), "{}", context());
    for (parsed, call) in parsed.iter().zip(&calls) {
        assert_eq!(parsed["name"], call["function"]["name"], "{}", context());
        assert!(equal(&parsed["arguments"], &call["function"]["arguments"]), "{call}\n{}", context());
    }
    for piece in &pieces {
        let Piece::ToolCallDelta { index, arguments, .. } = piece else { continue };
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        assert!(equal(&arguments, &parsed[*index]["arguments"]), "{}", context());
    }
}

/// Whether two values are equal in JavaScript, which has no other integers.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}
