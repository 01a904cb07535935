# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""A tiny byte-level BPE tokenizer with a ChatML template, built from a text of our own.

256 byte tokens, as many merges as the vocabulary has room for, and three special tokens at its end.
"""

from collections import Counter
from itertools import pairwise

from models import write_json

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXT = """
The little model reads the text one token at a time and then says the next one. It says the same thing
every time, because the weights are the same every time. When the answer is the same on the other side,
then the other side is right, and when it is not, then there is a mistake to find.
Das kleine Modell liest den Text und schreibt dann weiter.
"""
MESSAGES = [
    {"role": "system", "content": "Answer in one line."},
    {"role": "user", "content": "Is it the same? ¿Sí? 🦀"},
]
TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)


def byte_characters():
    """The printable character that stands for each byte in a byte-level vocabulary."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    shown, spare = {byte: chr(byte) for byte in plain}, 0x100
    for byte in range(256):
        if byte not in shown:
            shown[byte] = chr(spare)
            spare += 1
    return [shown[byte] for byte in range(256)]


def _merged(word, pair):
    out, index = [], 0
    while index < len(word):
        if tuple(word[index : index + 2]) == pair:
            out.append(pair[0] + pair[1])
            index += 2
        else:
            out.append(word[index])
            index += 1
    return out


def train(words, symbols, count):
    """Merges of the most frequent pairs, greedily; ties go to the first in alphabetical order."""
    found, tokens = [], set(symbols)
    while len(found) < count:
        pairs = Counter(pair for word in words for pair in pairwise(word))
        pair = min(pairs, key=lambda pair: (-pairs[pair], pair))
        words = [_merged(word, pair) for word in words]
        # one token may come about in two ways, but has one id
        if pair[0] + pair[1] not in tokens:
            tokens.add(pair[0] + pair[1])
            found.append(pair)
    return found


def save(folder, vocab_size, max_length):
    """Writes tokenizer.json, tokenizer_config.json and generation_config.json."""
    characters = byte_characters()
    words = [[characters[byte] for byte in (" " + word).encode()] for word in TEXT.split()]
    merges = train(words, characters, vocab_size - len(characters) - len(SPECIALS))
    tokens = characters + [left + right for left, right in merges]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": len(tokens) + index, "content": text, **flags} for index, text in enumerate(SPECIALS)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [list(pair) for pair in merges],
        },
    }
    ids = {entry["content"]: entry["id"] for entry in added}
    write_json(folder / "tokenizer.json", tokenizer)
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_bos_token": False,
            "bos_token": None,
            "eos_token": SPECIALS[2],
            "pad_token": SPECIALS[0],
            "clean_up_tokenization_spaces": False,
            "model_max_length": max_length,
            "added_tokens_decoder": {
                str(entry["id"]): {key: value for key, value in entry.items() if key != "id"} for entry in added
            },
            "chat_template": TEMPLATE,
        },
    )
    stops = [ids[SPECIALS[2]], ids[SPECIALS[0]]]
    write_json(folder / "generation_config.json", {"eos_token_id": stops, "pad_token_id": stops[1]})


def chat(tokenizer):
    """What transformers makes of our messages: the text, its ids, and the text decoded again."""
    options = {"add_generation_prompt": True}
    text = tokenizer.apply_chat_template(MESSAGES, tokenize=False, **options)
    ids = [int(token) for token in tokenizer.encode(text, add_special_tokens=False)]
    return {"messages": MESSAGES, "text": text, "ids": ids, "decoded": tokenizer.decode(ids)}
