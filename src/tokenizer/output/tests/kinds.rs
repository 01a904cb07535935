// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Where mlx-lm's parsers are wrong.

use super::*;

fn with_schema(schema: Value) -> [ToolSpec; 2] {
    let parameters = json!({
        "type": "object",
        "properties": { "v": schema, "w": { "type": "string" } },
        "$defs": { "Count": { "type": "integer" }, "Maybe": { "anyOf": [{ "$ref": "#/$defs/Count" }, { "type": "null" }] } },
    });
    ["f", "g"].map(|name| ToolSpec { name: name.to_owned(), parameters: parameters.clone() })
}

fn parse_with(format: ToolFormat, tools: &[ToolSpec], output: &str) -> Vec<Piece> {
    let parser = || OutputParser::new(format, reasoning_of(format), tools);
    let whole = joined(run(parser(), [output]));
    assert_eq!(joined(run(parser(), output.split_inclusive(|_| true))), whole, "{output}");
    whole.into_iter().filter(|piece| !matches!(piece, Piece::ToolCallDelta { .. })).collect()
}

fn strings(format: ToolFormat, output: &str) -> Vec<Piece> {
    parse_with(format, &with_schema(json!({ "type": "string" })), output)
}

fn qwen(output: &str) -> Vec<Piece> {
    strings(ToolFormat::Qwen3Coder, output)
}

/// Returns the value that Qwen3-Coder's format has for a text.
fn typed(schema: Value, text: &str) -> Value {
    let output = format!("<tool_call>\n<function=f>\n<parameter=v>\n{text}\n</parameter>\n</function>\n</tool_call>");
    match &parse_with(ToolFormat::Qwen3Coder, &with_schema(schema), &output)[..] {
        [Piece::ToolCall { arguments, .. }] => arguments["v"].clone(),
        pieces => panic!("{pieces:?}"),
    }
}

#[test]
fn texts_become_what_the_schema_allows() {
    let nothing = json!({ "type": "null" });
    for (schema, text, value) in [
        (json!({ "anyOf": [{ "type": "integer" }, nothing] }), "5", json!(5)),
        (json!({ "anyOf": [{ "type": "integer" }, nothing] }), "None", json!(null)),
        (json!({ "anyOf": [{ "type": "string" }, nothing] }), "5", json!("5")),
        (json!({ "anyOf": [{ "type": "string" }, nothing] }), "null", json!(null)),
        (json!({ "oneOf": [nothing, { "type": "boolean" }] }), "False", json!(false)),
        (json!({ "oneOf": [{ "type": "array" }, { "type": "object" }] }), "{\"a\": [1]}", json!({ "a": [1] })),
        (json!({ "allOf": [{ "type": ["number", "string"] }, { "type": "number" }] }), "1.5", json!(1.5)),
        (json!({ "allOf": [{ "$ref": "#/$defs/Count" }], "description": "x" }), "4", json!(4)),
        (json!({ "$ref": "#/$defs/Maybe" }), "null", json!(null)),
        (json!({ "$ref": "#/$defs/Maybe" }), "7", json!(7)),
        (json!({ "type": ["integer", "null"] }), "123456789012345678", json!(123_456_789_012_345_678_i64)),
        (json!({ "type": ["string", "integer"] }), "007", json!("007")),
        (json!({ "type": "string" }), "null", json!("null")),
        (json!({ "type": "string" }), "{\"a\": 1}", json!("{\"a\": 1}")),
        (json!({ "type": "string", "nullable": true }), "null", json!(null)),
        (json!({ "type": "number" }), "2", json!(2)),
        (json!({ "enum": [1, 2, 3] }), "2", json!(2)),
        (json!({ "enum": ["1", 1] }), "1", json!("1")),
        (json!({ "enum": ["auto", true] }), "True", json!(true)),
        (json!({ "const": 8 }), "8", json!(8)),
        (json!({ "const": "8" }), "8", json!("8")),
        (json!({ "type": "array" }), "[\"a\", null, True]", json!("[\"a\", null, True]")),
        (json!({ "$ref": "#/$defs/Missing" }), "x", json!("x")),
        (json!({ "type": "integer" }), "five", json!("five")),
        (json!({ "type": ["boolean", "null"] }), "maybe", json!("maybe")),
    ] {
        assert_eq!(typed(schema.clone(), text), value, "{schema} {text}");
    }
}

