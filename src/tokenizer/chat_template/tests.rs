// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

use std::time::{Duration, Instant};

use chrono::NaiveDate;
use serde_json::json;

use super::*;
use crate::watch::{Cancel, Watch};

const CHATML: &str = "{% for message in messages %}
<|im_start|>{{ message.role }}
{{ message['content'] | trim }}<|im_end|>
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}";

fn talk() -> Json {
    json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": " Hi <b>&</b> \n" },
        { "role": "assistant", "content": "Hello!" },
    ])
}

fn with_prompt() -> TemplateOptions {
    TemplateOptions { add_generation_prompt: true, ..TemplateOptions::default() }
}

fn apply_to(messages: &Json, template: &str, options: &TemplateOptions) -> Result<String> {
    let mut variables = Map::new();
    variables.insert("bos_token".to_owned(), "<s>".into());
    variables.insert("eos_token".to_owned(), "</s>".into());
    apply(template, messages, variables, options)
}

fn rendered(template: &str) -> String {
    apply_to(&talk(), template, &TemplateOptions::default()).unwrap()
}

fn code(template: &str) -> &'static str {
    match apply_to(&talk(), template, &TemplateOptions::default()) {
        Ok(text) => panic!("it rendered {text:?}"),
        Err(error) => error.code(),
    }
}

#[test]
fn a_template_in_the_style_of_chatml() {
    let text = apply_to(&talk(), CHATML, &with_prompt()).unwrap();
    let expected = "<|im_start|>system\nBe brief.<|im_end|>\n\
                    <|im_start|>user\nHi <b>&</b><|im_end|>\n\
                    <|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(text, expected);
}

#[test]
fn a_template_in_the_style_of_llama_3() {
    let template = "{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = '' %}
{%- endif %}
{{- '<|start|>system<|end|>\\n\\n' + system + '<|eot|>' }}
{%- for message in messages %}
    {{- '<|start|>' + message.role + '<|end|>\\n\\n' + message.content | trim + '<|eot|>' }}
{%- endfor %}
{%- if tools is not none %}{{ tools[0] | tojson(indent=4) }}{% endif %}
{%- if date_string is not defined %}{{- ' no date' }}{% endif %}";
    let options = TemplateOptions { tools: Some(json!([{ "name": "f", "args": [] }])), ..TemplateOptions::default() };
    let expected = "<s><|start|>system<|end|>\n\nBe brief.<|eot|><|start|>user<|end|>\n\n\
                    Hi <b>&</b><|eot|><|start|>assistant<|end|>\n\nHello!<|eot|>\
                    {\n    \"name\": \"f\",\n    \"args\": []\n} no date";
    assert_eq!(apply_to(&talk(), template, &options).unwrap(), expected);
}

#[test]
fn a_template_in_the_style_of_mistral() {
    let template = "{{ bos_token }}{% set ns = namespace(index=0) %}\
        {% for message in messages if message.role != 'system' %}\
        {% if (message['role'] == 'user') != (ns.index % 2 == 0) %}\
        {{ raise_exception('Roles must alternate!') }}{% endif %}\
        {% if message['role'] == 'user' %}{{ '[INST] ' + message['content'].strip() + ' [/INST]' }}\
        {% else %}{{ message['content'] + eos_token }}{% endif %}\
        {% set ns.index = ns.index + 1 %}{% endfor %}";
    assert_eq!(rendered(template), "<s>[INST] Hi <b>&</b> [/INST]Hello!</s>");
    let wrong = json!([{ "role": "assistant", "content": "x" }]);
    let error = apply_to(&wrong, template, &TemplateOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "chat template: Roles must alternate!");
    assert_eq!(error.code(), "ERR_CHAT_TEMPLATE");
}

#[test]
fn a_template_in_the_style_of_gemma() {
    let template = "{%- macro turn(role, text) -%}
<turn>{{ {'assistant': 'model'}.get(role, role) }}
{{ text | trim }}</turn>
{%- endmacro -%}
{%- for m in messages[::-1] | reject('equalto', messages[0]) | list -%}
{{ turn(*[m.role, m.content]) }}
{%- if not loop.last %}|{% else %}{% break %}{% endif -%}
{%- endfor -%}";
    let expected = "<turn>model\nHello!</turn>|<turn>user\nHi <b>&</b></turn>";
    assert_eq!(rendered(template), expected);
}

