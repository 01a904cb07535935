# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Rewrites a config.json of transformers 5 into the form that an older transformers wrote.

Version 4 kept RoPE's settings flat (`rope_theta`, `rope_scaling`, `partial_rotary_factor`, `rope_local_base_freq`) and
called the dtype `torch_dtype`. Standard library only.
"""

import copy

VERSION = "4.57.6"
# of version 5 from the start
NEW = {"gemma4", "gemma4_text", "gemma4_unified"}
# saved as `num_local_experts` now
NUM_EXPERTS = {"qwen3_moe", "qwen3_vl_moe_text"}
# on the Hub, the text model's settings lie beside the vision model's
FLAT = {"qwen2_vl", "qwen2_5_vl"}
# transformers 4 knew the first by `type`, and the second is a default RoPE with sections
BY_TYPE = {"longrope"}


def older(config, extra, lacks):
    """The config as an older transformers wrote it: with other keys ({dotted key: value}), and without some."""
    new = config["model_type"] in NEW
    old = copy.deepcopy(config) if new else _model(config) | {"transformers_version": VERSION}
    for key, value in extra.items():
        put(old, key, value)
    for key in lacks:
        model, last = _find(old, key)
        del model[last]
    return old


def put(config, key, value):
    """Sets a dotted key."""
    model, last = _find(config, key)
    model[last] = value


def _find(config, key):
    *outer, last = key.split(".")
    for name in outer:
        config = config[name]
    return config, last


def _model(config):
    old = {}
    for key, value in config.items():
        if key == "dtype":
            old["torch_dtype"] = value
        elif key == "rope_parameters":
            old |= _rope(value)
        elif key.endswith("_config") and isinstance(value, dict):
            old[key] = _model(value)
        else:
            old[key] = value
    kind = config.get("model_type")
    if kind in NUM_EXPERTS and "num_local_experts" in old:
        old["num_experts"] = old.pop("num_local_experts")
    if kind in FLAT:
        text = {key: value for key, value in old.pop("text_config").items() if key != "model_type"}
        old = text | old
    return old


def _rope(parameters):
    """The flat keys for `rope_parameters`, which has one set for every layer or one for each type of layer."""
    if parameters is None:
        return {}
    local = parameters.get("sliding_attention")
    if local:
        return _rope(parameters["full_attention"]) | {"rope_local_base_freq": local["rope_theta"]}
    scaling = dict(parameters)
    flat = {key: scaling.pop(key) for key in ("rope_theta", "partial_rotary_factor") if key in scaling}
    kind = scaling.get("rope_type", "default")
    if kind in ("default", "axial"):
        del scaling["rope_type"]
        if "mrope_section" in scaling:
            # Qwen2-VL's has no more than this, Qwen3-VL's is interleaved
            scaling |= {"rope_type": "default"} if "mrope_interleaved" in scaling else {"type": "mrope"}
    elif kind in BY_TYPE:
        scaling["type"] = scaling.pop("rope_type")
    return flat | {"rope_scaling": scaling or None}
