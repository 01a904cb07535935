# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Generates the fixtures: tiny seeded models, and what mlx-lm computes with them.

    target/oracle/bin/python tools/parity/fixtures.py                 # into __test__/fixtures
    target/oracle/bin/python tools/parity/fixtures.py --out DIR [NAME ...]

Every number comes from a seed of its own, so a second run writes the same bytes. Run it with the python
that tools/parity/venv.py prints.
"""

import argparse
import json
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import goldens
import matrix
import models
import options
import samplers
import tiny_tokenizer
import tokenizer_goldens
import tool_calls
from oracle import load_tokenizer

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "__test__" / "fixtures"
TOLERANCES = json.loads((HERE / "tolerances.json").read_text())
ATTEMPTS = 256
# the last column is how far mlx-lm in the checkpoint's dtype is from itself in f32: worst (mean)
HEADS = ("fixture", "dtype", "KB", "seed", "margin", "max |logit|", "|native - f32|")


def make(out, spec):
    """One fixture folder, with the first seed that is suitable."""
    folder = out / spec.name
    for salt in range(ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        model, config = models.build(spec, salt)
        models.save(folder, spec, salt, model, config)
        try:
            return salt, _record(folder, spec)
        except goldens.Unsuitable:
            continue
    raise SystemExit(f"error: no seed below {ATTEMPTS} suits {spec.name}")


def _record(folder, spec):
    tolerance = TOLERANCES["f32"]["abs"]
    measured = goldens.record(folder, spec, tolerance)
    if spec.base:
        config = spec.config
        tiny_tokenizer.save(folder, config["vocab_size"], config["max_position_embeddings"])
        tokenizer = load_tokenizer(folder)
        made = goldens.generation(folder, spec, tokenizer, tolerance)
        models.write_json(folder / "golden.json", made | {"chat": tiny_tokenizer.chat(tokenizer)})
    return measured


def _make_named(out, name):
    """`make` for another process, to which a spec, which holds functions, cannot be sent."""
    return make(out, next(spec for spec in matrix.ALL if spec.name == name))


def _report(folder, spec, salt, measured):
    """Prints the row of a fixture."""
    size = sum(file.stat().st_size for file in folder.rglob("*")) / 1024
    worst, mean = measured["native"]
    apart = f"{worst:.3f} ({mean:.3f})" if worst else ""
    print(
        f"{spec.name:<26}{spec.dtype:<10}{size:>5.0f}{salt:>6}{measured['margin']:>9.4f}"
        f"{measured['largest']:>13.2f}{apart:>17}",
        flush=True,
    )


def write(path, made):
    path.write_text(json.dumps(made, separators=(",", ":")) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description="Generates the parity fixtures with mlx-lm.")
    parser.add_argument("--out", type=Path, default=FIXTURES, help="folder to write to")
    parser.add_argument("--committed", action="store_true", help="only those that are committed")
    parser.add_argument("--list", action="store_true", help="only print the names")
    parser.add_argument("names", nargs="*", help="only these fixtures")
    arguments = parser.parse_args()
    known = {spec.name: spec for spec in matrix.ALL if spec.committed or not arguments.committed}
    for name in arguments.names:
        if name not in known:
            parser.error(f"no fixture is called '{name}'")
    chosen = arguments.names or list(known)
    if arguments.list:
        print("\n".join(chosen))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("{:<26}{:<10}{:>5}{:>6}{:>9}{:>13}{:>17}".format(*HEADS))
    # spawned, as MLX's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=min(os.cpu_count(), len(chosen)), mp_context=context) as pool:
        made = pool.map(partial(_make_named, arguments.out), chosen)
        for name, (salt, measured) in zip(chosen, made, strict=True):
            _report(arguments.out / name, known[name], salt, measured)
    if not arguments.names:
        tolerance = TOLERANCES["f32"]["abs"]
        write(arguments.out / "samplers.json", samplers.make())
        write(arguments.out / "options.json", options.make(arguments.out, known, tolerance))
        tool_calls.write(arguments.out)
        tokenizer_goldens.write(arguments.out)


if __name__ == "__main__":
    main()
