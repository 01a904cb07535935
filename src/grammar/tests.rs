// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

use std::{path::Path, sync::Arc};

use serde_json::{Map, Value, json};

use super::*;
use crate::tokenizer::{ClassRule, Tokenizer};

/// 288 tokens: bytes, a few merges, three special ones.
const LLAMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/__test__/fixtures/llama");
/// 3072 tokens.
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo");

fn tokenizer(folder: &str) -> Arc<Tokenizer> {
    Arc::new(Tokenizer::from_dir(Path::new(folder), ClassRule::Named).unwrap())
}

pub(super) fn grammars(folder: &str) -> (Arc<Tokenizer>, Grammars) {
    let tokenizer = tokenizer(folder);
    let size = tokenizer.largest_id().max(tokenizer.largest_added_id()) as usize + 8;
    let eos = vec![tokenizer.eos_token_id().unwrap()];
    (Arc::clone(&tokenizer), Grammars::new(tokenizer, size, eos))
}

fn ids(mask: &Mask) -> Vec<u32> {
    let allowed = mask.choose(4000, true, false);
    let ids: Vec<u32> = (0..allowed.len() as u32).filter(|id| allowed[*id as usize]).collect();
    assert!(ids.iter().all(|id| mask.allows(*id)));
    ids
}

/// Random numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Draws tokens as a model without any idea would, but often a quote, so that strings end. Returns the tokens without the
/// one that ends the answer.
fn walk(tokenizer: &Tokenizer, grammars: &Grammars, source: Source, numbers: &mut Numbers) -> Vec<u32> {
    let mut matcher = grammars.compile(source).unwrap();
    let quote = tokenizer.token_to_id("\"").unwrap();
    let eos = grammars.eos_token_ids()[0];
    let mut tokens = matcher.force(usize::MAX).unwrap();
    while !matcher.is_done() {
        assert!(tokens.len() < 2000, "{}", tokenizer.decode(&tokens, false).unwrap());
        let mask = matcher.mask().unwrap();
        let ids = ids(&mask);
        let token = if mask.allows(eos) && numbers.below(3) == 0 {
            eos
        } else if mask.allows(quote) && numbers.below(3) == 0 {
            quote
        } else {
            ids[numbers.below(ids.len())]
        };
        if token == eos {
            break;
        }
        matcher.accept(token).unwrap();
        tokens.push(token);
        tokens.extend(matcher.force(usize::MAX).unwrap());
    }
    tokens
}

pub(super) fn written(tokenizer: &Tokenizer, grammars: &Grammars, source: Source, seed: u64) -> String {
    let tokens = walk(tokenizer, grammars, source, &mut Numbers(seed));
    let mut detokenizer = tokenizer.detokenizer();
    detokenizer.finish_part().unwrap();
    let mut text: String = tokens.iter().map(|token| detokenizer.push(*token).unwrap()).collect();
    text += &detokenizer.finish().unwrap();
    text
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 12 },
            "age": { "type": "integer", "minimum": 0, "maximum": 150 },
            "tags": { "type": "array", "items": { "enum": ["a", "b\n\"c"] }, "maxItems": 3 },
            "address": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/address" }] },
        },
        "required": ["name", "age", "tags", "address"],
        "$defs": { "address": { "type": "object", "properties": { "city": { "type": "string", "pattern": "^[A-Z].*$" } },
                                "required": ["city"] } },
    })
}

fn check_person(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    let name = value["name"].as_str().unwrap();
    assert!((1..=12).contains(&name.chars().count()), "{text}");
    assert!(value["age"].as_u64().unwrap() <= 150, "{text}");
    let tags = value["tags"].as_array().unwrap();
    assert!(tags.len() <= 3 && tags.iter().all(|tag| ["a", "b\n\"c"].contains(&tag.as_str().unwrap())), "{text}");
    let city = value["address"].get("city").map(|city| city.as_str().unwrap());
    assert!(city.is_none_or(|city| city.starts_with(|c: char| c.is_ascii_uppercase())), "{text}");
    assert_eq!(value.as_object().unwrap().len(), 4, "{text}");
}

#[test]
fn whatever_is_drawn_is_a_value_of_the_schema() {
    for folder in [LLAMA, DEMO] {
        let (tokenizer, grammars) = grammars(folder);
        for seed in 0..40 {
            check_person(&written(&tokenizer, &grammars, Source::Schema(person()), seed));
        }
    }
}

