# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Tiny tokenizers of every kind that mlx-lm loads: the files of a model's folder for each.

Their vocabularies come from a text of our own, with as few tokens as tell the kinds apart. Tokenizers share
them: `"model": {"from": NAME, ...}` in a tokenizer.json stands for MODELS[NAME] with the other fields changed.
"""

import base64
import io
import math
import tempfile
from collections import Counter
from pathlib import Path

import sentencepiece

from tiny_tokenizer import TEXT, byte_characters, train

CORPUS = (
    TEXT
    + """
Don't they'll we've I'm she'd it's. HELLO World iPhone 12 345 6789, 3.14 -> (x) {y}; a  b   c    d.
def main():\n    return "one" + 'two'\n\n\tprint(x)\n
Größe café naïve déjà-vu Ελληνικά русский язык 日本語 中文 한국어 नमस्ते العربية עברית 😀 👍
user assistant system tool think
"""
)
ALPHABET = sorted(set(CORPUS) - set("\n\t "))
SPACE = "\u2581"

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n<think>' }}{%- endif -%}"
)
LLAMA2 = (
    "{{ bos_token }}{%- for message in messages -%}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{%- endfor -%}"
)


def _bpe(first, symbols, merges, **fields):
    tokens = [*first, *symbols, *(left + right for left, right in merges)]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return (
        {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False, "byte_fallback": False}
        | fields
        | {
            "vocab": vocab,
            "merges": [list(pair) for pair in merges],
        }
    )


def _byte_level():
    characters = byte_characters()
    words = [[characters[byte] for byte in (" " + word).encode()] for word in CORPUS.split()]
    merges = train(words, characters, 90)
    # whitespace and digits, where the regular expressions differ
    extra = ["ĠĠ", "ĊĊ", "ĠĊ", "12", "34", "345", "ĉĉ", "'s", "'S", "!!", ">Ċ"]
    merges += [(token[:-1], token[-1]) for token in extra]
    # the border between a letter and a combining mark
    letter, mark = [[characters[byte] for byte in part.encode()] for part in ("\u0938", "\u094d")]
    merges.append((letter[-1], mark[0] + mark[1]))
    model = _bpe([], characters, list(dict.fromkeys(merges)))
    # a word that only `ignore_merges` finds
    model["vocab"]["ĠYes"] = len(model["vocab"])
    return model


def _sentencepiece(first, **fields):
    words = [list(SPACE + word) for word in CORPUS.split()]
    symbols = [SPACE, "\n", *ALPHABET]
    merges = train(words, symbols, 80) + [(SPACE, SPACE), (SPACE * 2, SPACE * 2), ("\n", "\n")]
    return _bpe(first, symbols, merges, **fields)


def _unigram(first, bytes_=()):
    counts = Counter()
    for word in (SPACE + word for word in CORPUS.split()):
        counts.update(
            word[start:end] for start in range(len(word)) for end in range(start + 1, min(start + 7, len(word) + 1))
        )
    pieces = [(piece, count) for piece, count in counts.items() if count > 2 or len(piece) == 1]
    pieces = sorted(pieces, key=lambda pair: (-pair[1] * len(pair[0]) ** 2, pair[0]))[:200]
    known = {piece for piece, _ in pieces}
    pieces += [(letter, 1) for letter in [SPACE, *ALPHABET] if letter not in known]
    total = sum(count for _, count in pieces)
    vocab = [[token, 0.0] for token in [*first, *bytes_]]
    return {
        "type": "Unigram",
        "unk_id": first.index("<unk>"),
        "vocab": vocab + [[piece, round(math.log(count / total), 4)] for piece, count in pieces],
        "byte_fallback": bool(bytes_),
    }


def charsmap():
    """A normalizer as sentencepiece compiles it, from a few rules of our own."""
    rules = {
        "\ufb01": "fi",
        "\uff21": "A",
        "\u2460": "1",
        "e\u0301": "\u00e9",
        "\t": " ",
        "\u3000": " ",
        "\u2026": "...",
        "\u200b": "",
        "\u00bd": "1/2",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.tsv"
        hexadecimal = lambda text: " ".join(f"{ord(letter):X}" for letter in text)  # noqa: E731
        path.write_text("".join(f"{hexadecimal(left)}\t{hexadecimal(right)}\n" for left, right in rules.items()))
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS.split("\n")),
            model_writer=model,
            vocab_size=120,
            hard_vocab_limit=False,
            normalization_rule_tsv=str(path),
            minloglevel=2,
        )
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    return base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORDS = sorted(set(CORPUS.lower().split()), key=lambda word: (len(word), word))
MODELS = {
    "byte-level": _byte_level(),
    "sentencepiece": _sentencepiece(
        ["<unk>", "<s>", "</s>", *BYTES], byte_fallback=True, fuse_unk=True, unk_token="<unk>"
    ),
    "gemma": _sentencepiece(
        ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *BYTES], byte_fallback=True, fuse_unk=True, unk_token="<unk>"
    ),
    "unigram": _unigram(["<s>", "<pad>", "</s>", "<unk>"]),
    "unigram-bytes": _unigram(["<pad>", "</s>", "<unk>"], BYTES),
    "wordpiece": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {
            token: index
            for index, token in enumerate(
                dict.fromkeys(
                    [
                        "[PAD]",
                        "[UNK]",
                        "[CLS]",
                        "[SEP]",
                        *WORDS[:60],
                        *ALPHABET,
                        *("##" + letter for letter in ALPHABET),
                    ]
                    + ["##ing", "##s", "##le", "##el", "mod"]
                )
            )
        },
    },
    "wordlevel": {
        "type": "WordLevel",
        "unk_token": "<unk>",
        "vocab": {token: index for index, token in enumerate(["<unk>", "</s>", *WORDS, *".,!?()'\""])},
    },
    "end-of-word": None,
}


def _end_of_word():
    words = [[*word[:-1], word[-1] + "</w>"] for word in CORPUS.lower().split()]
    symbols = sorted({symbol for word in words for symbol in word} | set("".join(CORPUS.lower().split())))
    return _bpe(["<unk>"], symbols, train(words, symbols, 60), unk_token="<unk>", end_of_word_suffix="</w>")


MODELS["end-of-word"] = _end_of_word()


def added(name, *contents, special=True, start=None, **flags):
    """Added tokens, with the ids that they have in the vocabulary or get behind it."""
    vocab = MODELS[name]["vocab"]
    ids = {token[0]: index for index, token in enumerate(vocab)} if isinstance(vocab, list) else vocab
    following = iter(range(len(ids) if start is None else start, 1 << 20))
    standard = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special}
    return [
        {"id": ids[content] if content in ids else next(following), "content": content} | standard | flags
        for content in contents
    ]


def after(*groups):
    """Added tokens in the order of their ids, each group behind the one before."""
    return sorted((token for group in groups for token in group), key=lambda token: token["id"])


def tokenizer_json(name, tokens, *, model=None, **parts):
    empty = dict.fromkeys(("normalizer", "pre_tokenizer", "post_processor", "decoder"))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": tokens,
        **empty,
        **parts,
        "model": {"from": name} | (model or {}),
    }


def decoder_map(tokens):
    """`added_tokens_decoder` of tokenizer_config.json."""
    return {str(token["id"]): {key: token[key] for key in token if key != "id"} for token in tokens}


def byte_level(use_regex=True, add_prefix_space=False):
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True, "use_regex": use_regex}


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def sequence(key, *parts):
    return {"type": "Sequence", key: list(parts)}


def replace(pattern, content):
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


def metaspace(**fields):
    return {"type": "Metaspace", "replacement": SPACE, **fields}


def template(tokens, *around):
    """A post-processor: token contents and "$A"."""
    ids = {token["content"]: token["id"] for token in tokens}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    single = [text if part == "$A" else {"SpecialToken": {"id": part, "type_id": 0}} for part in around]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {part: {"id": part, "ids": [ids[part]], "tokens": [part]} for part in around if part != "$A"},
    }


def spm_decoder(strip=True):
    parts = [replace(SPACE, " "), {"type": "ByteFallback"}, {"type": "Fuse"}]
    return sequence("decoders", *parts, *([{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if strip else []))


KINDS = {}


def kind(name, model_type, tokenizer, config=None, **files):
    """Registers a tokenizer. Without a config the folder has no tokenizer_config.json."""
    made = {"config.json": {"model_type": model_type}, "tokenizer.json": tokenizer, "tokenizer_config.json": config}
    made |= {name.replace("__", "."): content for name, content in files.items()}
    KINDS[name] = {file: content for file, content in made.items() if content is not None}


def typed(token):
    """An added token as tokenizer_config.json writes it."""
    return {"__type": "AddedToken"} | {key: value for key, value in token.items() if key not in ("id", "special")}
