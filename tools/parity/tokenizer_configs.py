# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""What tokenizer_config.json and the files beside it may say about tokens, in new forms and old ones."""

from tiny_tokenizers import CHATML, added, decoder_map, kind


def register(chat, qwen2, other):
    """Registers tokenizers around these added tokens and tokenizer.json files of byte-level BPE."""
    name = "byte-level"
    fast = {"tokenizer_class": "PreTrainedTokenizerFast"}
    following = chat[-1]["id"] + 1
    flags = {"lstrip": True, "rstrip": False, "single_word": False, "normalized": False}
    kind(
        "special_tokens_map",
        "llama",
        other,
        fast | {"eos_token": "<|endoftext|>", "chat_template": CHATML},
        special_tokens_map__json={
            "eos_token": {"content": "<|im_end|>", **flags},
            "pad_token": "<|pad|>",
            "additional_special_tokens": ["<|im_start|>", "<extra>"],
        },
        added_tokens__json={"<old>": following + 1, "<older>": following, "<extra>": following + 2},
    )
    kind(
        "tokens as objects",
        "llama",
        other,
        fast
        | {
            "eos_token": {"__type": "AddedToken", "content": "<|im_end|>", **flags, "rstrip": True},
            "additional_special_tokens": [{"__type": "AddedToken", "content": "<object>", **flags}, "<string>"],
        },
    )
    kind(
        "named extra tokens",
        "llama",
        other,
        fast
        | {
            "eos_token": "<|im_end|>",
            "extra_special_tokens": {"image_token": "<image>", "boi_token": "<|im_start|>"},
            "audio_token": "<audio>",
            "chat_template": "{{ image_token }}|{{ boi_token }}|{{ audio_token }}|{{ eos_token }}",
        },
    )
    kind(
        "listed extra tokens",
        "llama",
        other,
        fast | {"eos_token": "<|im_end|>", "extra_special_tokens": ["<one>", "<|im_end|>", "<two>"]},
    )
    kind("a missing eos token", "llama", other, fast | {"eos_token": "</s>", "bos_token": "<think>"})
    # the flags and tokens of the config win, its ids do not
    tokens = [token | {"lstrip": True, "rstrip": True} for token in chat[:3]] + added(
        name, "<late>", start=following + 40
    )
    kind(
        "other flags in the config",
        "llama",
        other,
        fast | {"eos_token": "<|im_end|>", "added_tokens_decoder": decoder_map(tokens)},
    )
    kind(
        "other tokens in the config",
        "qwen2",
        qwen2,
        {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": decoder_map(tokens)},
    )
    kind("splitting", "llama", other, fast | {"eos_token": "<|im_end|>", "split_special_tokens": True})
    old = {"vocab__json": {"from": name}, "merges__txt": {"from": name}}
    extra = {token["content"]: token["id"] for token in chat}
    named = {
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": "<|im_end|>",
        "additional_special_tokens": ["<|im_start|>"],
    }
    kind("qwen2 without tokenizer.json", "qwen2", None, named, added_tokens__json=extra, **old)
    around = {"add_bos_token": True, "add_eos_token": True, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    kind("gpt2 without tokenizer.json", "llama", None, {"tokenizer_class": "GPT2Tokenizer"} | around, **old)
    listed = {"eos_token": "<|im_end|>", "chat_template": CHATML, "chat_control_tokens": ["<tool_call>"]}
    # one of them begins with another
    kind("listed control tokens", "llama", other, fast | listed | {"extra_special_tokens": ["<|im_end|>\n"]})