#[test]
fn circular_schemas_end() {
    let mut defs = Map::new();
    for index in 0..40 {
        let next = json!({ "$ref": format!("#/$defs/d{}", (index + 1) % 40) });
        defs.insert(format!("d{index}"), json!({ "anyOf": [next, next], "allOf": [next, next] }));
    }
    let parameters = json!({ "$ref": "#/$defs/d0", "$defs": defs, "properties": { "v": { "$ref": "#/$defs/d0" } } });
    let tools = [ToolSpec { name: "f".to_owned(), parameters }];
    for key in ["v", "other"] {
        let output = format!("<tool_call><function=f><parameter={key}>1</parameter></function></tool_call>");
        assert_eq!(parse_with(ToolFormat::Qwen3Coder, &tools, &output), [call(0, "f", json!({ key: "1" }))]);
    }
}

#[test]
fn properties_are_found_in_all_parts_of_a_schema() {
    let parameters = json!({
        "allOf": [{ "properties": { "a": { "type": "integer" } } }, { "$ref": "#/$defs/More" }],
        "$defs": { "More": { "properties": { "b": { "type": "boolean" } } } },
        "additionalProperties": { "type": "number" },
    });
    let tools = [ToolSpec { name: "f".to_owned(), parameters }];
    let output = "<minimax:tool_call><invoke name=\"f\"><parameter name=\"a\">1</parameter>\
        <parameter name=\"b\">true</parameter><parameter name=\"c\">1.5</parameter></invoke></minimax:tool_call>";
    let expected = [call(0, "f", json!({ "a": 1, "b": true, "c": 1.5 }))];
    assert_eq!(parse_with(ToolFormat::MinimaxM2, &tools, output), expected);
}

#[test]
fn a_closing_tag_in_a_value_is_part_of_it() {
    for value in [
        "</parameter> is how it ends",
        "use </parameter> here",
        "</tool_call>",
        "a\n</tool_call>\nb",
        "</function> and </tool_call>",
        "a\n</function>\nb",
        "see <parameter=w> and <function=f>",
        "<tool_call>",
    ] {
        let output = format!(
            "<tool_call>\n<function=f>\n<parameter=v>\n{value}\n</parameter>\n<parameter=w>\nx\n</parameter>\n</function>\n</tool_call>so"
        );
        assert_eq!(qwen(&output), [call(0, "f", json!({ "v": value, "w": "x" })), text("so")], "{value}");
    }
    for (format, output, tag) in [
        (
            ToolFormat::JsonTools,
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"v\": \"@\"}}</tool_call>",
            "</tool_call>",
        ),
        (ToolFormat::Gemma4, "<|tool_call>call:f{v:<|\"|>@<|\"|>}<tool_call|>", "<tool_call|>"),
        (
            ToolFormat::FunctionGemma,
            "<start_function_call>call:f{v:<escape>@<escape>}<end_function_call>",
            "<end_function_call>",
        ),
        (ToolFormat::Pythonic, "<|tool_call_start|>[f(v='@')]<|tool_call_end|>", "<|tool_call_end|>"),
        (ToolFormat::Glm47, "<tool_call>f<arg_key>v</arg_key><arg_value>@</arg_value></tool_call>", "</tool_call>"),
        (ToolFormat::Harmony, "<|channel|>commentary to=functions.f<|message|>{\"v\": \"@\"}<|call|>", "<|call|>"),
    ] {
        let expected = [call(0, "f", json!({ "v": tag }))];
        assert_eq!(strings(format, &output.replace('@', tag)), expected, "{format:?}");
    }
}

