# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Writes the results of a run into the tables of docs/parity.md. Standard library only."""

import json
import math

COLUMNS = ("short", "chunked", "plain", "rotating", "kv8", "kv4")


def _up(value):
    """Formats a value with one significant digit, rounded up."""
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


def mlx_lm(rows, fixtures):
    """The lines of the table of mlx-lm."""
    yield "| fixture | model | weights | own | in chunks | plain | rotating | 8 bits | 4 bits |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        config = json.loads((fixtures / row["fixture"] / "config.json").read_text())
        cells = [_up(row["cases"][name]) if name in row["cases"] else "" for name in COLUMNS]
        yield f"| {row['fixture']} | {config['model_type']} | {_storage(config)} | {' | '.join(cells)} |"


def transformers(rows):
    """The lines of the table of transformers."""
    yield "| fixture | release 5 | release 4 |"
    yield "|---|---|---|"
    found = {}
    for row in rows:
        found.setdefault(row["fixture"], {})[row["config"]] = _up(row["difference"])
    for name, differences in found.items():
        yield f"| {name} | {differences['config.json']} | {differences.get('config.older.json', '')} |"


def write(path, **tables):
    """Replaces what stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; `_` in a name stands for `-`."""
    text = path.read_text(encoding="utf-8")
    for name, lines in tables.items():
        begin, end = (f"<!-- {word} {name.replace('_', '-')} -->\n" for word in ("begin", "end"))
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = "".join([before, begin, *(f"{line}\n" for line in lines), end, after])
    path.write_text(text, encoding="utf-8")
