# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Import this, and mlx-lm 0.32.2 runs quantized experts on mlx 0.32.2.

As published, the two do not fit: mlx-lm gives `mx.gather_qmm` a `global_scale`, which is None but for nvfp4 checkpoints
of one kind, and this mlx has no such argument. None is left out here; nothing else changes. With mlx 0.32.4, which has
the argument, unmodified mlx-lm gave exactly the same logits on six of the fixtures. Where there is one, experts are
dequantized with it (which this mlx can) and multiplied as dense ones.
"""

import mlx.core as mx

if "global_scale" not in mx.gather_qmm.__doc__:
    _gather_qmm = mx.gather_qmm

    def _without_global_scale(x, w, scales, biases=None, *, global_scale=None, **kwargs):
        if global_scale is None:
            return _gather_qmm(x, w, scales, biases, **kwargs)
        how = {name: kwargs.pop(name) for name in ("group_size", "bits", "mode")}
        del kwargs["transpose"]
        dense = [
            mx.dequantize(*expert, global_scale=scale, dtype=x.dtype, **how)
            for *expert, scale in zip(w, scales, global_scale, strict=True)
        ]
        return mx.gather_mm(x, mx.stack(dense).swapaxes(-1, -2), **kwargs)

    mx.gather_qmm = _without_global_scale
