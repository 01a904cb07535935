# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Makes mlx-lm compute what the model makers do where that needs other code, not another setting of a fixture.

docs/parity.md lists all differences. Import it after mlx-lm's device is chosen: oracle.py does.
"""

import mlx.core as mx
from mlx import nn
from mlx_lm.models import gemma, gemma3_text


def _feed_forward(self, x):
    """The first Gemma was trained with the GELU that has a hyperbolic tangent; mlx-lm has the exact one."""
    return self.down_proj(nn.gelu_approx(self.gate_proj(x)) * self.up_proj(x))


gemma.MLP.__call__ = _feed_forward


class _Unrounded:
    """mlx.core, except that what asks for bf16 gets f32."""

    bfloat16 = mx.float32

    def __getattr__(self, name):
        return getattr(mx, name)


# rounds the factor of Gemma 3's embeddings to bf16 whatever the model computes in
gemma3_text.mx = _Unrounded()