#[test]
fn a_lost_tag_costs_at_most_its_call() {
    let good = "<tool_call>\n<function=g>\n<parameter=w>\nx\n</parameter>\n</function>\n</tool_call>";
    let expected = call(1, "g", json!({ "w": "x" }));
    for lost in [
        "<tool_call>\n<function=f>\n<parameter=v>\n1\n</function>\n</tool_call>\n",
        "<tool_call>\n<function=f>\n<parameter=v>\n1\n</parameter>\n</tool_call>\n",
        "<tool_call>\n<function=f>\n<parameter=v>\n1\n</parameter>\n</function>\n",
        "<tool_call>\n<function=f>\n<parameter=v>\n1\n</tool_call>\n",
        "<tool_call>\n<function=f>\n<parameter=v>\n1\n",
    ] {
        let pieces = qwen(&(lost.to_owned() + good));
        assert_eq!(pieces[0], call(0, "f", json!({ "v": "1" })), "{lost}");
        assert_eq!(pieces.last(), Some(&expected), "{lost}");
    }
    let pieces = qwen(&format!("<tool_call>\n<function=f>\n<parameter=v>1</tool_call>\n{good}"));
    assert_eq!(sorted(&pieces).2.len(), 1);
    assert_eq!(pieces.last(), Some(&call(0, "g", json!({ "w": "x" }))));
    for (format, lost, good) in [
        (
            ToolFormat::JsonTools,
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"v\": \"1}}</tool_call>\n",
            "<tool_call>{\"name\": \"g\", \"arguments\": {\"w\": \"x\"}}</tool_call>",
        ),
        (
            ToolFormat::JsonTools,
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"v\": 1}\n",
            "<tool_call>{\"name\": \"g\", \"arguments\": {\"w\": \"x\"}}</tool_call>",
        ),
        (
            ToolFormat::Gemma4,
            "<|tool_call>call:f{v:<|\"|>1}<tool_call|>",
            "<|tool_call>call:g{w:<|\"|>x<|\"|>}<tool_call|>",
        ),
    ] {
        let pieces = strings(format, &(lost.to_owned() + good));
        assert_eq!(pieces.last(), Some(&call(0, "g", json!({ "w": "x" }))), "{lost}");
        assert_eq!(sorted(&pieces).0, lost, "{lost}");
    }
    let both = "<|tool_call_start|>[f(v=\"1)]<|tool_call_end|><|tool_call_start|>[g(w=\"x\")]<|tool_call_end|>";
    assert_eq!(strings(ToolFormat::Pythonic, both).last(), Some(&call(1, "g", json!({ "w": "x" }))));
    let both = "<tool_call>{\"name\": \"f\", \"arguments\": {\"v\": 1}}\n<tool_call>{\"name\": \"g\"}</tool_call>";
    let expected = [call(0, "f", json!({ "v": 1 })), call(1, "g", json!({}))];
    assert_eq!(strings(ToolFormat::JsonTools, both), expected);
}

#[test]
fn the_line_break_before_a_tag_is_not_part_of_a_value_without_an_end_tag() {
    let expected = [call(0, "f", json!({ "v": "1", "w": "x" }))];
    for (format, output) in [
        (
            ToolFormat::Glm47,
            "<tool_call>f\n<arg_key>v</arg_key>\n<arg_value>1\n<arg_key>w</arg_key>\n<arg_value>x\n</tool_call>",
        ),
        (
            ToolFormat::MinimaxM2,
            "<minimax:tool_call>\n<invoke name=\"f\">\n<parameter name=\"v\">1\n  <parameter name=\"w\">x\n</invoke>\n</minimax:tool_call>",
        ),
        (
            ToolFormat::Qwen3Coder,
            "<tool_call>\n<function=f>\n<parameter=v>\n1\n<parameter=w>x\n</function>\n</tool_call>",
        ),
    ] {
        assert_eq!(strings(format, output), expected, "{format:?}");
    }
}

#[test]
fn lfm2_may_be_asked_for_json() {
    let (f, g) = ("{\"name\": \"f\", \"arguments\": {\"v\": \"1\"}}", "{\"name\": \"g\", \"arguments\": {}}");
    let expected = [call(0, "f", json!({ "v": "1" })), call(1, "g", json!({}))];
    for body in [format!("[{f}, {g}]"), format!(" [ {f},\n{g} ]\n"), format!("{f}\n{g}")] {
        let section = format!("<|tool_call_start|>{body}<|tool_call_end|>");
        assert_eq!(strings(ToolFormat::Pythonic, &section), expected, "{body}");
    }
}