#[test]
fn a_regular_expression_matches_the_whole_answer_as_in_javascript() {
    let (tokenizer, grammars) = grammars(DEMO);
    for seed in 0..20 {
        let text = written(&tokenizer, &grammars, Source::Regex(r"^(?:yes|no), \d{2,3}[^<[]$".to_owned()), seed);
        let (word, rest) = text.split_once(", ").unwrap();
        assert!(["yes", "no"].contains(&word), "{text}");
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        assert!((2..=4).contains(&digits) && !rest.contains(['<', '[']), "{text}");
    }
}

#[test]
fn a_grammar_may_name_control_tokens() {
    let (tokenizer, grammars) = grammars(DEMO);
    let lark = "start: \"a\" <think> /[bc]{2}/ \"!\"".to_owned();
    let tokens = walk(&tokenizer, &grammars, Source::Lark(lark), &mut Numbers(1));
    assert!(tokens.contains(&tokenizer.token_to_id("<think>").unwrap()));
    let text = tokenizer.decode(&tokens, false).unwrap();
    assert!(text.starts_with("a<think>") && text.ends_with('!') && text.len() == 11, "{text}");
}

#[test]
fn control_tokens_and_those_that_end_the_answer_are_no_text() {
    let (tokenizer, grammars) = grammars(DEMO);
    let mut matcher = grammars.compile(Source::Regex("(?s:.)*".replace("(?s:.)", "[^]"))).unwrap();
    let mask = matcher.mask().unwrap();
    for token in ["<|im_start|>", "<|endoftext|>", "<think>", "</tool_call>"] {
        assert!(!mask.allows(tokenizer.token_to_id(token).unwrap()), "{token}");
    }
    assert!(mask.allows(tokenizer.token_to_id("<").unwrap()));
    // The value may end here.
    assert!(mask.allows(grammars.eos_token_ids()[0]));
    // Ids without a token.
    assert!(!mask.allows(grammars.vocab_size() as u32 - 1) && !mask.allows(u32::MAX));
}

#[test]
fn what_must_come_is_forced_as_the_tokenizer_would_write_it() {
    let (tokenizer, grammars) = grammars(DEMO);
    let lark = || Source::Lark("start: \"the user is an assistant\" /[0-9]/".to_owned());
    let mut matcher = grammars.compile(lark()).unwrap();
    let forced = matcher.force(usize::MAX).unwrap();
    let whole = tokenizer.encode("the user is an assistant", false).unwrap();
    // The last tokens could become one with what follows.
    assert!(forced.len() + 2 >= whole.len() && whole.starts_with(&forced), "{forced:?} {whole:?}");
    assert!(!matcher.is_done());

    let mut matcher = grammars.compile(lark()).unwrap();
    assert_eq!(matcher.force(2).unwrap(), forced[..2]);
    assert!(matcher.force(0).unwrap().is_empty());
    assert_eq!(matcher.force(usize::MAX).unwrap(), forced[2..]);

    let mut matcher = grammars.compile(Source::Schema(json!({ "const": { "a": [1, null] } }))).unwrap();
    matcher.force(usize::MAX).unwrap();
    while !matcher.is_done() {
        let first = ids(&matcher.mask().unwrap())[0];
        matcher.accept(first).unwrap();
        matcher.force(usize::MAX).unwrap();
    }
}

#[test]
fn a_token_that_is_not_allowed_is_an_error() {
    let (tokenizer, grammars) = grammars(DEMO);
    let mut matcher = grammars.compile(Source::Regex("[ab]+".to_owned())).unwrap();
    let error = matcher.accept(tokenizer.token_to_id("x").unwrap()).unwrap_err();
    assert_eq!(error.code(), "ERR_GRAMMAR_UNSUPPORTED");
}

/// The error's place and message.
fn refused(source: Source) -> (Option<String>, String) {
    thread_local! { static GRAMMARS: Grammars = grammars(LLAMA).1; }
    let result = GRAMMARS.with(|grammars| grammars.compile(source.clone()));
    match result.err().unwrap_or_else(|| panic!("{source:?} is not refused")) {
        Error::GrammarUnsupported { name, path, message } => {
            assert_eq!(name, source.name());
            assert!(!message.contains("backtrace") && !message.contains("<state>"), "{message}");
            (path, message)
        }
        error => panic!("{error}"),
    }
}

