# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""What mlx-lm's state machine and tool parsers make of outputs, as tool-calls.json.

    target/oracle/bin/python tools/parity/tool_calls.py               # only this one, into __test__/fixtures

A case names the parser, the think tags, the tools and the output. `calls` are mlx-lm's; `failed` are the
sections that its parser rejects; `differs` says why the whole output is text for us instead.
`ours` is what we make of an output instead, where mlx-lm is wrong, and why.
`templates` are excerpts of chat templates with the parser inferred for each.
"""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

from oracle import TextStateMachine, infer_tool_parser, make_text_state_machine

FIXTURES = Path(__file__).resolve().parent.parent.parent / "__test__" / "fixtures"


def _tool(name, **properties):
    schemas = {key: {"type": kind} if isinstance(kind, str) else kind for key, kind in properties.items()}
    parameters = {"type": "object", "properties": schemas}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [
    _tool("get_weather", city="string", days="integer", exact="boolean", limit="number", zip="string"),
    _tool("search", query="string", filters="object", tags="array", page={"type": ["integer", "null"]}),
    _tool(
        "draw",
        color={"enum": ["red", 7]},
        size={"anyOf": [{"type": "integer"}, {"type": "string"}]},
        shape={"description": "any"},
        free={},
        opacity="float",
    ),
    _tool("now"),
]

# the outputs for each parser; the tags of reasoning count in all of them
CASES = {
    "json_tools": [
        'Let me look. <tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}\n</tool_call>',
        '<tool_call>{"name":"get_weather","arguments":{"city":"東京 🗼","days":-1}}</tool_call>'
        '\n<tool_call>{"name":"now","arguments":{}}</tool_call> done',
        "<think>\nThe user wants 3 < 4 </thin or <think> so.\n</think>\n\nمرحبا <tool_calls> is no tag <tool_call",
        '<think>a</think>b<think>c</think>d<tool_call>{"arguments": {"q": "</tool_calls>"}, "name": "search"}</tool_call>e',
        '<think>I call at once <tool_call>{"name": "now", "arguments": {}}</tool_call> after',
        '<tool_call>{"name": "get_weather", "arguments": {"city": "a\\"b\\\\", "x": {"y": [1, 2.5, null, true, "{"]}}}</tool_call>',
        '<tool_call>{"name": "now", "arguments": {}} trailing</tool_call> rest',
        '<tool_call>{"name": "now", "arguments": {"a": "👩‍👩‍👧',
        '<tool_call>{"name": "now", "arguments": {"a": "\\u00e9\\ud83d\\ude00"}}',
        "<tool_call></tool_call>x<tool_call>nothing</tool_call>",
        '<tool_call>{"name": "now", "arguments": [1]}</tool_call>',
        '<tool_call>{"arguments": {}}</tool_call>',
        '<tool_call>{"name": "now", "args": {"a": 1}}</tool_call>',
        "<<tool_call>><tool_call><tool_call>{}</tool_call>",
        '<tool_call>{"id": "call-7", "name": "now", "arguments": {"name": "x", "arguments": {"deep": 1}}}</tool_call>',
        "no tags at all: 1 < 2, שלום, 你好, 🇫🇷.",
        "<tool_call>" + '{"name": "now", "arguments": {"a": ' + "[" * 40 + "]" * 40 + "}}</tool_call>",
    ],
    "qwen3_coder": [
        "I look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nNew York\n</parameter>\n<parameter=days>\n3\n"
        "</parameter>\n<parameter=exact>\nTrue\n</parameter>\n<parameter=limit>\n2.50\n</parameter>\n<parameter=zip>\n"
        "01234\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>\n<function=search>\n<parameter=query>\nline one\n\n  line <b>two</b> 🦀\n\n</parameter>\n"
        '<parameter=filters>\n{"a": [1, {"b": null}], \'c\': 1}\n</parameter>\n<parameter=tags>\n[\'x\', "y", 3]\n</parameter>\n'
        "<parameter=page>\n2\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>\n<function=now>\n</function>\n</tool_call><tool_call><function=now></function></tool_call>",
        "<tool_call>\n<function=draw>\n<parameter=color>\nred\n</parameter>\n<parameter=shape>\n[1, 2]\n</parameter>\n"
        "<parameter=free>\n5\n</parameter>\n<parameter=opacity>\n1e2\n</parameter>\n<parameter=unknown>\n5\n</parameter>\n"
        "<parameter=size>\nNULL\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>\n<function=get_weather>\n<parameter=days>\nthree\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>\n<function=get_weather>\n<parameter=days>\n2.5\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>\n<function=get_weather>\n<parameter=days>\n 4.0 \n</parameter>\n<parameter=limit>7</parameter>\n</function>",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nPar",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</tool_call> text",
        "<think>\nwhy\n</think>\n\n<tool_call>\n<function=search>\n<parameter=filters>\n{'a': (1, 2), 'b': True, 3: None,}\n"
        '</parameter>\n<parameter=tags>\n["a\nb"]\n</parameter>\n</function>\n</tool_call>',
    ],
    "mistral": [
        'Bonjour [TOOL_CALLS]get_weather[ARGS]{"city": "Nîmes", "days": 2}',
        '[TOOL_CALLS]get_weather[ARGS]{"city": "a"}[TOOL_CALLS]now[ARGS]{}',
        '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "]"}, "id": "abcDEF123"}, {"name": "now"}]',
        '[TOOL_CALLS][{"name": "now", "arguments": "{\\"a\\": 1}"}]',
        '[TOOL_CALLS]get-weather [ARGS] {"city": "[ARGS]{}"}',
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Par',
        '[TOOL_CALLS][{"name": 3}]',
        "[TOOL_CALL] is no tag, [TOOL_CALLS",
        "[TOOL_CALLS]nothing here",
        '[TOOL_CALLS]a[ARGS]{"x": 1}b[ARGS]{"y": [',
    ],
    "pythonic": [
        'Sure.<|tool_call_start|>[get_weather(city="Paris", days=3)]<|tool_call_end|>Done.',
        "<|tool_call_start|>[get_weather(city='Köln', exact=True), now()]<|tool_call_end|>",
        '<|tool_call_start|>[search(query="it\'s", filters={\'a\': [1, -2.5, None], "b": {"c": true}}, tags=[], page=null)]<|tool_call_end|>',
        '<|tool_call_start|>[a.b.search(query="""two\nlines""", tags=("x", "y"), page=0x1F)]<|tool_call_end|>',
        "<|tool_call_start|>[get_weather(city=New York, days=3)]<|tool_call_end|>",
        '<|tool_call_start|>[get_weather("Paris")]<|tool_call_end|>',
        "<|tool_call_start|>get_weather(city='Paris')<|tool_call_end|>",
        "<|tool_call_start|>[get_weather(city='Par",
        "<|tool_call_start|>[get_weather(city='\\u00e9\\n\\t\\x41\\'', days=1_000)]",
        "<|tool_call_start|>[]<|tool_call_end|>",
        "<|tool_call_start|>[search(query='a' 'b', tags=[1,2,], page=1e3)]<|tool_call_end|>",
        "<|tool_call_start|>[search(query=a=b, page='7')]<|tool_call_end|>",
    ],
    "function_gemma": [
        "<start_function_call>call:get_weather{city:<escape>Paris, France<escape>,days:3}<end_function_call>",
        "<start_function_call>call:get_weather{exact:true,limit:2.5,zip:abc,city:<escape><escape>}<end_function_call>ok",
        "<start_function_call>call:now{}<end_function_call><start_function_call>call:now{}<end_function_call>",
        "<start_function_call>call:get_weather{city}<end_function_call>",
        "<start_function_call>get_weather<end_function_call>",
        "<start_function_call>call:get_weather{city:<escape>Par",
        "<start_function_call>call:get_weather{city:<escape>حلب<escape>}",
    ],
    "gemma4": [
        'Ok <|tool_call>call:get_weather{city:<|"|>Paris "x"<|"|>,days:3}<tool_call|>.',
        '<|tool_call>call:search{query:<|"|>a, b: {c}<|"|>,filters:{a:[1,2,{b:null}],c:true},tags:[<|"|>x<|"|>,<|"|>y\n<|"|>]}<tool_call|>',
        '<|tool_call>call:now{}call:get-weather{city:<|"|>🏙️<|"|>}<tool_call|>',
        "<|channel>thought\nhm <|tool\n<channel|><|tool_call>call:now{}<tool_call|>after",
        '<|tool_call>call:get_weather{city:<|"|>Par',
        "<|tool_call>call:get_weather{city:Paris}<tool_call|>",
        "<|tool_call>call:get_weather{city:<|x<tool_call|>",
        "<|tool_call>nothing<tool_call|>",
    ],
    "glm47": [
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n<arg_key>days</arg_key>\n"
        "<arg_value>3</arg_value>\n<arg_key>zip</arg_key><arg_value>01234</arg_value>\n</tool_call>",
        "<tool_call>search<arg_key>query</arg_key>\\n<arg_value>5</arg_value><arg_key>filters</arg_key>"
        "<arg_value>{'a': (1, 2), 'b': None}</arg_value><arg_key>tags</arg_key><arg_value>[\"é\", 1.5]</arg_value></tool_call>",
        "<think>so</think><tool_call>now</tool_call>",
        '<tool_call>{"name": "get_weather", "arguments": {"city": 5, "days": "3"}}</tool_call>',
        '<tool_call>[{"function": "get_weather", "arguments": "{\\"city\\": \\"Bonn\\"}"}]</tool_call>',
        '<tool_call>{"tool": {"name": "get_weather", "arguments": {"city": true}}}</tool_call>',
        '<tool_call>{"function": {"name": "now", "arguments": {"a": "1"}}, "arguments": null}</tool_call>',
        "<tool_call>get_weather city='New York' days=3 zip=007</tool_call>",
        '<tool_call>get_weather\n{"city": "Oslo", "days": "2"}</tool_call>',
        '<tool_call>get_weather {"city": "Oslo"}</tool_call>',
        "<tool_call>get_weather somewhere nice</tool_call>",
        '<tool_call>get_weather city="a \\" b" days="1\\n2"</tool_call>',
        "<tool_call> </tool_call>",
        '<tool_call>{"name": "now", "args":{"a": 1}}</tool_call>',
        "<tool_call>now<arg_key>a</arg_key><arg>1</arg_value><arg_key>b</arg_key><arg_value>2</arg_value></tool_call>",
        "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Bonn</arg_value><arg_key>da",
        "<tool_call>draw<arg_key>size</arg_key><arg_value>1, 2</arg_value><arg_key>color</arg_key><arg_value>0123</arg_value>"
        "<arg_key>free</arg_key><arg_value>2024-10-11</arg_value><arg_key>shape</arg_key><arg_value>-0x10</arg_value></tool_call>",
    ],
    "longcat": [
        "<longcat_tool_call>get_weather\n<longcat_arg_key>city</longcat_arg_key>\n<longcat_arg_value>12</longcat_arg_value>\n"
        "<longcat_arg_key>days</longcat_arg_key><longcat_arg_value>12</longcat_arg_value></longcat_tool_call>",
        '<longcat_think>x</longcat_think><longcat_tool_call>{"name": "now", "arguments": {}}</longcat_tool_call>',
    ],
    "kimi_k2": [
        "Hi<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        '{"city": "北京", "days": 2}<|tool_call_end|><|tool_call_begin|>now:1<|tool_call_argument_begin|> {} <|tool_call_end|>'
        "<|tool_calls_section_end|>bye",
        '<|tool_calls_section_begin|>functions.a.b:12 <|tool_call_argument_begin|>{"x": 1}<|tool_calls_section_end|>',
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>{'a': True}<|tool_call_end|>"
        "<|tool_calls_section_end|>",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.now<|tool_call_argument_begin|>{}<|tool_call_end|>"
        "<|tool_calls_section_end|>",
        "<|tool_calls_section_begin|>now:0<|tool_call_argument_begin|>{oops<|tool_calls_section_end|>",
        '<|tool_calls_section_begin|><|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>{"a": 1}<|tool_call_end|>',
    ],
    "minimax_m2": [
        '<think>\nhm\n</think>\n<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Rome & <x></parameter>\n'
        '<parameter name="days">3</parameter>\n<parameter name="exact">yes</parameter>\n<parameter name="limit">2.0</parameter>\n'
        "</invoke>\n</minimax:tool_call>",
        '<minimax:tool_call><invoke name="now"></invoke><invoke name=\'search\'><parameter name="filters">{"a": "b\nc"}</parameter>'
        '<parameter name="tags">[1, \'x\']</parameter><parameter name="page">none</parameter><parameter name="query">null</parameter>'
        "</invoke></minimax:tool_call>",
        '<minimax:tool_call><invoke name="draw"><parameter name="color">7</parameter><parameter name="size">big</parameter>'
        '<parameter name="shape">1</parameter><parameter name="opacity">+1_0.25</parameter><parameter name="new">1</parameter>'
        "</invoke></minimax:tool_call>",
        '<minimax:tool_call><invoke name="get_weather"><parameter name="days">soon</parameter></invoke></minimax:tool_call>',
        '<minimax:tool_call><invoke name="get_weather"><parameter name="days">123456789012</parameter></invoke>',
        "<minimax:tool_call></minimax:tool_call>",
    ],
    "minicpm5": [
        '<function name="get_weather"><param name="city">Lyon</param><param name="days">3</param></function> and '
        "<function name='now'></function>",
        '<function name="search"><param name="query"><![CDATA[a < b && c\n]]></param><param  name = tags>["x"]</param></function>',
        '<function name="get_weather"><param name="city">Ly',
    ],
}

# what mlx-lm takes for a call and we for text
DIFFERENT = {
    '<function name="get_weather"><param name="city">Ly': "an unfinished call",
    "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Bonn</arg_value><arg_key>da": "an unfinished call",
    "<tool_call> </tool_call>": "a call without a name",
    '<tool_call>{"name": "now", "args": {"a": 1}}</tool_call>': "a call whose arguments cannot be found",
    '<tool_call>{"name": "now", "args":{"a": 1}}</tool_call>': "a call whose arguments cannot be found",
    "<tool_call>now<arg_key>a</arg_key><arg>1</arg_value><arg_key>b</arg_key><arg_value>2</arg_value></tool_call>": (
        "a malformed argument"
    ),
    '<tool_call>{"name": "now", "arguments": [1]}</tool_call>': "arguments that are no object",
    '<tool_call>{"arguments": {}}</tool_call>': "a call without a name",
    "<|tool_calls_section_begin|>now:0<|tool_call_argument_begin|>{oops<|tool_calls_section_end|>": "malformed arguments",
}

# what we take for other calls than mlx-lm: (parser, index in CASES) to the reason and the calls
OURS = {
    ("qwen3_coder", 3): (
        "null is not allowed by the schema of `size`",
        [
            {
                "name": "draw",
                "arguments": {
                    "color": "red",
                    "shape": [1, 2],
                    "free": "5",
                    "opacity": 100,
                    "unknown": "5",
                    "size": "NULL",
                },
            }
        ],
    ),
    ("qwen3_coder", 4): (
        "a value that does not fit its schema stays a text",
        [{"name": "get_weather", "arguments": {"days": "three"}}],
    ),
    ("qwen3_coder", 5): (
        "a value that does not fit its schema stays a text",
        [{"name": "get_weather", "arguments": {"days": "2.5"}}],
    ),
    ("qwen3_coder", 8): (
        "only </function> was left out",
        [{"name": "get_weather", "arguments": {"city": "Paris"}}],
    ),
    ("glm47", 16): (
        "the schema of `size` allows strings",
        [{"name": "draw", "arguments": {"size": "1, 2", "color": "0123", "free": "2024-10-11", "shape": -16}}],
    ),
    ("minimax_m2", 1): (
        "`query` is a string",
        [
            {"name": "now", "arguments": {}},
            {
                "name": "search",
                "arguments": {"filters": {"a": "b\nc"}, "tags": [1, "x"], "page": None, "query": "null"},
            },
        ],
    ),
}

TEMPLATES = [
    "x <minimax:tool_call> y",
    "<|tool_call>call:{{ n }}<tool_call|>",
    "<start_function_call>",
    "<longcat_tool_call>",
    "<tool_call>{{ tool_call.name }}<arg_key>",
    "<|tool_list_start|>",
    "<tool_call>\\n<function={{ n }}>",
    "<tool_call>\n<function={{ n }}>",
    "<|tool_calls_section_begin|>",
    '<function name="x"><param name="y">',
    "[TOOL_CALLS]",
    "<tool_call>{{ tool_call.name }}",
    "<tool_call>{{ other.name }}",
    "nothing",
]


def _tags(name):
    tags = {"gemma4": ("<|channel>thought", "<channel|>"), "longcat": ("<longcat_think>", "</longcat_think>")}
    return tags.get(name, ("<think>", "</think>"))


def _case(name, text):
    module = importlib.import_module(f"mlx_lm.tool_parsers.{name}")
    start, end = _tags(name)
    tokenizer = SimpleNamespace(
        has_thinking=True,
        think_start=start,
        think_end=end,
        has_tool_calling=True,
        tool_call_start=module.tool_call_start,
        tool_call_end=module.tool_call_end,
        response_transitions={},
        structural_markers=(),
    )
    state = make_text_state_machine(tokenizer).make_state()
    state, segments = TextStateMachine.split(state, text)
    state, rest, last = TextStateMachine.flush(state)
    segments.append((last, rest))
    out = {"text": "", "reasoning": "", "tool": ""}
    calls, failed = [], []

    def end_section():
        section, out["tool"] = out["tool"], ""
        try:
            parsed = module.parse_tool_call(section, TOOLS)
            found = parsed if isinstance(parsed, list) else [parsed]
            calls.extend(json.loads(json.dumps(found)))
        except Exception:  # noqa: BLE001
            failed.append(section)

    previous = "normal"
    for current, part in segments:
        if previous == "tool" and current != "tool":
            end_section()
        out[{"normal": "text"}.get(current, current)] += part
        previous = current
    if previous == "tool":
        end_section()
    case = {"parser": name, "output": text, "text": out["text"], "reasoning": out["reasoning"], "calls": calls}
    case |= {"failed": failed} if failed else {}
    ours = OURS.get((name, CASES[name].index(text)))
    case |= {"ours": {"calls": ours[1], "reason": ours[0]}} if ours else {}
    return case | ({"differs": DIFFERENT[text]} if text in DIFFERENT else {})


def _inferred(template):
    return infer_tool_parser(SimpleNamespace(chat_template=template, get_vocab=dict))


def make():
    """All of tool-calls.json."""
    return {
        "tools": TOOLS,
        "templates": [{"template": template, "parser": _inferred(template)} for template in TEMPLATES],
        "cases": [_case(name, text) for name, texts in CASES.items() for text in texts],
    }


def write(folder):
    """Writes tool-calls.json into a folder."""
    made = json.dumps(make(), ensure_ascii=False, indent=1)
    (folder / "tool-calls.json").write_text(made + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(FIXTURES)