#[test]
fn a_call_may_lack_the_start_tag_of_its_section() {
    let bare = "<function=f>\n<parameter=v>\n1\n</parameter>\n</function>";
    let expected = call(0, "f", json!({ "v": "1" }));
    assert_eq!(qwen(bare), std::slice::from_ref(&expected));
    assert_eq!(qwen(&format!("So:\n{bare}\n</tool_call> end")), [text("So:\n"), expected.clone(), text(" end")]);
    assert_eq!(qwen(&format!("{bare}\n{bare}")), [expected.clone(), call(1, "f", json!({ "v": "1" }))]);
    for no_call in [
        "Write <function=f> and then the values.",
        "<function=h>\n<parameter=v>\n1\n</parameter>\n</function>",
        "<function=f>\n<parameter=v>\n1",
        "<function=f>\n<parameter=v>\n1\n</parameter> more",
        "<function=",
    ] {
        assert_eq!(qwen(no_call), [text(no_call)]);
    }
    let reasoning = format!("<think>I write {bare}</think>done");
    assert_eq!(qwen(&reasoning), [thought(&format!("I write {bare}")), text("done")]);
}

#[test]
fn a_section_may_contain_several_calls() {
    let function = "<function=f>\n<parameter=v>\n1\n</parameter>\n</function>\n";
    let expected = [call(0, "f", json!({ "v": "1" })), call(1, "f", json!({ "v": "1" }))];
    assert_eq!(qwen(&format!("<tool_call>\n{function}{function}</tool_call>")), expected);
    let object = "{\"name\": \"f\", \"arguments\": {\"v\": \"1\"}}\n";
    assert_eq!(strings(ToolFormat::JsonTools, &format!("<tool_call>\n{object}{object}</tool_call>")), expected);
}

#[test]
fn gemma_writes_keys_and_names_bare() {
    for (output, name, arguments) in [
        ("call:a.b:c-d/e{max-results:5}", "a.b:c-d/e", json!({ "max-results": 5 })),
        ("call:f{@t:{$ref:<|\"|>#/a<|\"|>},x#y:[1, None]}", "f", json!({ "@t": { "$ref": "#/a" }, "x#y": [1, null] })),
        ("call:f{\n  a : 1 ,\n  b:\t<|\"|> x <|\"|>\n}", "f", json!({ "a": 1, "b": " x " })),
        ("call:f{ns:key:7,ns:text:<|\"|>a:b<|\"|>}", "f", json!({ "ns:key": 7, "ns:text": "a:b" })),
        ("call:f{<|\"|>max results<|\"|>: 5, a:None, b:True}", "f", json!({ "max results": 5, "a": null, "b": true })),
        ("call:f{\"a b\": \"c\"}", "f", json!({ "a b": "c" })),
        ("call:f{q:<|\"|>None, b:1<|\"|>}", "f", json!({ "q": "None, b:1" })),
        ("call:f{a:[{b:[]},{}],c:{}}", "f", json!({ "a": [{ "b": [] }, {}], "c": {} })),
    ] {
        let section = format!("<|tool_call>{output}<tool_call|>");
        assert_eq!(strings(ToolFormat::Gemma4, &section), [call(0, name, arguments)], "{output}");
    }
    let section = "<start_function_call>call:f{a:{b:[<escape>x<escape>,1]},url:http://x:1,c:None}<end_function_call>";
    let arguments = json!({ "a": { "b": ["x", 1] }, "url": "http://x:1", "c": null });
    assert_ne!(strings(ToolFormat::FunctionGemma, section), [call(0, "f", arguments.clone())]);
    let section = section.replace("x:1", "x/");
    let arguments = json!({ "a": arguments["a"], "url": "http://x/", "c": null });
    assert_eq!(strings(ToolFormat::FunctionGemma, &section), [call(0, "f", arguments)]);
}

