# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""What transformers makes of some hundred texts and some conversations with published tokenizers.

    node scripts/tokenizers.mjs                                    # fetches the tokenizers
    target/oracle/bin/python tools/parity/real_tokenizers.py       # into __test__/tokenizers

texts.json holds the texts, and the conversations with the options of their templates. NAME.json has for each text its
`ids` with the special tokens around it, and under `decoded`, by the number of the text, what the ids become again
without special tokens where that is another text; and each conversation, `rendered`, or null if the template fails.
"""

import argparse
import json
import os
import random
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

from transformers import AutoTokenizer  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
TOKENIZERS = ROOT / "target" / "tokenizers"
OUT = ROOT / "__test__" / "tokenizers"
COUNT = 300

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "I'll say it's theirs, they've said it isn't; WE'RE sure.",
    "Größe, Straße, Übermut: 12,50 € am 3.10.2026!",
    "L'été où l'on s'aimait, à Noël déjà.",
    "¿Qué pasó en el año 1984? ¡Nada!",
    "Zażółć gęślą jaźń, powiedział Łukasz.",
    "Съешь ещё этих мягких французских булок",
    "Η γρήγορη αλεπού πηδάει.",
    "敏捷的棕色狐狸跳过了懒狗。",
    "すばやい茶色の狐がのろまな犬を飛び越える。",
    "다람쥐 헌 쳇바퀴에 타고파",
    "שועל חום זריז קפץ",
    "الثعلب البني السريع ١٢٣",
    "तेज़ भूरी लोमड़ी कूदती है",
    "ลูกหมาสีน้ำตาล",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 ☺️ 🇩🇪",
    "e\u0301 u\u0308 \u1e9b\u0323 \ufb01 \u2460 Å",
    "zero\u200bwidth\u200djoiner\ufeffmark soft\u00adhyphen",
    "a\tb\t\tc\r\nd\n\n\n  e   \n",
    "   leading and trailing   ",
    "\u00a0non-breaking\u2003em\u3000ideographic",
    "1234567890 3.14159 1e-10 0xDEADBEEF 1_000_000 ½ ² Ⅷ",
    'def f(x: int) -> str:\n    return f"{x!r:>8}"  # comment\n',
    "for (let i = 0; i < n; i++) { a[i] ??= b?.c ?? `${d}`; }",
    "<div class=\"a b\" data-x='1'>&amp;&nbsp;</div>",
    "SELECT * FROM t WHERE a >= 10 AND b LIKE '%x%';",
    "https://example.org/a/b?c=d&e=%20f#g user@example.com",
    '{"a": [1, 2.5, null, true], "b": {"c": "\\u00e9\\n"}}',
    "$$\\int_0^\\infty e^{-x^2} dx = \\frac{\\sqrt{\\pi}}{2}$$",
    "# Title\n\n- one\n- **two**\n\n| a | b |\n|---|---|\n",
    "Donaudampfschifffahrtsgesellschaftskapitän",
    "aaaaaaaaaaaaaaaaaaaaaaaa!!!!!!!!!!!!????....----====",
    "camelCaseAndPascalCase snake_case SCREAMING_CASE kebab-case",
    "<|im_start|>user<|im_end|><|endoftext|><|eot_id|><|begin_of_text|>",
    "<bos><start_of_turn>user\nHi<end_of_turn><eos><unk><pad>",
    "<|start|>assistant<|channel|>final<|message|>x<|return|>",
    "<think>\nno\n</think><tool_call>{}</tool_call>",
    "\u0000\u0001\u007f\u0085 control",
    "",
    " ",
]
# what texts are joined with
GLUE = ["", " ", "\n", "  ", "\n\n", "\t", ", ", "。"]

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Its name"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
USER = {"role": "user", "content": "Wie ist das Wetter in Köln? <b>\"&'</b>"}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2}}}],
}
RESULT = {"role": "tool", "name": "get_weather", "content": '{"sky": "grey"}'}
ANSWER = {"role": "assistant", "content": "Grau.\n\nWie immer."}
SYSTEM = {"role": "system", "content": "Answer in one word."}
CONVERSATIONS = [
    {"messages": [USER]},
    {"messages": [USER], "add_generation_prompt": True},
    {"messages": [SYSTEM, USER], "add_generation_prompt": True},
    {"messages": [SYSTEM, USER, ANSWER, USER], "add_generation_prompt": True},
    {"messages": [USER, ANSWER]},
    {"messages": [USER], "tools": [WEATHER], "add_generation_prompt": True},
    {"messages": [SYSTEM, USER, CALL, RESULT], "tools": [WEATHER], "add_generation_prompt": True},
    {"messages": [USER, CALL, RESULT, ANSWER, USER], "tools": [WEATHER], "add_generation_prompt": True},
]


def make_texts():
    """The sentences, and random pieces of them put together."""
    rng = random.Random("texts")
    texts = list(SENTENCES)
    while len(texts) < COUNT:
        parts = []
        for _ in range(rng.randint(1, 4)):
            text = rng.choice(SENTENCES)
            begin = rng.randint(0, len(text))
            parts.append(text[begin : begin + rng.randint(1, 14)])
        text = rng.choice(GLUE).join(parts)
        if text not in texts:
            texts.append(text)
    return texts


def render(tokenizer, conversation):
    options = dict(conversation)
    try:
        return tokenizer.apply_chat_template(options.pop("messages"), tokenize=False, **options)
    except Exception:
        return None


def golden(tokenizer, texts):
    ids = [tokenizer(text)["input_ids"] for text in texts]
    decoded = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
    made = {
        "ids": ids,
        "decoded": {
            index: text for index, (text, source) in enumerate(zip(decoded, texts, strict=True)) if text != source
        },
    }
    if tokenizer.chat_template:
        made["rendered"] = [render(tokenizer, conversation) for conversation in CONVERSATIONS]
    return made


def write(out, name, made):
    text = json.dumps(made, ensure_ascii=True, separators=(",", ":"))
    (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description="Records what transformers makes of texts with published tokenizers.")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    out = parser.parse_args().out
    out.mkdir(exist_ok=True)
    texts = make_texts()
    write(out, "texts", {"texts": texts, "conversations": CONVERSATIONS})
    for folder in sorted(TOKENIZERS.iterdir()):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        made = golden(tokenizer, texts)
        write(out, folder.name, made)
        print(f"{folder.name}: {type(tokenizer).__name__}, {sum(map(len, made['ids']))} tokens")


if __name__ == "__main__":
    main()