#[test]
fn values_print_as_in_python() {
    assert_eq!(
        rendered("{{ [1, 1.0, true, none, 'a\\'b', \"x\", '\\n', {'k': []}, 1e20, 1e-5] }}"),
        "[1, 1.0, True, None, \"a'b\", 'x', '\\n', {'k': []}, 1e+20, 1e-05]"
    );
    assert_eq!(rendered("{{ true ~ none ~ missing ~ 2 }}|{{ missing }}"), "TrueNone2|");
    assert_eq!(rendered("{{ -7 % 3 }} {{ '%s-%d' % ('a', 2) }} {{ [1] + [2] }}"), "2 a-2 [1, 2]");
}

#[test]
fn slices_behave_as_in_python() {
    assert_eq!(rendered("{{ 'aéz'[::-1] }} {{ 'abcd'[1:-1] }} {{ 'ab'[5:] }}"), "zéa bc ");
    assert_eq!(rendered("{{ [1,2,3][-2:] }} {{ [1,2,3][:1:-1] }} {{ range(5)[1::2] }}"), "[2, 3] [3] [1, 3]");
}

#[test]
fn json_is_formatted_as_in_python() {
    assert_eq!(rendered("{{ {'b': '<é>', 'a': [1, 2.0]}|tojson }}"), r#"{"b": "<é>", "a": [1, 2.0]}"#);
    assert_eq!(
        rendered("{{ {'b': '😀', 'a': {}}|tojson(sort_keys=true, ensure_ascii=true) }}"),
        r#"{"a": {}, "b": "\ud83d\ude00"}"#
    );
    assert_eq!(rendered("{{ [1, 2]|tojson(separators=(',', ':')) }}"), "[1,2]");
    assert_eq!(rendered("{{ [1]|tojson(indent=2)|indent(4, first=true) }}"), "    [\n      1\n    ]");
    assert_eq!(
        rendered("{{ {'b': 1, 'é': 2, 'a': 3}|tojson(true, none, (',', ':'), true) }}"),
        r#"{"a":3,"b":1,"\u00e9":2}"#
    );
    assert_eq!(rendered("{{ 'é\x7f'|tojson(ensure_ascii=true) }}"), r#""\u00e9\u007f""#);
    assert_eq!(rendered("{{ [1]|tojson(false, 2) }}"), "[\n  1\n]");
    assert_eq!(code("{{ 1|tojson(1, 2, none, 4, 5) }}"), "ERR_CHAT_TEMPLATE");
    assert_eq!(code("{{ 1|tojson(spaces=2) }}"), "ERR_CHAT_TEMPLATE");
    assert_eq!(code("{{ missing|tojson }}"), "ERR_CHAT_TEMPLATE");
}

#[test]
fn string_methods_behave_as_in_python() {
    assert_eq!(rendered("{{ 'a</t>b</t>c'.split('</t>')[-1] }}{{ '\\nx '.lstrip('\\n') }}|"), "cx |");
    assert_eq!(rendered("{{ 'a-b-c'.rsplit('-', 1) }} {{ 'abc'.removeprefix('a') }}"), "['a-b', 'c'] bc");
    assert_eq!(rendered("{{ 'a=b=c'.partition('=')[2] }} {{ '7'.zfill(3) }}"), "b=c 007");
    assert_eq!(rendered("{{ '{} {x}'.format(1, x='y') }} {{ ', '.join(['a', 'b']) }}"), "1 y a, b");
}

#[test]
fn generation_tags_are_ignored() {
    let template = "{% for m in messages %}{%- generation -%} {{ m.role }} {%- endgeneration %};\
                    {% endfor %}";
    assert_eq!(rendered(template), "system;user;assistant;");
    assert_eq!(rendered("{% set generation = 1 %}{{ generation }}"), "1");
}

#[test]
fn times_are_formatted_as_in_python() {
    let day = NaiveDate::from_ymd_opt(2025, 3, 5).and_then(|day| day.and_hms_micro_opt(9, 7, 3, 456));
    let now = day.unwrap().and_local_timezone(Local).unwrap();
    let options = TemplateOptions { now: Some(now), ..TemplateOptions::default() };
    for (format, expected) in [
        ("%Y-%m-%d %H:%M:%S", "2025-03-05 09:07:03"),
        ("%d %B %Y|%b %-d, %y|%e", "05 March 2025|Mar 5, 25| 5"),
        ("%A %a %w %u %j %U %W %G-W%V", "Wednesday Wed 3 3 064 09 09 2025-W10"),
        ("%I:%M %p|%-I|%f|%z%Z|%%", "09:07 AM|9|000456||%"),
        ("%c|%x|%X", "Wed Mar  5 09:07:03 2025|03/05/25|09:07:03"),
    ] {
        let template = format!("{{{{ strftime_now('{format}') }}}}");
        assert_eq!(apply_to(&talk(), &template, &options).unwrap(), expected);
    }
    assert_eq!(code("{{ strftime_now('%Q') }}"), "ERR_CHAT_TEMPLATE");
    assert_eq!(code("{{ strftime_now('a' * 2000) }}"), "ERR_CHAT_TEMPLATE");
}

#[test]
fn strftime_now_defaults_to_the_time_of_the_call() {
    let before = Local::now().timestamp();
    let time: i64 = rendered("{{ strftime_now('%s') }}").parse().unwrap();
    assert!((before..=Local::now().timestamp()).contains(&time));
}

#[test]
fn the_final_message_is_left_open() {
    let options = TemplateOptions { continue_final_message: true, ..TemplateOptions::default() };
    let text = apply_to(&talk(), CHATML, &options).unwrap();
    assert!(text.ends_with("<|im_start|>assistant\nHello!"), "{text}");

    let trailing = json!([{ "role": "assistant", "content": [{ "type": "text", "text": "One, " }] }]);
    let parts = "<{{ messages[0].content[0].text }}>";
    assert_eq!(apply_to(&trailing, parts, &options).unwrap(), "<One, ");
    let trimmed = "<{{ messages[0].content[0].text | trim }}>";
    assert_eq!(apply_to(&trailing, trimmed, &options).unwrap(), "<One,");

    assert!(apply_to(&talk(), "nothing", &options).is_err());
    let both = TemplateOptions { add_generation_prompt: true, ..options };
    assert!(apply_to(&talk(), CHATML, &both).is_err());
}

#[test]
fn reasoning_is_passed_under_all_its_names() {
    let messages = json!([{ "role": "assistant", "content": "", "reasoning": "hm" }]);
    let template = "{{ messages[0].reasoning_content }} {{ messages[0].thinking }}";
    let text = apply_to(&messages, template, &TemplateOptions::default()).unwrap();
    assert_eq!(text, "hm hm");
    let messages = json!([{ "role": "assistant", "reasoning_content": null, "thinking": "hm" }]);
    assert_eq!(apply_to(&messages, template, &TemplateOptions::default()).unwrap(), "hm hm");
}

#[test]
fn extra_variables_override_all_but_the_messages() {
    let mut options = with_prompt();
    options.extra =
        json!({ "bos_token": "[B]", "messages": 1, "add_generation_prompt": false }).as_object().cloned().unwrap();
    let template = "{{ bos_token }}{{ add_generation_prompt }}{{ messages|length }}";
    assert_eq!(apply_to(&talk(), template, &options).unwrap(), "[B]False3");
}

#[test]
fn an_invalid_template_is_an_error() {
    for template in [
        "{% if %}",
        "{{ missing.attribute }}",
        "{{ 1|unknown_filter }}",
        "{{ 1 // 0 }}",
        "{{ loop.cycle() }}",
        "{% for a in [1] %}{{ loop.cycle() }}{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
        "{% extends '/etc/passwd' %}",
        "{{ ''.__class__ }}",
        "{{ messages['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{% set ns = namespace() %}{% set ns.self = ns %}",
    ] {
        assert_eq!(code(template), "ERR_CHAT_TEMPLATE", "{template}");
    }
}

#[test]
fn a_template_that_exceeds_a_limit_is_stopped() {
    let repeated = |start: &str, again: &str| format!("{start}{}", again.repeat(50));
    let bombs = [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ range(10 ** 12) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{{ 'a' * 10 ** 9 }}",
        "{% set n = 10 ** 9 %}{{ [1] * n }}",
        "{{ 'a\n'|indent(10 ** 9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ 'a'.center(10 ** 9) }}",
        "{{ [1]|tojson(indent=10 ** 9) }}",
        "{% set x = 'a' * 100000 %}{{ x|replace('a', x) }}",
        "{% set x = 'a' * 100000 %}{{ x.replace('a', x) }}",
        "{% set x = 'a' * 1000000 %}{% for i in range(99999) %}{% if x == 'a' ~ x[1:] %}\
         {% endif %}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}",
        "{% set ns = namespace(x=1) %}{% for i in range(999) %}{% set ns.x = dict(a=ns.x) %}\
         {% endfor %}",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([
        repeated("{% set x = 'aaaa' %}", "{% set x = x ~ x %}"),
        repeated("{% set x = 'aaaa' %}", "{% set x %}{{ x }}{{ x }}{% endset %}"),
        repeated("{% set x = [1] %}", "{% set x = x + x %}"),
    ]);
    for template in bombs {
        assert_eq!(code(&template), "ERR_CHAT_TEMPLATE_LIMIT", "{template}");
    }
}

/// None of these was counted once: they took minutes or hours.
#[test]
fn every_operation_is_counted() {
    for operation in [
        "{% set y = m[k] %}",
        "{% set y = k in m %}",
        "{% set y = m.get(k) %}",
        "{% set y = m|attr(k) %}",
        "{% set y = dict(m) %}",
        "{% set y = dict(**m) %}",
        "{% set y = {k: 1} %}",
        "{% set y = [[k]] == [[k]] %}",
        "{% set y = k is startingwith(k) %}",
        "{% set y = k is endingwith(k) %}",
        "{% set y = k is sameas(k) %}",
        "{% for c in k %}{% break %}{% endfor %}",
        "{% set y = [{}]|map(attribute=k)|list %}",
        "{% set y = [{}, {}]|sort(attribute=k) %}",
        "{% set y = [{}]|selectattr(k)|list %}",
        "{% set y = [{}]|join(attribute=k) %}",
    ] {
        let template = format!(
            "{{% set n = 3000000 %}}{{% set k = 'a' * n %}}{{% set m = {{k: 1}} %}}\
             {{% for i in range(99999) %}}{operation}{{% endfor %}}"
        );
        let start = Instant::now();
        assert_eq!(code(&template), "ERR_CHAT_TEMPLATE_LIMIT", "{template}");
        assert!(start.elapsed() < Duration::from_secs(3), "{operation}: {:?}", start.elapsed());
    }
    assert_eq!(code(&format!("{{{{ {} }}}}", "a".repeat(300))), "ERR_CHAT_TEMPLATE_LIMIT");
}

#[test]
fn a_template_stops_when_nobody_waits_for_it() {
    let cancel = Cancel::default();
    cancel.cancel();
    let template = "{% for i in range(99999) %}{% set y = 'a' in messages %}{% endfor %}";
    assert_eq!(Watch::new([cancel]).over(|| code(template)), "ERR_CHAT_TEMPLATE_LIMIT");
    assert_eq!(rendered(template), "");
}

#[test]
fn deep_expressions_are_rejected_without_a_crash() {
    for (before, after) in [
        ("-", ""),
        ("not ", ""),
        ("(", ")"),
        ("[", "]"),
        ("", "|trim"),
        ("", "~a"),
        ("", ".a"),
        ("", "[0]"),
        ("", " if a else a"),
    ] {
        for count in [500, 2_500, 8_192] {
            let template = format!("{{{{ {}a{} }}}}", before.repeat(count), after.repeat(count));
            let result = apply_to(&talk(), &template, &TemplateOptions::default());
            if count > 2_000 {
                assert_eq!(result.unwrap_err().code(), "ERR_CHAT_TEMPLATE_LIMIT");
            }
        }
    }
    let branches = format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(5_000));
    assert_eq!(code(&branches), "ERR_CHAT_TEMPLATE_LIMIT");
    assert_eq!(code(&"{% if a %}".repeat(5_000)), "ERR_CHAT_TEMPLATE_LIMIT");
}