#[test]
fn strings_may_contain_line_breaks() {
    let expected = [call(0, "f", json!({ "v": "a\n\tb" }))];
    for (format, output) in [
        (ToolFormat::JsonTools, "<tool_call>{\"name\": \"f\", \"arguments\": {\"v\": \"a\n\tb\"}}</tool_call>"),
        (ToolFormat::Mistral, "[TOOL_CALLS]f[ARGS]{\"v\": \"a\n\tb\"}"),
        (ToolFormat::Mistral, "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"v\": \"a\n\tb\"}}]"),
        (ToolFormat::Harmony, "<|channel|>commentary to=functions.f<|message|>{\"v\": \"a\n\tb\"}<|call|>"),
        (ToolFormat::Pythonic, "<|tool_call_start|>[f(v=\"a\n\tb\")]<|tool_call_end|>"),
    ] {
        assert_eq!(strings(format, output), expected, "{format:?}");
    }
}

#[test]
fn names_are_as_the_template_writes_them() {
    let arguments = json!({ "max results": "1" });
    let output =
        "<tool_call>\n<function=files.create:pdf>\n<parameter=max results>\n1\n</parameter>\n</function>\n</tool_call>";
    assert_eq!(qwen(output), [call(0, "files.create:pdf", arguments)]);
    let output = "[TOOL_CALLS]files.create/a:b[ARGS]{}";
    assert_eq!(strings(ToolFormat::Mistral, output), [call(0, "files.create/a:b", json!({}))]);
    let output = "<|tool_call_start|>[get-time(max-results=1, $ref='x')]<|tool_call_end|>";
    assert_eq!(strings(ToolFormat::Pythonic, output), [call(0, "get-time", json!({ "max-results": 1, "$ref": "x" }))]);
}

#[test]
fn a_header_without_a_message_is_never_text() {
    let tokens = [
        "<|channel|>",
        "anal",
        "ysis",
        "<|message|>",
        "hm",
        "<|end|>",
        "<|start|>",
        "assistant",
        "<|channel|>",
        "commentary to=",
        "functions.f ",
        "<|constrain|>",
        "json",
    ];
    for count in 1..=tokens.len() {
        let pieces = strings(ToolFormat::Harmony, &tokens[..count].concat());
        assert_eq!(pieces, if count > 4 { vec![thought("hm")] } else { vec![] }, "{count}");
    }
    for cut in [" to=functions.f", " to", " to=functions.f<|channel|>", "<|start|>assistant", "<|channel|>final<|end|>"]
    {
        assert_eq!(strings(ToolFormat::Harmony, cut), [], "{cut}");
    }
    assert_eq!(strings(ToolFormat::Harmony, "to be"), [text("to be")]);
}

#[test]
fn brackets_mark_reasoning_where_the_vocabulary_has_them() {
    let infer = |tokens: &[&str]| ReasoningFormat::infer(|token| tokens.contains(&token));
    assert_eq!(infer(&["[THINK]", "[/THINK]"]), ReasoningFormat::Brackets);
    assert_eq!(infer(&["[THINK]"]), ReasoningFormat::None);
    let parser = || OutputParser::new(ToolFormat::Mistral, ReasoningFormat::Brackets, &[]);
    let output = "[THINK]so[/THINK]Four. [TOOL_CALLS]f[ARGS]{}";
    let expected = [thought("so"), text("Four. "), delta(0, "f", "{}"), call(0, "f", json!({}))];
    assert_eq!(joined(run(parser(), output.split_inclusive(|_| true))), expected);
    assert!(ReasoningFormat::Brackets.starts_in_reasoning("[INST]x[/INST][THINK]"));
    assert_eq!(joined(run(parser().starting_in_reasoning(), ["a[/THI", "NK]b"])), [thought("a"), text("b")]);
}

#[test]
fn templates_may_describe_calls_only() {
    let described =
        r#"{{ "<tool_call></tool_call>:\n<tool_call>\n{\"name\": <n>, \"arguments\": <a>}\n</tool_call>" }}"#;
    assert_eq!(ToolFormat::infer(described, |_| false), ToolFormat::JsonTools);
    let plain = "<tool_call>\n{\"name\": 1, \"arguments\": {}}\n</tool_call>";
    assert_eq!(ToolFormat::infer(plain, |_| false), ToolFormat::JsonTools);
    for other in
        ["<tool_call></tool_call> \"name\" \"arguments\" {", "<tool_call>{\"name\"}</tool_call>", "\"arguments\""]
    {
        assert_eq!(ToolFormat::infer(other, |_| false), ToolFormat::None, "{other}");
    }
}
