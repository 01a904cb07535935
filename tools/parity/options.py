# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Goldens of generate_step's options, as options.json.

Each case names the fixture, the options as mlx-lm has them, and a prompt; and holds the greedy tokens and the
log-probability of each, with the weights cast to f32. The first prompt is taken on which no choice hangs on rounding
and the options change the tokens, or at least (with 8 bits) the log-probabilities.
"""

import goldens
import samplers
from oracle import generate_step, generator, mx, np, sample_utils

# Tokens of a prompt, and of one that the quantization begins after.
PROMPT, LONG_PROMPT = 24, 56
ATTEMPTS = 400
BIASES = {7: 3.0, 40: -5.0, 200: 1.5}
PENALTIES = {
    "repetition": {"repetition_penalty": 1.4},
    "repetition, all tokens": {"repetition_penalty": 1.2, "repetition_context_size": 0},
    "presence": {"presence_penalty": 1.5, "presence_context_size": 8},
    "frequency": {"frequency_penalty": 0.6, "frequency_context_size": 40},
    "bias": {"logit_bias": BIASES},
    "all": {
        "logit_bias": BIASES,
        "repetition_penalty": 1.2,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.3,
        "frequency_context_size": 10,
    },
}
# mlx-lm's Llama ignores max_kv_size
CASES = [
    *(("llama", name, options, 40) for name, options in PENALTIES.items()),
    ("qwen3", "rotating", {"max_kv_size": 32}, 200),
    *(
        (
            fixture,
            f"{bits} bits from {start}",
            {"kv_bits": bits, "kv_group_size": 32, "quantized_kv_start": start},
            steps,
        )
        for fixture in ("llama-gqa-4bit", "qwen3-heads-4bit")
        for bits in (8, 4)
        for start, steps in ((0, 30), (64, 30))
    ),
]


def _processors(options):
    """The options that make_logits_processors takes, made; and the others."""
    kinds = ("logit_bias", "repetition_", "presence_", "frequency_")
    chosen = {key: value for key, value in options.items() if key.startswith(kinds)}
    rest = {key: value for key, value in options.items() if key not in chosen}
    return sample_utils.make_logits_processors(**chosen), rest


def _run(model, prompt, options, steps):
    """The greedy tokens, their log-probabilities, and by how much the best token leads at the narrowest."""
    processors, rest = _processors(options)
    tokens, logprobs, margin = [], [], float("inf")
    for token, row in generate_step(mx.array(prompt), model, max_tokens=steps, logits_processors=processors, **rest):
        row = np.array(row)
        tokens.append(int(token))
        logprobs.append(float(row[token]))
        margin = min(margin, goldens.margin(row))
    return tokens, np.array(logprobs, np.float32), margin


def _case(models, options, prompt, steps, tolerance):
    """One case, or None where the prompt does not suit."""
    model, *nudged = models
    tokens, logprobs, margin = _run(model, prompt, options, steps)
    if margin < 10 * tolerance:
        return None
    plain, plain_logprobs, _ = _run(model, prompt, {}, steps)
    if plain == tokens:
        changes = float(np.abs(plain_logprobs - logprobs).max())
        if options.get("kv_bits") != 8 or changes < 10 * tolerance:
            return None
    for other in nudged if "kv_bits" in options else []:
        moved, moved_logprobs, _ = _run(other, prompt, options, steps)
        if moved != tokens or np.abs(moved_logprobs - logprobs).max() > tolerance / 2:
            return None
    return {"prompt": prompt, "tokens": tokens, "logprobs": samplers.short(logprobs)}


def make(folder, known, tolerance):
    """All of options.json, from the fixtures in a folder."""
    cases = []
    for fixture, name, options, steps in CASES:
        models = goldens.in_f32(folder / fixture, known[fixture], "kv_bits" in options)
        for attempt in range(ATTEMPTS):
            rng = generator("options", fixture, name, attempt)
            length = LONG_PROMPT if options.get("quantized_kv_start") else PROMPT
            prompt = [int(token) for token in rng.integers(0, known[fixture].vocab_size - 3, length)]
            case = _case(models, options, prompt, steps, tolerance)
            if case:
                break
        else:
            raise SystemExit(f"error: no prompt suits {fixture}, {name}")
        cases.append({"fixture": fixture, "name": name, "options": options} | case)
    return cases
