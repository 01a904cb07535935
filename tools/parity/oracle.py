# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""mlx and mlx-lm as the oracle uses them: on the CPU, whatever the machine has.

Import mlx and mlx-lm from here only: mlx-lm makes its generation stream while it is imported, on the
device that is the default at that time.
"""

import hashlib

import mlx.core as mx

mx.set_default_device(mx.cpu)

# before mlx-lm
import gather_qmm  # noqa: E402, F401

# isort: split
import differences  # noqa: E402, F401

# isort: split
import numpy as np  # noqa: E402
from mlx import nn  # noqa: E402
from mlx.utils import tree_flatten  # noqa: E402
from mlx_lm import sample_utils  # noqa: E402
from mlx_lm.generate import TextStateMachine, generate_step, make_text_state_machine, stream_generate  # noqa: E402
from mlx_lm.models.cache import KVCache, make_prompt_cache  # noqa: E402
from mlx_lm.tokenizer_utils import _infer_tool_parser as infer_tool_parser  # noqa: E402
from mlx_lm.tokenizer_utils import load as load_tokenizer  # noqa: E402
from mlx_lm.tuner.utils import linear_to_lora_layers  # noqa: E402
from mlx_lm.utils import _get_classes as get_classes  # noqa: E402
from mlx_lm.utils import load_adapters, load_model, quantize_model  # noqa: E402

__all__ = [
    "KVCache",
    "TextStateMachine",
    "generate_step",
    "generator",
    "get_classes",
    "infer_tool_parser",
    "linear_to_lora_layers",
    "load_adapters",
    "load_model",
    "load_tokenizer",
    "make_prompt_cache",
    "make_text_state_machine",
    "mx",
    "nn",
    "np",
    "quantize_model",
    "sample_utils",
    "stream_generate",
    "tree_flatten",
    "uniform",
]


def generator(*key):
    """A random generator of its own for every key, so that adding one tensor moves no other."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def uniform(rng, shape, mean, spread):
    """Uniform in mean ± spread; arithmetic only, so it is the same on every machine."""
    return ((rng.random(shape) * 2 - 1) * spread + mean).astype(np.float32)
