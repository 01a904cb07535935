# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Speed of mlx-lm: one line of JSON.

usage: speed.py FOLDER PROMPT_TOKENS GENERATED_TOKENS [RUNS]

Prefill is the prompt's tokens over the time to the first token; decode is the tokens after the first over the time
that they take. The best of the runs counts, after one warm-up; with RUNS 0 there is one run, after a short warm-up.
"""

import json
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools" / "parity"))

# before mlx-lm
import gather_qmm  # noqa: E402, F401

# isort: split
import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.utils import load_model

# Prompt tokens of a short warm-up, which brings the weights into the caches.
SHORT = 4


def measure(model, prompt_tokens: int, generated: int) -> tuple[float, float]:
    prompt = mx.array([(7 * i + 3) % 1000 for i in range(prompt_tokens)])
    start = time.perf_counter()
    steps = generate_step(prompt, model, max_tokens=generated)
    next(steps)
    first = time.perf_counter()
    count = sum(1 for _ in steps)
    return first - start, (time.perf_counter() - first) / max(count, 1)


def main(folder: str, prompt_tokens: int, generated: int, runs: int) -> None:
    started = time.perf_counter()
    model, _ = load_model(Path(folder))
    mx.eval(model.parameters())
    loaded = time.perf_counter() - started
    if runs == 0:
        measure(model, SHORT, 2)
    else:
        measure(model, prompt_tokens, generated)
    times = [measure(model, prompt_tokens, generated) for _ in range(max(runs, 1))]
    first, step = (min(column) for column in zip(*times, strict=True))
    print(json.dumps({"load": loaded, "first": first, "prefill": prompt_tokens / first, "decode": 1 / step}))


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[2:]]
    main(sys.argv[1], numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else 1)
