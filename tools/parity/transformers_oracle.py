# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The second oracle: tiny random models that transformers saves, and what it computes with them in float32.

    target/transformers/bin/python tools/parity/transformers_oracle.py      # into __test__/transformers
    target/transformers/bin/python tools/parity/transformers_oracle.py --out DIR [NAME ...]

Run it with the python that `tools/parity/venv.py transformers` prints. A folder of a case (transformers_cases/) holds

- config.json and the weights, as save_pretrained writes them
- config.older.json, where the form has changed: the same config as an older transformers wrote it, mostly version 4
- expected.safetensors: `prompt` (I32), the 12 `tokens` (I32) that `generate` appends greedily, and for each of them the
  20 likeliest tokens in its place, best first, `top` (12, 20) (I32), with their log-probabilities `logprobs` (F32)

Nothing is written that could be right by chance: greedy tokens lead clearly, a last bit decides nothing, runs with and
without a cache agree, transformers reads both forms of config.json alike, and each feature of a case changes the
log-probabilities when it is switched off. Every number comes from a seed of its own, so a second run writes the same
bytes.
"""

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from transformers_cases import ALL

FIXTURES = Path(__file__).resolve().parent.parent.parent / "__test__" / "transformers"
HEADS = ("case", "model_type", "KB", "seed", "lead", "features, and by how much they matter")


def _make_named(out, name):
    """`make` for another process; gives the error in words, as not every exception can be sent."""
    # PyTorch is only there where fixtures are made.
    from transformers_making import make

    try:
        return make(out, next(case for case in ALL if case.name == name))
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]


def _report(folder, case, salt, narrowest, effects):
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1024
    told = ", ".join(f"{name} {effect:.2g}" for name, effect in effects.items())
    print(f"{case.name:<32}{case.model_type:<18}{size:>5.0f}{salt:>5}{narrowest:>7.3f}  {told}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Generates the fixtures of the second oracle with transformers.")
    parser.add_argument("--out", type=Path, default=FIXTURES, help="folder to write to")
    parser.add_argument("--list", action="store_true", help="only print the names")
    parser.add_argument("names", nargs="*", help="only these cases")
    arguments = parser.parse_args()
    known = {case.name: case for case in ALL}
    for name in arguments.names:
        if name not in known:
            parser.error(f"no case is called '{name}'")
    chosen = arguments.names or list(known)
    if arguments.list:
        print("\n".join(chosen))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("{:<32}{:<18}{:>5}{:>5}{:>7}  {}".format(*HEADS))
    failed = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=min(os.cpu_count(), len(chosen)), mp_context=context) as pool:
        for name, made in zip(chosen, pool.map(partial(_make_named, arguments.out), chosen), strict=True):
            if isinstance(made, str):
                failed.append(name)
                print(f"{name:<32}{known[name].model_type:<18} {made}", flush=True)
            else:
                _report(arguments.out / name, known[name], *made)
    if failed:
        raise SystemExit(f"error: {len(failed)} of {len(chosen)} cases failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
