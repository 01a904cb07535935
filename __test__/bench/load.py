# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Loads a model once with mlx-lm: one line of JSON.

usage: load.py FOLDER

`seconds` that `load` takes, tokenizer included; by how many bytes the process grew at most (`rss`); the most that MLX
had allocated (`peak`); what the weights take (`held`).
"""

import json
import resource
import sys
import time

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm import load

# ru_maxrss is in bytes on macOS, else in kibibytes
UNIT = 1 if sys.platform == "darwin" else 1024


def max_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


before = max_rss()
start = time.perf_counter()
model, _ = load(sys.argv[1])
seconds = time.perf_counter() - start
rss = max_rss() - before
held = sum(value.nbytes for _, value in tree_flatten(model.parameters()))
print(json.dumps({"seconds": seconds, "rss": rss, "peak": mx.get_peak_memory(), "held": held}))
