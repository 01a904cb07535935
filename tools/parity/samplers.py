# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Goldens of mlx-lm's samplers and logits processors, as samplers.json.

`filters` names the logits vector, the filter with its parameters, the ids it keeps and their
probabilities after renormalising. Where several tokens tie at the cut of a top-k filter, `tied` lists
them: which of them stay depends on the sort, how many does not. `chains` runs make_sampler's filters in
its order (top_p, min_p, xtc, top_k, temperature last). XTC runs with probability 1, so nothing is random.
"""

import math

from oracle import generator, mx, np, sample_utils, uniform

VOCAB = 64
# every filter of a chain, in make_sampler's order
ORDER = ("top_p", "min_p", "xtc", "top_k")


def vectors():
    """The logits: spread out, with many exact ties, flat, and with one token far ahead."""
    rng = generator("samplers", "logits")
    plain = uniform(rng, (VOCAB,), 0.0, 4.0)
    flat = uniform(rng, (VOCAB,), 0.0, 0.05)
    peaked = plain.copy()
    peaked[17] = 15.0
    # the vector of the known difference between releases: p = .5, .2, .2, .1
    small = np.log(np.array([0.5, 0.2, 0.2, 0.1], np.float32))
    return {"plain": plain, "tied": np.round(plain / 2), "flat": flat, "peaked": peaked, "small": small}


def short(values):
    """Floats in the fewest digits that still name the same f32."""
    return [float(str(np.float32(value))) for value in values]


def _filters():
    # no value lies on the sum of a vector's probabilities, where rounding would decide
    for top_p in (0.05, 0.3, 0.6, 0.85, 0.95, 0.999):
        yield "top_p", {"top_p": top_p}
    for min_p in (0.01, 0.05, 0.1, 0.5, 1.0):
        for keep in (1, 3):
            yield "min_p", {"min_p": min_p, "min_tokens_to_keep": keep}
    for top_k in (1, 2, 3, 5, 20, 63):
        yield "top_k", {"top_k": top_k}
    for threshold in (0.01, 0.04, 0.08, 0.45):
        for special in ([], [0, 17]):
            yield "xtc", {"xtc_probability": 1.0, "xtc_threshold": threshold, "xtc_special_tokens": special}


def _fits(options, vocab):
    ids = options.get("xtc_special_tokens", [])
    return options.get("top_k", 0) < vocab and all(token < vocab for token in ids)


def _chains():
    yield {"temp": 0.7, "top_p": 0.9}
    yield {"temp": 1.5, "top_p": 0.9, "top_k": 10}
    yield {"temp": 0.8, "top_p": 0.95, "min_p": 0.05, "top_k": 20}
    yield {"temp": 0.25, "min_p": 0.1}
    yield {"temp": 1.0, "top_p": 0.99, "min_p": 0.02, "xtc_probability": 1.0, "xtc_threshold": 0.1, "top_k": 8}


def _apply(name, logprobs, options):
    values = {
        "top_p": ("top_p",),
        "min_p": ("min_p", "min_tokens_to_keep"),
        "top_k": ("top_k",),
        "xtc": ("xtc_probability", "xtc_threshold", "xtc_special_tokens"),
    }[name]
    given = {"min_tokens_to_keep": 1, "xtc_special_tokens": []} | options
    return getattr(sample_utils, f"apply_{name}")(logprobs, *(given[value] for value in values))


def _logprobs(logits):
    row = mx.array(logits)[None]
    return row - mx.logsumexp(row, keepdims=True)


def _outcome(logprobs, temperature=1.0):
    """The kept ids and their probabilities."""
    probabilities = np.array(mx.softmax(logprobs * (1 / temperature), axis=-1))[0]
    kept = [int(index) for index in np.flatnonzero(np.isfinite(np.array(logprobs)[0]))]
    return {"kept": kept, "probabilities": short(probabilities[kept])}


def _tied(logprobs, top_k):
    """The ids among which a top-k filter must choose arbitrarily."""
    values = np.array(logprobs)[0]
    cut = np.sort(values)[-top_k]
    same = [int(index) for index in np.flatnonzero(values == cut)]
    return same if int((values >= cut).sum()) > top_k and math.isfinite(cut) else []


def _processors():
    rng = generator("samplers", "processors")
    history = [int(token) for token in rng.integers(0, VOCAB, 30)] + [5, 5, 5, 9]
    for options in (
        {"repetition_penalty": 1.3},
        {"repetition_penalty": 1.3, "repetition_context_size": 4},
        {"presence_penalty": 0.7},
        {"frequency_penalty": 0.4, "frequency_context_size": 10},
        {"logit_bias": {3: 2.5, 60: -4.0}},
        {"logit_bias": {5: 1.0}, "repetition_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.3},
    ):
        yield history, options


def make():
    """All of samplers.json."""
    logits = vectors()
    out = {
        "logits": {name: short(values) for name, values in logits.items()},
        "filters": [],
        "chains": [],
        "processors": [],
    }
    for name, values in logits.items():
        logprobs = _logprobs(values)
        for filter_name, options in _filters():
            if not _fits(options, len(values)):
                continue
            entry = {"logits": name, "filter": filter_name, "options": options}
            entry |= _outcome(_apply(filter_name, logprobs, options))
            if filter_name == "top_k":
                entry["tied"] = _tied(logprobs, options["top_k"])
            out["filters"].append(entry)
    for name in ("plain", "flat", "peaked"):
        for options in _chains():
            logprobs = _logprobs(logits[name])
            for filter_name in ORDER:
                if any(key.startswith(filter_name) for key in options):
                    logprobs = _apply(filter_name, logprobs, options)
            out["chains"].append({"logits": name, "options": options} | _outcome(logprobs, options["temp"]))
    for history, options in _processors():
        row = mx.array(logits["plain"])[None]
        for processor in sample_utils.make_logits_processors(**options):
            row = processor(mx.array(history), row)
        changed = short(np.array(row)[0])
        out["processors"].append({"logits": "plain", "tokens": history, "options": options, "result": changed})
    return out