#[test]
fn dates_and_times_exist() {
    let (tokenizer, grammars) = grammars(DEMO);
    for (format, wrong) in [("date", ["2023-02-29", "1900-02-29"]), ("time", ["10:00:60Z", "10:00:61Z"])] {
        for seed in 0..20 {
            written(&tokenizer, &grammars, Source::Schema(json!({ "type": "string", "format": format })), seed);
        }
        for text in wrong {
            let mut matcher = grammars.compile(Source::Schema(json!({ "type": "string", "format": format }))).unwrap();
            let tokens = tokenizer.encode(&format!("{text:?}"), false).unwrap();
            let refused = tokens
                .into_iter()
                .any(|token| !matcher.mask().unwrap().allows(token) || matcher.accept(token).is_err());
            assert!(refused, "{text}");
        }
    }
}

#[test]
fn what_cannot_be_held_is_refused_with_its_place() {
    let of = |value: Value| json!({ "type": "object", "properties": { "a/b": value } });
    let cases = [
        (json!({ "not": { "type": "null" } }), "not", "not is not supported"),
        (json!({ "type": "array", "uniqueItems": true }), "uniqueItems", "uniqueItems is not supported"),
        (json!({ "type": "array", "contains": {} }), "contains", "contains is not supported"),
        (json!({ "else": {}, "if": {}, "then": {} }), "if", "if is not supported"),
        (json!({ "propertyNames": { "minLength": 2 } }), "propertyNames", "propertyNames is not supported"),
        (json!({ "type": "string", "format": "jwt" }), "format", "the format 'jwt' is not supported"),
        (
            json!({ "type": "string", "pattern": "^(?!a)b" }),
            "pattern",
            "the regular expression is not supported: look-around, including look-ahead and look-behind, is not supported",
        ),
        (json!({ "type": "string", "pattern": r"(a)\1" }), "pattern", "references to groups are not supported"),
        (
            json!({ "type": "object", "minProperties": 2 }),
            "minProperties",
            "above 1 it is supported only where all properties are named",
        ),
        (
            json!({ "patternProperties": (0..40).map(|n| (format!("^{n}$"), json!({}))).collect::<Map<_, _>>() }),
            "patternProperties",
            "has more than 32 patterns",
        ),
    ];
    for (schema, keyword, message) in cases {
        let path = format!("/properties/a~1b/{keyword}");
        assert_eq!(refused(Source::Schema(of(schema))), (Some(path), message.to_owned()));
    }
    for (schema, message) in [
        (
            json!({ "oneOf": [{ "type": "string" }, { "minLength": 3 }] }),
            "oneOf: what tells its schemas apart is not clear enough; use anyOf",
        ),
        (json!({ "enum": [] }), "Unsatisfiable schema: anyOf is empty"),
        (json!({ "$ref": "#/$defs/a", "$defs": { "a": false } }), "Unsatisfiable schema: schema is false"),
        (json!({ "$ref": "https://example.com/a" }), "$ref: 'https://example.com/a' is not part of the schema"),
        (json!({ "$ref": "#/$defs/missing" }), "$ref: '/$defs/missing' is not part of the schema"),
        (json!({ "$ref": "#missing" }), "$ref: 'missing' is not part of the schema"),
        (
            json!({ "$ref": "https://json-schema.org/draft/2020-12/schema" }),
            "$ref: it leads to unsupported keywords: [\"$dynamicAnchor\"]",
        ),
        (json!({ "$ref": "http://json-schema.org/draft-07/schema#" }), "format: 'uri-reference' is not supported"),
        (
            json!({ "patternProperties": { "a*": { "type": "null" }, "b": { "type": "boolean" } } }),
            "patternProperties: regexes /a*/ and /b/ are not disjoint",
        ),
        (
            json!({ "type": "number", "multipleOf": 123_456_789_000_u64 }),
            "multipleOf: 123456789000 has too many digits",
        ),
        (json!({ "type": "number", "maximum": 1e30 }), "minimum, maximum: number too large to fit in target type"),
        (json!({ "type": "strnig" }), "Invalid type: strnig"),
    ] {
        assert_eq!(refused(Source::Schema(schema)), (None, message.to_owned()));
    }
}

