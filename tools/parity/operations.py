# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Lists the operations of one decode step of mlx-lm, by kind, for the fixtures of a folder, as JSON.

    operations.py FOLDER NAME ...

__test__/operations.rs does the same for this port. Both trace the graph on the CPU, where MLX puts several plain
operations in the place of each fused one (norms, rotations, attention).
"""

import json
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

from oracle import load_model, make_prompt_cache, mx

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]


def kinds(*outputs):
    """The number of operations of each kind that the outputs are computed by."""
    with tempfile.NamedTemporaryFile("r", suffix=".dot") as file:
        mx.export_to_dot(file.name, *outputs)
        labels = re.findall(r'label ?= ?"([^"]*)", shape=rectangle', file.read())
    return Counter("Compiled" if label.startswith("Compiled") else label for label in labels)


def arrays(cache):
    """What a cache holds, as it is kept."""
    parts = [*getattr(cache, "cache", ()), getattr(cache, "keys", None), getattr(cache, "values", None)]
    return [part for part in parts if part is not None]


def step(folder):
    """One step of `generate_step`, greedy, behind a prompt."""
    model, _ = load_model(folder)
    cache = make_prompt_cache(model)
    mx.eval(model(mx.array([PROMPT]), cache=cache))
    mx.eval(*(arrays(part) for part in cache))
    logits = model(mx.array([[7]]), cache=cache)[:, -1, :]
    logprobs = logits - mx.logsumexp(logits, keepdims=True)
    token = mx.argmax(logprobs, axis=-1)
    return kinds(token, logprobs, *(array for part in cache for array in arrays(part)))


def main():
    folder, *names = sys.argv[1:]
    print(json.dumps({name: dict(sorted(step(Path(folder) / name).items())) for name in names}))


if __name__ == "__main__":
    main()
