# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The tokenizers whose behaviour is compared with mlx-lm's: for each the files of a model's folder."""

import copy

import tokenizer_configs
from tiny_tokenizers import (
    CHATML,
    KINDS,
    LLAMA2,
    LLAMA3,
    O200K,
    QWEN2,
    SPACE,
    added,
    after,
    byte_level,
    charsmap,
    decoder_map,
    kind,
    metaspace,
    replace,
    sequence,
    split,
    spm_decoder,
    template,
    tokenizer_json,
    typed,
)


def _byte_level():
    name = "byte-level"
    end = added(name, "<|endoftext|>")
    chat = added(name, "<|endoftext|>", "<|im_start|>", "<|im_end|>")
    plain = added(name, "<think>", "</think>", "<tool_call>", special=False, normalized=False, start=chat[-1]["id"] + 1)
    chat = after(chat, plain)
    config = {"eos_token": "<|im_end|>", "chat_template": CHATML, "added_tokens_decoder": decoder_map(chat)}
    parts = {"pre_tokenizer": byte_level(), "decoder": byte_level()}

    def split_by(regex):
        return sequence("pretokenizers", split(regex), byte_level(use_regex=False))

    trimmed = {**parts, "post_processor": byte_level()}
    kind("gpt2", "llama", tokenizer_json(name, end, **trimmed), {"eos_token": "<|endoftext|>"})
    kind("no config", "llama", tokenizer_json(name, chat, **parts))
    digits = sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, byte_level())
    smol = tokenizer_json(name, chat, **parts | {"pre_tokenizer": digits})
    named = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    kind("GPT2Tokenizer", "llama", smol, named)
    kind("GPT2Tokenizer, prefix space", "llama", smol, named | {"add_prefix_space": True})
    kind("digits", "smollm3", smol, {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"})
    bos = added(name, "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|reserved_special_token_0|>")
    begin = template(bos, "<|begin_of_text|>", "$A")
    llama3 = tokenizer_json(
        name,
        bos,
        model={"ignore_merges": True},
        pre_tokenizer=split_by(LLAMA3),
        decoder=byte_level(),
        post_processor=sequence("processors", byte_level(), begin),
    )
    names = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "added_tokens_decoder": decoder_map(bos)}
    # cleaning spaces up is not for BPE
    cleaning = {"clean_up_tokenization_spaces": True, "add_bos_token": False}
    kind("llama3", "llama", llama3, names | cleaning | {"tokenizer_class": "PreTrainedTokenizerFast"})
    kind("byte-level LlamaTokenizer", "llama", llama3, names | {"tokenizer_class": "LlamaTokenizerFast"})
    kind("gpt-neox", "llama", llama3, names | {"tokenizer_class": "GPTNeoXTokenizer", "add_bos_token": True})
    qwen2 = tokenizer_json(
        name,
        chat,
        normalizer={"type": "NFC"},
        pre_tokenizer=split_by(QWEN2),
        decoder=byte_level(),
        post_processor=byte_level(),
    )
    kind(
        "qwen2",
        "qwen2",
        qwen2,
        config | {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "bos_token": None},
    )
    kind("qwen2 as llama", "qwen2", llama3, names | {"tokenizer_class": "LlamaTokenizerFast"})
    kind("qwen3", "qwen3", qwen2, config | {"tokenizer_class": "Qwen2TokenizerFast", "split_special_tokens": False})
    other = tokenizer_json(name, chat, pre_tokenizer=split_by(O200K), decoder=byte_level())
    kind("qwen3, another class", "qwen3", other, config | {"tokenizer_class": "PreTrainedTokenizerFast"})
    kind("qwen3, no class", "qwen3", other, config)
    kind("qwen3_5", "qwen3_5", qwen2, config | {"tokenizer_class": "Qwen2Tokenizer"})
    kind("gpt_oss", "gpt_oss", other, config | {"tokenizer_class": "PreTrainedTokenizerFast"})
    kind("tekken", "mistral3", llama3, names | {"tokenizer_class": "LlamaTokenizerFast"})
    codegen = {"tokenizer_class": "CodeGenTokenizer", "unk_token": "<|endoftext|>", "add_prefix_space": False}
    kind("codegen", "phi", tokenizer_json(name, end, **trimmed), codegen)
    falcon = sequence(
        "pretokenizers",
        {"type": "Punctuation", "behavior": "Contiguous"},
        byte_level(),
        {"type": "Digits", "individual_digits": False},
        split("[0-9][0-9][0-9]"),
    )
    kind("falcon", "llama", tokenizer_json(name, end, pre_tokenizer=falcon, decoder=byte_level()))
    deepseek = sequence(
        "pretokenizers",
        split("[\r\n]"),
        split(r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓ]+"),
        split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
        split(r"\s+$"),
        split("[一-龥ࠀ-一가-퟿]+"),
        {"type": "Digits", "individual_digits": True},
        byte_level(use_regex=False),
    )
    wide = added(name, "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", special=True)
    kind(
        "deepseek",
        "llama",
        tokenizer_json(
            name,
            wide,
            normalizer=sequence("normalizers"),
            pre_tokenizer=deepseek,
            decoder=byte_level(),
            post_processor=template(wide, wide[0]["content"], "$A"),
        ),
        {
            "tokenizer_class": "LlamaTokenizerFast",
            "legacy": True,
            "bos_token": typed(wide[0]),
            "eos_token": typed(wide[1]),
            "add_eos_token": True,
        },
    )
    return chat, qwen2, other


def _flags():
    """Added tokens that take spaces, match whole words, or what the normalizer made of the text."""
    for label, name, parts in [
        ("byte-level", "byte-level", {"pre_tokenizer": byte_level(), "decoder": byte_level()}),
        (
            "sentencepiece",
            "sentencepiece",
            {
                "normalizer": sequence("normalizers", {"type": "Prepend", "prepend": SPACE}, replace(" ", SPACE)),
                "decoder": spm_decoder(),
            },
        ),
        (
            "metaspace",
            "sentencepiece",
            {"pre_tokenizer": metaspace(prepend_scheme="always", split=True), "decoder": spm_decoder()},
        ),
        (
            "lowercase",
            "byte-level",
            {"normalizer": {"type": "Lowercase"}, "pre_tokenizer": byte_level(), "decoder": byte_level()},
        ),
    ]:
        groups, start = [], None
        for content, flags in [
            ("<|im_end|>", {}),
            ("<left>", {"lstrip": True}),
            ("<right>", {"rstrip": True}),
            ("<both>", {"lstrip": True, "rstrip": True}),
            ("word", {"special": False, "single_word": True}),
            ("World", {"special": False, "normalized": True}),
            ("HELLO", {"special": False, "normalized": False}),
            ("the model", {"special": True, "normalized": True}),
        ]:
            token = added(name, content, **flags, start=start)
            start = token[0]["id"] + 1
            groups.append(token)
        tokens = after(*groups)
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|im_end|>",
            "added_tokens_decoder": decoder_map(tokens),
        }
        kind(f"flags, {label}", "llama", tokenizer_json(name, tokens, **parts), config)


