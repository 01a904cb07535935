# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Import this, and mlx-lm 0.32.2 runs quantized experts on mlx 0.32.2.

As published, the two do not fit: mlx-lm gives `mx.gather_qmm` a `global_scale`, which is None but for nvfp4 checkpoints of
one kind, and this mlx has no such argument. None is left out here; nothing else changes. With mlx 0.32.4, which has the
argument, unmodified mlx-lm gave exactly the same logits on six of the fixtures.
"""

import mlx.core as mx

if "global_scale" not in mx.gather_qmm.__doc__:
    _gather_qmm = mx.gather_qmm

    def _without_global_scale(*args, global_scale=None, **kwargs):
        if global_scale is not None:
            raise TypeError("this mlx knows no global_scale")
        return _gather_qmm(*args, **kwargs)

    mx.gather_qmm = _without_global_scale
