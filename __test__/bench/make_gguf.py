# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Write a GGUF file of random weights with the dimensions of a model that make_model.py wrote.

usage: make_gguf.py MODEL_FOLDER FILE q4_0|q4_k_m|bf16

Weights are drawn as they are stored. Which tensors of q4_k_m have 6 bits is llama.cpp's rule: the output layer, and the
values and down projections of the first and last eighth of the layers and of every third one between.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

random = np.random.default_rng(0)


def scales(count, low, high):
    return random.uniform(low, high, count).astype(np.float16).view(np.uint8).reshape(count, 2)


def some_bytes(count, width):
    return random.integers(0, 256, (count, width), dtype=np.uint8)


def block(kind, count):
    """Random blocks of a format: (count, bytes), with weights of about 1/50."""
    match kind:
        case Type.Q4_0:
            return np.concatenate([scales(count, 0.0025, 0.0075), some_bytes(count, 16)], 1)
        case Type.Q4_K:
            parts = [scales(count, 1e-4, 2e-4), scales(count, 8e-4, 1.6e-3), some_bytes(count, 140)]
            return np.concatenate(parts, 1)
        case Type.Q6_K:
            return np.concatenate([some_bytes(count, 208), scales(count, 1e-5, 2e-5)], 1)
        case Type.BF16:
            weights = random.uniform(-0.03, 0.03, count).astype(np.float32)
            return (weights.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(count, 2)


BLOCK = {Type.Q4_0: 32, Type.Q4_K: 256, Type.Q6_K: 256, Type.BF16: 1}


class Writer:
    def __init__(self, file, config, form):
        self.config, self.form = config, form
        self.architecture = {"qwen3": "qwen3", "llama": "llama", "qwen3_moe": "qwen3moe"}[config["model_type"]]
        self.file = gguf.GGUFWriter(file, self.architecture)

    def matrix(self, name, shape, kind):
        *batch, columns = shape
        if columns % BLOCK[kind]:
            kind = Type.Q4_0
        count = int(np.prod(shape)) // BLOCK[kind]
        data = block(kind, count).reshape(*batch, -1)
        self.file.add_tensor(f"{name}.weight", data, raw_dtype=kind)

    def norm(self, name, size):
        self.file.add_tensor(f"{name}.weight", random.uniform(0.7, 1.3, size).astype(np.float32))

    def vocabulary(self):
        """One of bytes, as byte-level BPE has them, and of made-up tokens."""
        size = self.config["vocab_size"]
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        others = [byte for byte in range(256) if byte not in printable]
        characters = {byte: chr(byte) for byte in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
        tokens = [characters[byte] for byte in range(256)] + [f"token{i}" for i in range(size - 257)]
        self.file.add_tokenizer_model("gpt2")
        self.file.add_tokenizer_pre("qwen2")
        self.file.add_token_list([*tokens, "<|end|>"])
        self.file.add_token_types([1] * (size - 1) + [3])
        self.file.add_token_merges(["t o", "to k"])
        self.file.add_eos_token_id(size - 1)
        self.file.add_bos_token_id(size - 1)
        self.file.add_add_bos_token(False)

    def header(self):
        config, file = self.config, self.file
        file.add_name("random")
        file.add_context_length(config["max_position_embeddings"])
        file.add_embedding_length(config["hidden_size"])
        file.add_block_count(config["num_hidden_layers"])
        file.add_feed_forward_length(config["intermediate_size"])
        file.add_head_count(config["num_attention_heads"])
        file.add_head_count_kv(config["num_key_value_heads"])
        file.add_key_length(config["head_dim"])
        file.add_value_length(config["head_dim"])
        file.add_rope_freq_base(config["rope_theta"])
        file.add_rope_dimension_count(config["head_dim"])
        file.add_layer_norm_rms_eps(config["rms_norm_eps"])
        if self.architecture == "qwen3moe":
            file.add_expert_count(config["num_experts"])
            file.add_expert_used_count(config["num_experts_per_tok"])
            file.add_expert_feed_forward_length(config["moe_intermediate_size"])
        types = {"q4_0": gguf.LlamaFileType.MOSTLY_Q4_0, "q4_k_m": gguf.LlamaFileType.MOSTLY_Q4_K_M}
        file.add_file_type(types.get(self.form, gguf.LlamaFileType.MOSTLY_BF16))

    def layer(self, index):
        config, at = self.config, f"blk.{index}."
        layers, dims = config["num_hidden_layers"], config["hidden_size"]
        queries = config["num_attention_heads"] * config["head_dim"]
        keys = config["num_key_value_heads"] * config["head_dim"]
        base = {"q4_0": Type.Q4_0, "q4_k_m": Type.Q4_K, "bf16": Type.BF16}[self.form]
        eighth = layers // 8
        is_precise = index < eighth or index >= 7 * eighth or (index - eighth) % 3 == 2
        more = Type.Q6_K if self.form == "q4_k_m" and is_precise else base
        self.norm(at + "attn_norm", dims)
        self.norm(at + "ffn_norm", dims)
        if self.architecture != "llama":
            self.norm(at + "attn_q_norm", config["head_dim"])
            self.norm(at + "attn_k_norm", config["head_dim"])
        self.matrix(at + "attn_q", (queries, dims), base)
        self.matrix(at + "attn_k", (keys, dims), base)
        self.matrix(at + "attn_v", (keys, dims), more)
        self.matrix(at + "attn_output", (dims, queries), base)
        if self.architecture == "qwen3moe":
            experts, hidden = config["num_experts"], config["moe_intermediate_size"]
            weights = random.uniform(-0.03, 0.03, (experts, dims)).astype(np.float32)
            self.file.add_tensor(at + "ffn_gate_inp.weight", weights)
            self.matrix(at + "ffn_gate_exps", (experts, hidden, dims), base)
            self.matrix(at + "ffn_up_exps", (experts, hidden, dims), base)
            self.matrix(at + "ffn_down_exps", (experts, dims, hidden), more)
        else:
            hidden = config["intermediate_size"]
            self.matrix(at + "ffn_gate", (hidden, dims), base)
            self.matrix(at + "ffn_up", (hidden, dims), base)
            self.matrix(at + "ffn_down", (dims, hidden), more)

    def write(self):
        config = self.config
        self.header()
        self.vocabulary()
        shape = (config["vocab_size"], config["hidden_size"])
        output = {"q4_0": Type.Q6_K, "q4_k_m": Type.Q6_K, "bf16": Type.BF16}[self.form]
        self.matrix("token_embd", shape, output)
        self.norm("output_norm", config["hidden_size"])
        if not config["tie_word_embeddings"]:
            self.matrix("output", shape, output)
        for index in range(config["num_hidden_layers"]):
            self.layer(index)
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    folder, file, form = sys.argv[1:]
    Writer(file, json.loads((Path(folder) / "config.json").read_text()), form).write()


if __name__ == "__main__":
    main()