#[test]
fn keywords_that_ask_for_nothing_are_no_reason_to_refuse() {
    for schema in [
        json!({ "if": { "const": 0 } }),
        json!({ "then": { "const": 0 }, "else": { "const": 0 } }),
        json!({ "minContains": 2, "maxContains": 1 }),
        json!({ "uniqueItems": false, "unevaluatedItems": true, "unevaluatedProperties": true, "propertyNames": true }),
    ] {
        assert!(grammars(LLAMA).1.compile(Source::Schema(schema.clone())).is_ok(), "{schema}");
    }
}

#[test]
fn a_definition_that_is_not_used_may_hold_anything() {
    let schema = json!({ "type": "null", "$defs": { "a": { "not": {} }, "b": { "format": "jwt" } } });
    assert!(grammars(LLAMA).1.compile(Source::Schema(schema)).is_ok());
}

#[test]
fn expressions_and_grammars_that_are_malformed_or_empty_are_refused() {
    for regex in ["(", "a{2,1}", r"\1", "[]", "(?<=a)b"] {
        refused(Source::Regex(regex.to_owned()));
    }
    for lark in ["", "start", "start: missing", "start: /(/", "a: \"b\"", "start: <no_such_token>"] {
        refused(Source::Lark(lark.to_owned()));
    }
}

#[test]
fn schemas_from_strangers_take_bounded_time() {
    let nested = |mut inner: Value, levels: usize, wrap: &dyn Fn(Value) -> Value| {
        for _ in 0..levels {
            inner = wrap(inner);
        }
        inner
    };
    let many = |count: usize| -> Vec<Value> {
        (0..count).map(|n| json!({ "type": "object", "properties": { format!("k{n}"): { "minLength": n } } })).collect()
    };
    let hostile = [
        json!({ "type": "string", "minLength": 1_000_000_000 }),
        json!({ "type": "string", "minLength": 100_000, "maxLength": 100_001 }),
        json!({ "type": "array", "minItems": 1_000_000_000, "items": { "type": "null" } }),
        json!({ "type": "array", "minItems": 1000, "maxItems": 100_000, "items": { "type": "array", "maxItems": 100_000 } }),
        json!({ "type": "object", "additionalProperties": false, "maxProperties": 1_000_000_000,
                "patternProperties": { "^a": {} } }),
        json!({ "type": "string", "pattern": "^((((a{1000}){1000}){1000}){1000})$" }),
        json!({ "type": "string", "pattern": "^(a?){5000}a{5000}$" }),
        json!({ "type": "string", "pattern": r"(\p{L}{1,500}x){1,500}" }),
        json!({ "type": "number", "multipleOf": 4_294_967_291_u32 }),
        json!({ "type": "number", "multipleOf": 1e-300 }),
        json!({ "enum": (0..20_000).map(|n| format!("{n}{n}")).collect::<Vec<_>>() }),
        json!({ "anyOf": many(2000) }),
        json!({ "oneOf": many(1000) }),
        json!({ "allOf": (0..40).map(|n| json!({ "anyOf": many(n) })).collect::<Vec<_>>() }),
        nested(json!({}), 60, &|inner| json!({ "type": "object", "properties": { "a": inner }, "required": ["a"] })),
        nested(json!({}), 60, &|inner| json!({ "anyOf": [inner, { "type": "null" }] })),
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }, { "type": "object" }] }),
        json!({ "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }] } }, "$ref": "#/$defs/a" }),
    ];
    let (_, grammars) = grammars(DEMO);
    grammars.compile(Source::Schema(json!({}))).unwrap();
    for schema in hostile {
        let started = std::time::Instant::now();
        let text = schema.to_string();
        if let Ok(mut matcher) = grammars.compile(Source::Schema(schema)) {
            for _ in 0..20 {
                let Ok(mask) = matcher.mask() else { break };
                let Some(token) = ids(&mask).pop() else { break };
                let goes_on = matcher.accept(token).is_ok() && matcher.force(8).is_ok() && !matcher.is_done();
                if started.elapsed().as_millis() > 5 {
                    println!("  step {:?}", started.elapsed());
                }
                if !goes_on {
                    break;
                }
            }
        }
        let took = started.elapsed();
        assert!(took.as_secs() < 20, "{took:?}: {}", text.get(..200).unwrap_or(&text));
    }
}
