# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Runs mlx-lm on a saved fixture and records the logits.

golden.safetensors holds, for every case:

    <case>.prompt          I32 [P]     the prompt
    <case>.chunks          I32 [C]     its lengths, chunk by chunk
    <case>.cache           I32         which caches, where not the model's own: (1) a KVCache a layer,
                                       (2, max_kv_size) rotating, (3, group size, bits) quantized
    <case>.tokens          I32 [N]     the tokens fed one by one after it: mlx-lm's greedy ones in f32
    <case>.prefill         F32 [R, V]  logits of the last R positions of the last chunk
    <case>.steps           F32 [N, V]  logits after each of the tokens
    <case>.native.prefill  F32         the two again in the checkpoint's own dtype, where that is
    <case>.native.steps    F32         not f32; the ones above then come from weights cast to f32
"""

import functools

import safetensors_io
from oracle import (
    KVCache,
    generate_step,
    generator,
    load_adapters,
    load_model,
    make_prompt_cache,
    mx,
    nn,
    np,
    stream_generate,
    tree_flatten,
    uniform,
)

PREFILL_ROWS = 4
# relative; what summation in another order changes is less than the first. In a quantized cache, where one of thousands
# of roundings may hang on it, many more are tried, of about that size: processors differ by as much
NUDGES = (1e-6, *[2e-7] * 12)
GREEDY_TOKENS = 40
# fewer different tokens than this and teacher forcing would test the same input over and over
DIFFERENT_TOKENS = 10


class Unsuitable(Exception):
    """The random weights make a poor fixture: try others."""


def _load(folder):
    """A fixture's model, with its adapter if it has one: mlx-lm's `load` without the tokenizer."""
    model, _ = load_model(folder)
    if (folder / "adapters").is_dir():
        model = load_adapters(model, folder / "adapters")
        model.eval()
    return model


def _logits(model, cache, tokens):
    out = model(mx.array([tokens]), cache=cache)[0].astype(mx.float32)
    mx.eval(out)
    return np.array(out)


def _caches(model, kind):
    """The caches of a case."""
    if kind[:1] == (1,):
        return [KVCache() for _ in model.layers]
    if kind[:1] == (2,):
        return make_prompt_cache(model, max_kv_size=kind[1])
    caches = make_prompt_cache(model)
    if kind[:1] == (3,):
        # as maybe_quantize_kv_cache does
        caches = [cache.to_quantized(*kind[1:]) if hasattr(cache, "to_quantized") else cache for cache in caches]
    return caches


class _WideEmbedding(nn.QuantizedEmbedding):
    """Rows in f32, which the modes other than the affine give in bf16 whatever the model computes in."""

    def __call__(self, x):
        return super().__call__(x).astype(mx.float32)


def _in_f32(model):
    model.set_dtype(mx.float32)
    for _, layer in model.named_modules():
        if type(layer) is nn.QuantizedEmbedding and layer.mode != "affine":
            layer.__class__ = _WideEmbedding
    return model


def _nudged(model, name, index):
    """The model with every number moved by about as much as the order of a summation moves an activation."""
    # where the weights are packed, and cannot be moved, the other numbers are moved by more
    packed = any(getattr(layer, "mode", "affine") != "affine" for _, layer in model.named_modules())
    size = NUDGES[0 if packed else index]
    for key, value in tree_flatten(model.parameters()):
        if value.dtype == mx.float32:
            rng = generator(name, "nudge", key) if index == 0 else generator(name, "nudge", index, key)
            nudge = uniform(rng, value.shape, 1.0, size)
            model.load_weights([(key, value * mx.array(nudge))], strict=False)
    return model


def in_f32(folder, spec, nudged=False):
    """A fixture's model in f32; and, where they are wanted, the nudged ones."""
    models = [_in_f32(_load(folder)) for _ in range(1 + len(NUDGES) * nudged)]
    return models[:1] + [_nudged(model, spec.name, index) for index, model in enumerate(models[1:])]


def _run(model, prompt, case, tokens=None):
    """One case; greedy where no tokens are given."""
    cache, at = _caches(model, case.cache), 0
    for length in case.chunks:
        last = _logits(model, cache, prompt[at : at + length])
        at += length
    prefill, fed, steps = last[-PREFILL_ROWS:], [], []
    for index in range(case.steps):
        fed.append(tokens[index] if tokens else int(last[-1].argmax()))
        last = _logits(model, cache, [fed[-1]])
        steps.append(last[-1])
    return prefill, fed, np.stack(steps)


