# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Tiny random models for the second oracle: built, saved and loaded by transformers, in eager attention on the CPU."""

import copy
import hashlib
import math
import re
import warnings

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Gemma3nVisionConfig,
    PreTrainedModel,
)
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
# tables that Llama 4 makes anew when it is loaded
warnings.filterwarnings("ignore", "Casting complex values")
# one order of summation, and a process for each core
torch.set_num_threads(1)

EAGER = {"attn_implementation": "eager"}
# tensors that are neither matrices nor constant at first: around which number they lie, and how far from it
ODD = {
    "A_log": (0.5, 0.7),
    "conv1d.weight": (0.0, 0.7),
    "sinks": (0.5, 1.0),
    "correct_output_scale": (1.0, 0.4),
}


class Tower(PreTrainedModel):
    """Stands for Gemma 3n's vision tower, which another library would have to make."""

    config_class = Gemma3nVisionConfig

    def __init__(self, config):
        super().__init__(config)
        self.projection = torch.nn.Linear(config.hidden_size, config.hidden_size)
        self.post_init()


AutoModel.register(Gemma3nVisionConfig, Tower, exist_ok=True)


def generator(*key):
    """A random generator of its own for every key, so that adding one tensor moves no other."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def uniform(rng, shape, mean, spread):
    """Uniform in mean ± spread; arithmetic only, so it is the same on every machine."""
    return torch.from_numpy(((rng.random(shape) * 2 - 1) * spread + mean).astype(np.float32))


def _values(rng, key, tensor, case):
    """Random values that are nowhere constant, at a scale that keeps the activations around one."""
    shape = tuple(tensor.shape)
    if case.last_norm is not None and re.search(r"(^|model\.)norm\.weight$", key):
        return uniform(rng, shape, case.last_norm, 0.3)
    for suffix, (mean, spread) in ODD.items():
        if key.endswith(suffix):
            return uniform(rng, shape, mean, spread)
    first = tensor.flatten()[0]
    constant = bool((tensor == first).all())
    if constant or tensor.dim() < 2:
        # norms, biases and scales, around what they are before training
        return uniform(rng, shape, float(first) if constant else 0.0, 0.3)
    # the uniform distribution's standard deviation is spread / √3
    if "embed" in key:
        return uniform(rng, shape, 0.0, case.embedding * math.sqrt(3))
    gain = 2.0 if "lm_head" in key else 1.4
    return uniform(rng, shape, 0.0, gain * math.sqrt(3 / math.prod(shape[1 if tensor.dim() > 3 else -1 :])))


def build(case, salt):
    """A case's model in float32, with random weights rounded to the dtype that they are saved in."""
    config = AutoConfig.for_model(case.model_type, **copy.deepcopy(case.config))
    dtype = getattr(torch, case.dtype)
    torch.manual_seed(0)
    model = _auto(config).from_config(config, **EAGER).eval()
    if case.padding:
        model.resize_token_embeddings(pad_to_multiple_of=case.padding)
    seen = set()
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if tensor.is_floating_point() and tensor.data_ptr() not in seen:
                seen.add(tensor.data_ptr())
                tensor.copy_(_values(generator(case.name, salt, key), key, tensor, case).to(dtype))
    return _endless(model)


def save(folder, case, model):
    """Saves it as transformers does, but without a generation_config.json, which says nothing about logits."""
    model.to(getattr(torch, case.dtype)).save_pretrained(
        folder, save_original_format=case.layout == "hub", max_shard_size=case.shard_size or "1GB"
    )
    (folder / "generation_config.json").unlink(missing_ok=True)
    if case.swapped:
        path = folder / "model.safetensors"
        tensors = load_file(path)
        for key in tensors:
            if re.search(case.swapped, key):
                tensors[key] = tensors[key].transpose(-1, -2).contiguous()
        save_file(tensors, path, metadata={"format": "pt"})


def load(folder):
    """The model of a folder in float32, and the names of tensors that do not fit."""
    config = AutoConfig.from_pretrained(folder)
    torch.manual_seed(0)
    model, info = _auto(config).from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **EAGER)
    return _endless(model.eval()), sorted(str(name) for names in info.values() for name in names)


def _endless(model):
    """Nothing but the length ends an answer."""
    model.generation_config.eos_token_id = None
    return model


def _auto(config):
    # where transformers lists Mistral 4, though it is a text model
    several = hasattr(config, "text_config") or config.model_type == "mistral4"
    return AutoModelForImageTextToText if several else AutoModelForCausalLM
