# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Muon for the matrices of the layers, together with AdamW for everything else."""

import torch

# Coefficients of the quintic iteration that drives all singular values towards one.
QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalized(matrices, steps=5):
    """Each matrix of a batch with its singular values made about equal, by Newton-Schulz steps."""
    x = matrices.bfloat16()
    flipped = x.shape[-2] > x.shape[-1]
    if flipped:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if flipped else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalized, for all matrices of one shape at once."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.01):
        shapes = {}
        for param in params:
            shapes.setdefault(param.shape, []).append(param)
        groups = [{"params": same} for same in shapes.values()]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        """One update."""
        for group in self.param_groups:
            params, lr, momentum = group["params"], group["lr"], group["momentum"]
            gradients = torch.stack([param.grad for param in params])
            state = self.state[params[0]]
            if not state:
                state["momentum"] = torch.zeros_like(gradients)
            state["momentum"].lerp_(gradients, 1 - momentum)
            update = orthogonalized(gradients.lerp(state["momentum"], momentum))
            rows, columns = params[0].shape
            scale = lr * max(1, rows / columns) ** 0.5
            torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
            torch._foreach_add_(params, list(update.to(params[0].dtype).unbind(0)), alpha=-scale)


def optimizers(model):
    """The optimizers of a model, each with its base learning rates kept in "base_lr"."""
    matrices = [param for param in model.model.layers.parameters() if param.ndim == 2]
    chosen = set(map(id, matrices))
    others = [param for param in model.parameters() if id(param) not in chosen]
    fused = others[0].is_cuda
    both = [
        Muon(matrices, lr=0.02),
        torch.optim.AdamW(others, lr=0.003, betas=(0.9, 0.95), weight_decay=0.0, fused=fused),
    ]
    for optimizer in both:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return both
