# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""How a fixture of the second oracle is made, checked and recorded; see transformers_oracle.py."""

import json
import re
import shutil
import tempfile
from pathlib import Path

import torch

import safetensors_io
import transformers_forms
from transformers_models import build, generator, load, save, uniform

PROMPT = 24
STEPS = 12
TOP = 20
ATTEMPTS = 64
# in log-probabilities, of which the test allows 1e-3: by how much the greedy token leads at least, ...
LEAD = 0.03
# ... by how much rounding may move them, and a feature must
ROUNDING = 2e-4
FEATURE = 1e-2
# relative; about what summation in another order changes
NUDGE = 1e-6
# fewer different tokens than this and the steps would test the same input over and over
DIFFERENT_TOKENS = 5
# ids below are special tokens
FIRST_TOKEN = 3


class Unsuitable(Exception):
    """The random weights make a poor fixture: try others."""


class Wrong(Exception):
    """Something does not hold that must hold whatever the weights are."""


def prompt_of(case):
    text = case.config.get("text_config", case.config)
    rng = generator(case.name, "prompt")
    return [int(token) for token in rng.integers(FIRST_TOKEN, text["vocab_size"], PROMPT)]


@torch.no_grad()
def greedy(model, prompt):
    """What `generate` appends, and the log-probabilities of every position that it chooses from."""
    tokens = torch.tensor([prompt])
    made = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=STEPS,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    return made.sequences[0, len(prompt) :].tolist(), _logprobs(torch.cat(made.logits))


@torch.no_grad()
def fresh(model, prompt, tokens):
    """The same positions in a run of their own each, without a cache."""
    runs = [torch.tensor([prompt + tokens[:count]]) for count in range(STEPS)]
    return _logprobs(torch.stack([model(input_ids=run, use_cache=False).logits[0, -1] for run in runs]))


def _logprobs(logits):
    return torch.log_softmax(logits.double(), -1)


def lead(logprobs):
    """By how much the best token leads, at the narrowest of the positions."""
    best, second = logprobs.topk(2).values.unbind(-1)
    return float((best - second).min())


def check(tokens, logprobs):
    """Fails if greedy decoding with these weights nearly ties or goes in circles."""
    if lead(logprobs) < LEAD:
        raise Unsuitable("two tokens all but tie")
    if len(set(tokens)) < DIFFERENT_TOKENS:
        raise Unsuitable("the same tokens again and again")


def edit(folder, changes):
    """Sets dotted keys of config.json."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key, value in changes.items():
        transformers_forms.put(config, key, value)
    if changes:
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _nudged(model, case):
    """The model with every number moved by about as much as rounding moves an activation."""
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            tensor.mul_(uniform(generator(case.name, "nudge", key), tuple(tensor.shape), 1.0, NUDGE))
    return model


def _changed(folder, change, scratch):
    """A copy of a fixture with a change: see Case.features. Returns its model."""
    if isinstance(change, str):
        model, _ = load(folder)
        tensors = [tensor for key, tensor in model.named_parameters() if re.search(change, key)]
        if not tensors:
            raise Wrong(f"no tensor is called '{change}'")
        with torch.no_grad():
            for tensor in tensors:
                tensor.zero_()
        return model
    changed = Path(scratch) / "changed"
    shutil.rmtree(changed, ignore_errors=True)
    shutil.copytree(folder, changed)
    edit(changed, change)
    return load(changed)[0]


def _write_older(folder, case, scratch):
    """Writes config.older.json, and a model that has it as its config.json."""
    config = json.loads((folder / "config.json").read_text())
    config = transformers_forms.older(config, case.older_extra, case.older_lacks)
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / "config.older.json").write_text(text, encoding="utf-8")
    shutil.copytree(folder, scratch / "older")
    (scratch / "older" / "config.json").write_text(text, encoding="utf-8")


def record(folder, case):
    """Writes expected.safetensors and config.older.json, and returns the lead and the effect of each feature."""
    prompt = prompt_of(case)
    tokens, logprobs = greedy(load(folder)[0], prompt)
    check(tokens, logprobs)
    expected, top = logprobs.topk(TOP)

    def apart(other):
        return float((other.gather(-1, top) - expected).abs().max())

    alone = fresh(load(folder)[0], prompt, tokens)
    if apart(alone) > ROUNDING and not case.stale_keys:
        raise Wrong(f"without a cache it computes something else ({apart(alone):.1e})")
    nudged = fresh(_nudged(load(folder)[0], case), prompt, tokens)
    if float((nudged - alone).abs().max()) > ROUNDING:
        raise Unsuitable("a last bit decides")
    effects = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, change in case.features.items():
            other = fresh(_changed(folder, change, scratch), prompt, tokens)
            effects[name] = float((other - alone).gather(-1, top).abs().max())
            # written so that a NaN fails
            if not effects[name] >= FEATURE:
                raise Wrong(f"'{name}' hardly matters ({effects[name]:.1e})")
        if case.older:
            _write_older(folder, case, Path(scratch))
            other = fresh(load(Path(scratch) / "older")[0], prompt, tokens)
            if not torch.equal(other, alone):
                raise Wrong("config.older.json means something else to transformers")
    tensors = {
        "prompt": safetensors_io.from_numbers("I32", [len(prompt)], prompt),
        "tokens": safetensors_io.from_numbers("I32", [STEPS], tokens),
        "top": safetensors_io.from_numbers("I32", [STEPS, TOP], top.flatten().tolist()),
        "logprobs": safetensors_io.from_numbers("F32", [STEPS, TOP], expected.flatten().tolist()),
    }
    safetensors_io.write(folder / "expected.safetensors", tensors)
    return lead(logprobs), effects


def make(out, case):
    """One fixture folder, with the first seed that is suitable."""
    folder = out / case.name
    for salt in range(ATTEMPTS):
        try:
            model = build(case, salt)
            check(*greedy(model, prompt_of(case)))
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            save(folder, case, model)
            edit(folder, case.edited)
            wrong = load(folder)[1]
            if wrong:
                raise Wrong(f"transformers does not find what it saved: {', '.join(wrong[:3])}")
            return salt, *record(folder, case)
        except Unsuitable:
            continue
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    raise Wrong(f"no seed below {ATTEMPTS} suits it")