def _sentencepiece():
    name = "sentencepiece"
    base = added(name, "<unk>", "<s>", "</s>")
    prepend = sequence("normalizers", {"type": "Prepend", "prepend": SPACE}, replace(" ", SPACE))
    bos = template(base, "<s>", "$A")
    parts = {"normalizer": prepend, "decoder": spm_decoder(), "post_processor": bos}
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "chat_template": LLAMA2}
    llama = config | {"tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": decoder_map(base)}
    llama2 = tokenizer_json(name, base, **parts)
    kind("llama2", "llama", llama2, llama | {"legacy": False})
    kind("llama2, legacy", "llama", llama2, llama | {"legacy": True, "add_eos_token": True})
    kind("llama2, no prefix space", "llama", llama2, llama | {"add_prefix_space": False})
    # as TinyLlama: an object for every token, and no added_tokens_decoder
    bare = {key: typed(token) for key, token in zip(("unk_token", "bos_token", "eos_token"), base, strict=False)}
    kind("llama2, tokens as objects", "llama", llama2, bare | {"tokenizer_class": "LlamaTokenizerFast", "legacy": None})
    kind("llama2, no class", "llama", llama2, config)
    kind("mistral", "mistral", llama2, llama | {"legacy": True})
    both = tokenizer_json(name, base, **parts | {"post_processor": template(base, "<s>", "$A", "</s>")})
    kind("begin and end", "mistral", both, llama | {"add_eos_token": False})
    first = {**parts, "normalizer": None, "pre_tokenizer": metaspace(prepend_scheme="first", split=False)}
    kind("metaspace, first", "mistral", tokenizer_json(name, base, **first), llama)
    always = {**parts, "normalizer": None, "pre_tokenizer": metaspace(prepend_scheme="always", split=True)}
    kind("metaspace, always", "mixtral", tokenizer_json(name, base, **always), llama)
    never = {
        **parts,
        "normalizer": None,
        "pre_tokenizer": metaspace(prepend_scheme="never", split=True),
        "decoder": spm_decoder(False),
    }
    kind("metaspace, never", "mixtral", tokenizer_json(name, base, **never), llama)
    older = {
        **parts,
        "normalizer": None,
        "pre_tokenizer": metaspace(add_prefix_space=True, str_rep=SPACE),
        "decoder": metaspace(add_prefix_space=True),
    }
    kind("metaspace, older", "mistral", tokenizer_json(name, base, model={"byte_fallback": False}, **older), llama)
    user = added(name, "<|user|>", "<|assistant|>", "<|end|>", rstrip=True)
    phi = after(base, user)
    kind(
        "phi3",
        "phi3",
        tokenizer_json(name, phi, **parts),
        llama | {"eos_token": "<|end|>", "added_tokens_decoder": decoder_map(phi)},
    )
    code = {"tokenizer_class": "CodeLlamaTokenizer", "added_tokens_decoder": decoder_map(base)}
    bare = tokenizer_json(name, base, **{**parts, "post_processor": None})
    kind("code_llama", "llama", bare, config | code)
    turns = added("gemma", "<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
    unused = added("gemma", "<mask>", "<unused0>", special=False, normalized=False, start=turns[-1]["id"] + 1)
    turns = after(turns, unused)
    gemma_parts = {
        "normalizer": replace(" ", SPACE),
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "decoder": spm_decoder(strip=False),
        "post_processor": template(turns, "<bos>", "$A"),
    }
    gemma = tokenizer_json("gemma", turns, **gemma_parts)
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "added_tokens_decoder": decoder_map(turns)}
    kind("gemma", "gemma3_text", gemma, names | {"tokenizer_class": "GemmaTokenizer"})
    kind("gemma4", "gemma4", gemma, names | {"tokenizer_class": "GemmaTokenizer"})
    spaced = tokenizer_json("gemma", turns, **gemma_parts | {"normalizer": prepend, "decoder": spm_decoder()})
    kind(
        "gemma, its own pipeline",
        "gemma2",
        spaced,
        names | {"tokenizer_class": "GemmaTokenizerFast", "add_bos_token": False},
    )
    kind("gemma, another class", "gemma2", spaced, names | {"tokenizer_class": "PreTrainedTokenizerFast"})
    kind("bpe without bytes", "mistral", tokenizer_json(name, base, model={"byte_fallback": False}, **parts), llama)


