# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Planted faults: copies of fixtures with one thing wrong, on each of which the parity test must fail.

A parity suite that cannot fail proves nothing. Every fault here stands for a mistake a port can make: a
wrong number from config.json, a dropped scaling, a tensor not used, a case not compared. The goldens of
the copies stay as they are (in the last group it is the golden that is changed). Standard library only.
"""

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass

import safetensors_io


@dataclass(frozen=True)
class Fault:
    """What to change in a copy of which fixture."""

    name: str
    fixture: str
    plant: Callable


def _config(**changes):
    """Sets keys of config.json; None removes one, a function maps the old value."""

    def plant(folder):
        path = folder / "config.json"
        config = json.loads(path.read_text())
        for key, change in changes.items():
            config[key] = change(config[key]) if callable(change) else change
        path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))

    return plant


def _times(factor):
    return lambda value: value * factor


def _scaling(field, change):
    """Changes one field of the RoPE scaling."""
    return lambda old: old | {field: change(old[field])}


def _element(file, name, change, index=0):
    """Maps one number of an F32 or BF16 tensor."""

    def plant(folder):
        path = folder / file
        tensors = safetensors_io.read(path)
        dtype, shape, data = tensors[name]
        raw, width = bytearray(data), safetensors_io.WIDTH[dtype]
        at = (index * width) % len(raw)
        # a bf16 is the upper half of an f32
        pad = b"" if dtype == "F32" else b"\0\0"
        old = struct.unpack("<f", pad + bytes(raw[at : at + width]))[0]
        raw[at : at + width] = struct.pack("<f", change(old))[len(pad) :]
        tensors[name] = (dtype, shape, bytes(raw))
        safetensors_io.write(path, tensors)

    return plant


def _weight(name, index=5):
    return _element("model.safetensors", f"model.layers.{name}", lambda value: value + 0.5, index)


def _golden(name):
    return _element("golden.safetensors", name, lambda value: value + 0.001, -1)


FAMILIES = ("llama", "mistral", "qwen3")
ALL = [
    *(Fault(f"{name}: one weight", name, _weight("1.mlp.down_proj.weight")) for name in FAMILIES),
    *(Fault(f"{name}: rope_theta", name, _config(rope_theta=_times(1.1))) for name in FAMILIES),
    *(Fault(f"{name}: rms_norm_eps", name, _config(rms_norm_eps=_times(1.5))) for name in FAMILIES),
    Fault("qwen3: a weight of q_norm", "qwen3", _weight("0.self_attn.q_norm.weight")),
    Fault("qwen3: a weight of k_norm", "qwen3", _weight("1.self_attn.k_norm.weight")),
    Fault("llama: a weight of a norm", "llama", _weight("1.post_attention_layernorm.weight")),
    Fault("llama-bias: a bias of attention", "llama-bias", _weight("0.self_attn.v_proj.bias")),
    Fault("llama-bias: a bias of the MLP", "llama-bias", _weight("1.mlp.gate_proj.bias")),
    Fault("rope: traditional", "llama-rope-traditional", _config(rope_traditional=False)),
    Fault("rope: linear dropped", "llama-rope-linear", _config(rope_scaling=None)),
    Fault("rope: llama3 dropped", "llama-rope-llama3", _config(rope_scaling=None)),
    Fault(
        "rope: llama3 low_freq_factor",
        "llama-rope-llama3",
        _config(rope_scaling=_scaling("low_freq_factor", _times(1.5))),
    ),
    Fault("rope: dynamic dropped", "llama-rope-dynamic", _config(rope_scaling=None)),
    Fault("rope: dynamic context", "llama-rope-dynamic", _config(max_position_embeddings=_times(2))),
    Fault("rope: yarn dropped", "llama-rope-yarn", _config(rope_scaling=None)),
    Fault("rope: yarn mscale", "qwen3-rope-yarn", _config(rope_scaling=_scaling("mscale", _times(1.05)))),
    Fault(
        "rope: yarn beta_fast",
        "qwen3-rope-yarn",
        _config(rope_scaling=_scaling("beta_fast", _times(4))),
    ),
    Fault(
        "rope: rope_parameters",
        "qwen3-rope-parameters",
        _config(rope_parameters=_scaling("rope_theta", _times(1.1))),
    ),
    Fault("4-bit: one scale", "llama-4bit", _weight("0.self_attn.q_proj.scales")),
    Fault("4-bit: one quantization bias", "qwen3-4bit", _weight("0.mlp.up_proj.biases")),
    Fault("4-bit: the layer's bias", "llama-4bit-bias", _weight("0.mlp.down_proj.bias")),
    *(
        Fault(f"golden: last number of {case}.{part}", "llama", _golden(f"{case}.{part}"))
        for case in ("short", "chunked", "long", "long_chunked", "growth")
        for part in ("prefill", "steps")
    ),
]


def plant(fixtures, out):
    """Makes the faulty copies and returns {folder name: fault}."""
    shutil.rmtree(out, ignore_errors=True)
    planted = {}
    for number, fault in enumerate(ALL):
        name = f"fault-{number:02d}"
        shutil.copytree(fixtures / fault.fixture, out / name)
        fault.plant(out / name)
        planted[name] = fault
    return planted
