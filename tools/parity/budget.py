# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Compares the operations of one decode step with mlx-lm's: one fixture of each family, in the dtype of its files.

A small model on a GPU is as fast as the host submits operations, so they have a budget: as many as mlx-lm's in all,
and as many conversions, copies and slices. docs/parity.md has the numbers, so that none grows unnoticed. Standard
library only.
"""

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KINDS = ("AsType", "Copy", "Slice")
# Those that evaluate bf16 on a CPU, where MLX's products of gathered matrices take f32 only.
DENSE = ("llama-bf16", "qwen3-bf16", "gemma3_text-raw")


def names(fixtures):
    found = {path.name for path in fixtures.glob("*/") if path.name.endswith(("-4bit", "-mxfp4"))}
    return sorted(found | set(DENSE))


def count(python, options, fixtures, environment):
    """The operations of mlx-lm, and ours: {fixture: {kind: number}} each."""

    def run(command, **more):
        done = subprocess.run([*command, str(fixtures), *names(fixtures)], capture_output=True, text=True, **more)
        if done.returncode:
            raise RuntimeError(f"{command[-1]}: {done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    # What mlx-lm compiles is one operation, as what we compile.
    environment = {name: value for name, value in environment.items() if name != "MLX_DISABLE_COMPILE"}
    theirs = run([str(python), str(HERE / "operations.py")], env=environment)
    ours = run(["cargo", "run", "--quiet", *options, "--example", "operations", "--"], cwd=ROOT)
    return theirs, ours


def rows(theirs, ours):
    """(fixture, [(ours, theirs) of all kinds, and of each of KINDS])"""
    for name, kinds in theirs.items():
        yield name, [tuple(_number(of, kind) for of in (ours[name], kinds)) for kind in ("all", *KINDS)]


def _number(kinds, kind):
    return sum(kinds.values()) if kind == "all" else kinds.get(kind, 0)


def problems(counted, page):
    """What is above mlx-lm's, and what is not as the page says."""
    said = page.read_text(encoding="utf-8").splitlines()
    for name, pairs in counted:
        for kind, (ours, theirs) in zip(("all", *KINDS), pairs, strict=True):
            if ours > theirs:
                yield f"{name}, {kind}: {ours} operations, but mlx-lm has {theirs}"
    lines = list(table(counted))
    stands = said[said.index("<!-- begin operations -->") + 1 : said.index("<!-- end operations -->")]
    for line in lines:
        if line not in stands:
            yield f"{page.name} does not say {line} (--write)"
    for line in stands:
        if line and line not in lines:
            yield f"{page.name} says {line}, which was not counted (--write)"


def table(counted):
    """The lines of the table in docs/parity.md."""
    yield f"| fixture | all | {' | '.join(KINDS)} |"
    yield "|---|---|---|---|---|"
    for name, pairs in counted:
        yield f"| {name} | {' | '.join(f'{ours} : {theirs}' for ours, theirs in pairs)} |"