def _others():
    end = added("unigram", "<s>", "<pad>", "</s>", "<unk>")
    always = metaspace(prepend_scheme="always", split=True)
    names = {"eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "PreTrainedTokenizerFast"}
    plain = {"pre_tokenizer": always, "decoder": always}
    kind("unigram", "llama", tokenizer_json("unigram", end, **plain), names)
    kind(
        "unigram, cleaned",
        "llama",
        tokenizer_json("unigram", end, **plain),
        names | {"clean_up_tokenization_spaces": True},
    )
    precompiled = {"type": "Precompiled", "precompiled_charsmap": charsmap()}
    several = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
    xlm = {
        **plain,
        "normalizer": sequence("normalizers", precompiled, several),
        "post_processor": template(end, "<s>", "$A", "</s>"),
    }
    kind("xlm", "llama", tokenizer_json("unigram", end, **xlm), names)
    stripped = {"type": "Strip", "strip_left": False, "strip_right": True}
    collapsed = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": SPACE}
    split_first = sequence("pretokenizers", {"type": "WhitespaceSplit"}, always)
    t5 = {
        **xlm,
        "normalizer": sequence("normalizers", precompiled, stripped, collapsed),
        "pre_tokenizer": split_first,
        "post_processor": template(end, "$A", "</s>"),
    }
    kind("t5", "llama", tokenizer_json("unigram", end, **t5), names)
    pad = added("unigram-bytes", "<pad>", "</s>", "<unk>")
    falling = {"pre_tokenizer": always, "decoder": sequence("decoders", {"type": "ByteFallback"}, always)}
    kind("unigram with bytes", "llama", tokenizer_json("unigram-bytes", pad, **falling), names)
    fused = {"pre_tokenizer": always, "decoder": spm_decoder()}
    kind("unigram with bytes, fused", "llama", tokenizer_json("unigram-bytes", pad, **fused), names)
    bert = added("wordpiece", "[PAD]", "[UNK]", "[CLS]", "[SEP]")
    pieces = {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template(bert, "[CLS]", "$A", "[SEP]"),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    }
    fast = {"tokenizer_class": "PreTrainedTokenizerFast"}
    words = fast | {"eos_token": "[SEP]", "unk_token": "[UNK]"}
    kind("wordpiece", "llama", tokenizer_json("wordpiece", bert, **pieces), words)
    uncleaned = {**pieces, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False}}
    kind(
        "wordpiece, cleaned",
        "llama",
        tokenizer_json("wordpiece", bert, **uncleaned),
        words | {"clean_up_tokenization_spaces": True},
    )
    level = added("wordlevel", "<unk>", "</s>")
    level_parts = {
        "normalizer": sequence("normalizers", {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}),
        "pre_tokenizer": {"type": "Whitespace"},
    }
    kind("wordlevel", "llama", tokenizer_json("wordlevel", level, **level_parts), names)
    last = added("end-of-word", "<unk>")
    ends = {
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "decoder": {"type": "BPEDecoder", "suffix": "</w>"},
    }
    kind("end of word", "llama", tokenizer_json("end-of-word", last, **ends), fast | {"unk_token": "<unk>"})


def kinds():
    """A copy of all, by name."""
    if not KINDS:
        tokenizer_configs.register(*_byte_level())
        _flags()
        _sentencepiece()
        _others()
    return copy.deepcopy(KINDS)
