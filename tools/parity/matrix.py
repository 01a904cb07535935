# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Every architecture × every way of storing its weights × every kind of cache.

families/ lists the architectures. Each becomes a fixture for its dense weights (stored in bf16, computed in f32) and
one for each quantization mode, and each fixture runs with every kind of cache that mlx-lm has for the model.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import specs
from specs import Case, Spec

# The windows of the models' configs are shorter than the prompt, so that they wrap.
DEFAULT = (Case("short", (24,), 12), Case("chunked", (7, 1, 1, 1, 1, 13), 4))
CACHES = {
    "plain": Case("plain", (24,), 12, (1,)),
    "rotating": Case("rotating", (9, 15), 12, (2, 16)),
    "kv8": Case("kv8", (10, 14), 12, (3, 32, 8)),
    "kv4": Case("kv4", (10, 14), 12, (3, 32, 4)),
}

MODES = {
    "4bit": {"group_size": 32, "bits": 4},
    "8bit": {"group_size": 32, "bits": 8},
    "mxfp4": {"group_size": 32, "bits": 4, "mode": "mxfp4"},
    "mxfp8": {"group_size": 32, "bits": 8, "mode": "mxfp8"},
    "nvfp4": {"group_size": 16, "bits": 4, "mode": "nvfp4"},
}


@dataclass(frozen=True)
class Architecture:
    """One model of mlx-lm, tiny."""

    # the fixtures' name, mostly the model_type
    name: str
    config: dict
    # beside dense, in which of MODES its checkpoints are found
    modes: tuple = ("4bit",)
    # per-layer settings in every mode: {module path: {...} or False}, as Spec.quantization has them
    overrides: dict = field(default_factory=dict)
    # with which of CACHES mlx-lm can run it, and if not with all, why
    caches: tuple = ("rotating", "kv8", "kv4")
    why_not: str = ""
    # (config, {name: array}) of MLX's layout -> the same of the raw Hub layout, and the mode that is made from
    raw: Callable | None = None
    raw_mode: str | None = None
    norm_mean: float = 1.0
    # less for models that multiply the embedding and use it again for the logits
    embedding: float = 0.3
    # tensors that real checkpoints hold and the model drops: {name: shape}
    dropped: dict = field(default_factory=dict)

    # whether a quantized and a raw fixture run in `npm test`; the larger, dense ones run in `npm run parity` alone
    committed: bool = True

    def specs(self):
        common = {
            "dtype": "bfloat16",
            "cases": DEFAULT + tuple(CACHES[name] for name in self.caches),
            "native": False,
            "norm_mean": self.norm_mean,
            "embedding": self.embedding,
            "dropped": self.dropped,
        }
        yield Spec(f"{self.name}-dense", self.config, committed=False, **common)
        for mode in self.modes:
            yield Spec(
                f"{self.name}-{mode}",
                self.config,
                quantization=MODES[mode] | self.overrides,
                committed=self.committed and mode == self.modes[0],
                **common,
            )
        if self.raw:
            yield Spec(
                f"{self.name}-raw",
                self.config,
                quantization=MODES[self.raw_mode] | self.overrides if self.raw_mode else None,
                like=f"{self.name}-{self.raw_mode or 'dense'}",
                raw=self.raw,
                committed=self.committed,
                **common,
            )


def _all():
    # they need Architecture
    import adapters
    import formats
    from families import ARCHITECTURES

    return [
        *specs.ALL,
        *formats.ALL,
        *adapters.ALL,
        *(spec for architecture in ARCHITECTURES for spec in architecture.specs()),
    ]


ALL = _all()