def margin(logits):
    """By how much the best token leads, at the narrowest of the positions."""
    top = np.sort(logits, axis=-1)
    return float((top[..., -1] - top[..., -2]).min())


def prompt_of(spec, length):
    """A prompt without the last three ids, which are the special tokens of a base fixture."""
    rng = generator(spec.like or spec.name, "prompt", length)
    return [int(token) for token in rng.integers(0, spec.vocab_size - 3, length)]


def _ints(values):
    return safetensors_io.from_numbers("I32", [len(values)], values)


def _floats(values):
    return ("F32", values.shape, np.ascontiguousarray(values, np.float32).tobytes())


def record(folder, spec, tolerance):
    """Writes golden.safetensors and returns what it measured."""
    has_native = spec.dtype != "float32" and spec.native
    native = _load(folder) if has_native else None
    reference = _in_f32(_load(folder))
    seed = spec.like or spec.name
    # made when they are first needed: most seeds that do not suit show it before
    nudged = functools.cache(lambda index: _nudged(_in_f32(_load(folder)), seed, index))
    tensors, measured, followed = {}, {"margin": float("inf"), "native": (0.0, 0.0), "largest": 0.0}, {}
    for case in spec.cases:
        prompt = prompt_of(spec, sum(case.chunks))
        # a chunked case gets the tokens of the case it is compared with
        tokens = followed.get(len(prompt))
        prefill, fed, steps = _run(reference, prompt, case, tokens)
        measured["margin"] = min(measured["margin"], margin(prefill[-1:]), margin(steps))
        if measured["margin"] < 10 * tolerance:
            raise Unsuitable("two tokens all but tie")
        if tokens is None:
            followed[len(prompt)] = fed
            if case.name == "short" and len(set(fed)) < DIFFERENT_TOKENS:
                raise Unsuitable("the same tokens again and again")
        # a choice of experts, or the rounding of a quantized cache, may hang on the last bit
        for index, nudge in enumerate(NUDGES if case.cache[:1] == (3,) else NUDGES[:1]):
            moved = _run(nudged(index), prompt, case, fed)
            limit = tolerance if nudge == NUDGES[0] else tolerance / 2
            if max(np.abs(moved[0] - prefill).max(), np.abs(moved[2] - steps).max()) > limit:
                raise Unsuitable("a last bit decides")
        measured["largest"] = max(measured["largest"], float(np.abs(steps).max()))
        tensors[f"{case.name}.prompt"] = _ints(prompt)
        tensors[f"{case.name}.chunks"] = _ints(case.chunks)
        tensors[f"{case.name}.tokens"] = _ints(fed)
        tensors[f"{case.name}.prefill"] = _floats(prefill)
        tensors[f"{case.name}.steps"] = _floats(steps)
        if case.cache:
            tensors[f"{case.name}.cache"] = _ints(case.cache)
        if has_native:
            in_kind = _run(native, prompt, case, fed)
            tensors[f"{case.name}.native.prefill"] = _floats(in_kind[0])
            tensors[f"{case.name}.native.steps"] = _floats(in_kind[2])
            apart = np.abs(np.concatenate([in_kind[0] - prefill, in_kind[2] - steps]))
            worst, mean = measured["native"]
            measured["native"] = (max(worst, float(apart.max())), max(mean, float(apart.mean())))
    safetensors_io.write(folder / "golden.safetensors", tensors)
    return measured


def generation(folder, spec, tokenizer, tolerance):
    """golden.json: what mlx-lm itself generates greedily in f32, with no end of sequence."""
    model = _load(folder)
    model.set_dtype(mx.float32)
    prompt = prompt_of(spec, 24)
    greedy = []
    for token, logprobs in generate_step(mx.array(prompt), model, max_tokens=GREEDY_TOKENS):
        if margin(np.array(logprobs)) < 10 * tolerance:
            raise Unsuitable("two tokens all but tie")
        greedy.append(int(token))
    tokenizer.eos_token_ids = set()
    streamed = list(stream_generate(model, tokenizer, prompt, max_tokens=GREEDY_TOKENS))
    if [response.token for response in streamed] != greedy:
        raise AssertionError(f"{spec.name}: stream_generate and generate_step disagree")
    text = "".join(response.text for response in streamed)
    return {"dtype": "float32", "prompt": prompt, "greedy": greedy, "text": text}
