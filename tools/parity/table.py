# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""docs/parity.md: the results of a run, for readers. Standard library only."""

import json
import math

HEAD = """# Parity with mlx-lm

Written by `npm run parity -- --write`: do not edit. The largest difference between a logit of ours and mlx-lm's, over the last
positions of a prompt and all steps after it, teacher-forced, in f32 on the CPU, rounded up; {limit} is allowed. Every row is
a tiny model with random parameters that mlx-lm built, saved and ran (tools/parity). The columns are caches: the model's own
(with the prompt in one piece, and in chunks), a plain KVCache in every layer, a rotating one, and quantized ones of 8 and 4 bits.
An empty field means that mlx-lm cannot run the model with that cache, or that the column before says the same.

| fixture | model | weights | own | in chunks | plain | rotating | 8 bits | 4 bits |
|---|---|---|---|---|---|---|---|---|
"""
COLUMNS = ("short", "chunked", "plain", "rotating", "kv8", "kv4")


def _up(value):
    """One significant digit, never less than the value."""
    if not value:
        return "0"
    exponent = math.floor(math.log10(value))
    return f"{math.ceil(value / 10**exponent - 1e-9)}e{exponent}"


def _storage(config):
    quantization = config.get("quantization")
    if not quantization:
        raw = config.get("quantization_config")
        return f"{raw['quant_method']}, as on the Hub" if raw else config["torch_dtype"]
    if quantization.get("mode", "affine") != "affine":
        return quantization["mode"]
    return f"{quantization['bits']} bits in groups of {quantization['group_size']}"


def write(path, rows, fixtures):
    lines = []
    for row in rows:
        config = json.loads((fixtures / row["fixture"] / "config.json").read_text())
        cells = [_up(row["cases"][name]) if name in row["cases"] else "" for name in COLUMNS]
        lines.append(f"| {row['fixture']} | {config['model_type']} | {_storage(config)} | {' | '.join(cells)} |")
    path.write_text(HEAD.format(limit=rows[0]["limit"]) + "\n".join(lines) + "\n", encoding="utf-8")
