# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""A small Qwen3-architecture language model in PyTorch, with the parameter names of the Hub."""

import torch
from torch import nn
from torch.nn import functional as F

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": 3072,
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "hidden_act": "silu",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "use_cache": True,
    "use_sliding_window": False,
    "initializer_range": 0.02,
    "torch_dtype": "bfloat16",
}


class Norm(nn.Module):
    """RMSNorm."""

    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight.to(x.dtype), CONFIG["rms_norm_eps"])


def linear(inputs, outputs):
    """A matrix without bias."""
    return nn.Linear(inputs, outputs, bias=False)


def rotate(x, cos, sin):
    """Rotary position embedding over the two halves of each head, worked out in float32."""
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.to(x.dtype)


class Attention(nn.Module):
    """Grouped-query attention, its queries and keys normed per head before they are rotated."""

    def __init__(self):
        super().__init__()
        hidden, size = CONFIG["hidden_size"], CONFIG["head_dim"]
        self.heads, self.kv_heads = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"]
        self.q_proj = linear(hidden, self.heads * size)
        self.k_proj = linear(hidden, self.kv_heads * size)
        self.v_proj = linear(hidden, self.kv_heads * size)
        self.o_proj = linear(self.heads * size, hidden)
        self.q_norm, self.k_norm = Norm(size), Norm(size)

    def forward(self, x, cos, sin, attend):
        batch, length, _ = x.shape
        queries = self.q_norm(self.q_proj(x).view(batch, length, self.heads, -1)).transpose(1, 2)
        keys = self.k_norm(self.k_proj(x).view(batch, length, self.kv_heads, -1)).transpose(1, 2)
        values = self.v_proj(x).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        out = attend(rotate(queries, cos, sin), rotate(keys, cos, sin), values)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self):
        super().__init__()
        hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
        self.gate_proj, self.up_proj = linear(hidden, inner), linear(hidden, inner)
        self.down_proj = linear(inner, hidden)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention and feed-forward, each around a residual."""

    def __init__(self):
        super().__init__()
        self.self_attn, self.mlp = Attention(), FeedForward()
        self.input_layernorm = Norm(CONFIG["hidden_size"])
        self.post_attention_layernorm = Norm(CONFIG["hidden_size"])

    def forward(self, x, cos, sin, attend):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, attend)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    """Embeddings, layers and the last norm."""

    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], CONFIG["hidden_size"])
        self.layers = nn.ModuleList(Layer() for _ in range(CONFIG["num_hidden_layers"]))
        self.norm = Norm(CONFIG["hidden_size"])


class LanguageModel(nn.Module):
    """The whole model; its output layer is the transposed embedding."""

    def __init__(self):
        super().__init__()
        self.model = Body()
        half = CONFIG["head_dim"] // 2
        speeds = CONFIG["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.arange(CONFIG["max_position_embeddings"], dtype=torch.float64)[:, None] * speeds
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)
        self.apply(self._initialize)
        for layer in self.model.layers:
            nn.init.zeros_(layer.self_attn.o_proj.weight)
            nn.init.zeros_(layer.mlp.down_proj.weight)

    @staticmethod
    def _initialize(module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=CONFIG["initializer_range"])

    def hidden(self, tokens, attend):
        """The normed last states; attend(queries, keys, values) is the attention to use."""
        length = tokens.shape[1]
        x = self.model.embed_tokens(tokens)
        if torch.is_autocast_enabled(tokens.device.type):
            x = x.to(torch.get_autocast_dtype(tokens.device.type))
        cos, sin = self.cos[:length], self.sin[:length]
        for layer in self.model.layers:
            x = layer(x, cos, sin, attend)
        return self.model.norm(x)

    def forward(self, tokens, attend):
        """The logits of every position."""
        return F.linear(self.hidden(tokens, attend), self.model.embed_tokens.weight)

    def loss(self, tokens, labels, attend):
        """The mean cross entropy where labels are not negative."""
        logits = self(tokens, attend).float()
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-1)


def causal(queries, keys, values):
    """Plain causal attention, for generation."""
    return F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
