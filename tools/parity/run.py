# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""`npm run parity`: is this port still mlx-lm, number by number, and what the model makers have where mlx-lm is not?

1. makes the oracle's environment (venv.py)
2. regenerates every fixture with the live oracle into target/parity/fixtures
3. compares them with the committed ones
4. runs the Rust parity test on the live ones, with each set of kernels that the CPU has
5. plants faults in copies of them: the test must fail on each
6. compares with what transformers computed (transformers_oracle.py makes these fixtures), with each set of kernels, too
7. compares the number of operations of a step with mlx-lm's (budget.py)

Exits 1 unless all of it holds. Standard library only; whatever needs mlx runs in the oracle's python.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import budget
import faults
import safetensors_io
import table
import venv
from cpu import cpu_flags

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COMMITTED = ROOT / "__test__" / "fixtures"
MAKERS = ROOT / "__test__" / "transformers"
WORK = ROOT / "target" / "parity"
# What was measured, written by --write.
PAGE = ROOT / "docs" / "parity.md"
TOLERANCES = json.loads((HERE / "tolerances.json").read_text())
# The committed goldens were made on Linux x86-64; another BLAS sums in another order.
SAME_MACHINE = (platform.system(), platform.machine()) == ("Linux", "x86_64")


class ParityError(Exception):
    """What does not hold, in one line."""


def oracle(python, *arguments):
    """Runs fixtures.py and gives what it prints."""
    command = [str(python), str(HERE / "fixtures.py"), *map(str, arguments)]
    done = subprocess.run(command, env=venv.clean_environment(), capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise ParityError(f"the oracle failed: {lines[-1]}")
    return done.stdout


def files(folder):
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}


def allowed(folder, tensor):
    """By how much a golden may differ from the committed one."""
    if SAME_MACHINE:
        return TOLERANCES["regenerated"]["abs"]
    dtype = json.loads((folder / "config.json").read_text())["torch_dtype"]
    native = {"bfloat16": "bf16_native", "float16": "f16_native"}.get(dtype)
    return TOLERANCES[native if ".native." in tensor and native else "f32"]["abs"]


def compare_goldens(committed, live):
    """Names the golden tensors that differ by more than they may."""
    old, new = safetensors_io.read(committed), safetensors_io.read(live)
    if old.keys() != new.keys():
        yield f"other tensors: {', '.join(sorted(old.keys() ^ new.keys()))}"
        return
    for name, tensor in old.items():
        if tensor[:2] != new[name][:2]:
            yield f"{name} has another shape"
            continue
        pairs = zip(safetensors_io.numbers(tensor), safetensors_io.numbers(new[name]), strict=True)
        limit = 0 if tensor[0] == "I32" else allowed(committed.parent, name)
        # written so that a NaN fails
        if not all(abs(a - b) <= limit for a, b in pairs):
            yield f"{name} differs by more than {limit}"


def compare_json(committed, live):
    """samplers.json, options.json and golden.json: the same but for the last digits."""

    def same(a, b):
        if isinstance(a, float) and isinstance(b, float):
            return abs(a - b) <= TOLERANCES["regenerated"]["abs"]
        if isinstance(a, dict) and isinstance(b, dict):
            return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
        if isinstance(a, list) and isinstance(b, list):
            return len(a) == len(b) and all(map(same, a, b))
        return a == b

    if not same(json.loads(committed.read_text()), json.loads(live.read_text())):
        yield "differs"


def compare(committed, live, names):
    """Everything in which the regenerated fixtures of these names differ from the committed ones."""

    def chosen(folder):
        return {name: path for name, path in files(folder).items() if name.split("/")[0] in names}

    single = ("samplers.json", "options.json", "tokenizers.json", "tool-calls.json")
    old, new = files(committed), chosen(live) | {name: live / name for name in single}
    for name in sorted(old.keys() ^ new.keys()):
        yield f"{name}: only {'committed' if name in old else 'regenerated'}"
    for name in sorted(old.keys() & new.keys()):
        if old[name].read_bytes() == new[name].read_bytes():
            continue
        if name.endswith("golden.safetensors"):
            problems = compare_goldens(old[name], new[name])
        elif name.endswith(".json"):
            problems = compare_json(old[name], new[name])
        else:
            problems = ["other bytes"]
        for problem in problems:
            yield f"{name}: {problem}"


def cargo_test(options, fixtures, report, kernels=None, test="parity"):
    """Runs a Rust test on a folder, with the kernels of that name; returns its exit status and its rows."""
    report.unlink(missing_ok=True)
    environment = os.environ | {"NODE_MLX_FIXTURES": str(fixtures), "NODE_MLX_PARITY_REPORT": str(report)}
    if kernels is not None:
        environment["NODE_MLX_KERNELS"] = kernels
    command = ["cargo", "test", "--quiet", *options, "--test", test, "--", "--test-threads=1"]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ParityError("cargo is not installed") from error
    if not report.exists():
        raise ParityError(f"the test '{test}' did not run:\n{(done.stdout + done.stderr).strip()[-3000:]}")
    return done.returncode, json.loads(report.read_text())


def print_table(rows):
    heads = ("fixture", "dtype", "prefill", "steps", "greedy", "tolerance", "verdict")
    layout = "{:<25}{:<10}{:>10}{:>10}{:>8}  {:<20}{}"
    print(layout.format(*heads))
    for row in rows:
        greedy = {True: "equal", False: "OTHER", None: "-"}[row["greedy_equal"]]
        apart = [f"{row[part]:.2e}" if row[part] is not None else "inf" for part in ("prefill", "steps")]
        limit = f"{row['tolerance']} {row['limit']:g}"
        print(layout.format(row["fixture"], row["dtype"], *apart, greedy, limit, row["verdict"]))


def print_problems(rows):
    for row in rows:
        for problem in row["problems"][:5]:
            print(f"  {row['fixture']}: {problem}")


def check_port(options, live, kernels=None):
    """Runs the Rust test on the live fixtures; returns its rows, and those that are wrong."""
    status, rows = cargo_test(options, live, WORK / "report.json", kernels)
    wrong = [row for row in rows if row["verdict"] != "ok"]
    made = {path.parent.name for path in live.glob("*/golden.safetensors")}
    if made != {row["fixture"] for row in rows} or (status != 0) != bool(wrong):
        raise ParityError("the test's report is not about the fixtures that were made")
    return rows, wrong


def check_makers(options, kernels=None):
    """Compares with transformers; returns the rows, and those that are wrong."""
    status, rows = cargo_test(options, MAKERS, WORK / "makers.json", kernels, "transformers")
    wrong = [row for row in rows if row["verdict"] != "ok"]
    made = {(path.parent.name, path.name) for path in MAKERS.glob("*/config*.json")}
    if made != {(row["fixture"], row["config"]) for row in rows} or (status != 0) != bool(wrong):
        raise ParityError("the test's report is not about the fixtures of transformers")
    return rows, wrong


def other_kernels():
    """The kernels of this machine's CPU, by the names of NODE_MLX_KERNELS, but for the best, which run by default."""
    flags = cpu_flags()
    sets = [("avx2", "avx512f"), ("avx512", "avx512_vnni")]
    baseline = [] if platform.machine() in ("aarch64", "arm64") else ["portable"]
    return [*(name for name, better in sets if better in flags), *baseline, "none"]


def check_faults(options, live):
    """Plants the faults; returns those that went unnoticed."""
    planted = faults.plant(live, WORK / "faults")
    status, rows = cargo_test(options, WORK / "faults", WORK / "faults.json")
    verdicts = {row["fixture"]: row for row in rows}
    missed = []
    for folder, fault in planted.items():
        row = verdicts.get(folder)
        # an error is no proof: the logits themselves must be found wrong
        if row is None or row["verdict"] != "mismatch":
            said = "; ".join(row["problems"]) if row else "not run"
            missed.append(f"{fault.name}: {said or 'passed'}")
    if status == 0:
        missed.append("the test exited with 0")
    return len(planted), missed


def main():
    parser = argparse.ArgumentParser(description="Checks this port against the live mlx-lm.")
    parser.add_argument("--profile", default="release", help="cargo profile of the test (default: release)")
    parser.add_argument("--features", default="", help="cargo features, for example cuda")
    parser.add_argument("--write", action="store_true", help="write the results to docs/parity.md")
    parser.add_argument("--kernels", nargs="*", help="the kernels to run it with too (default: all that the CPU has)")
    parser.add_argument("--no-rust", action="store_true", help="only compare the oracle with the fixtures")
    arguments = parser.parse_args()
    options = ["--profile", arguments.profile]
    options += ["--features", arguments.features] if arguments.features else []
    began, live = time.monotonic(), WORK / "fixtures"

    python = venv.ensure()
    WORK.mkdir(parents=True, exist_ok=True)
    committed = set(oracle(python, "--committed", "--list").split())
    shutil.rmtree(live, ignore_errors=True)
    oracle(python, "--out", live)
    stale = list(compare(COMMITTED, live, committed))
    for problem in stale:
        print(f"  {problem}")
    print(f"oracle mlx-lm {venv.ORACLE}: the committed fixtures {'DIFFER' if stale else 'are current'}\n")
    wrong, missed = [], []
    if not arguments.no_rust:
        rows, wrong = check_port(options, live)
        print_table(rows)
        print_problems(wrong)
        others = other_kernels() if arguments.kernels is None else arguments.kernels
        for kernels in others:
            again, failed = check_port(options, live, kernels)
            print(f"\nwith the kernels {kernels}: {len(again) - len(failed)} of {len(again)} fixtures ok")
            print_problems(failed)
            wrong += failed
        planted, missed = check_faults(options, live)
        print(f"\nplanted faults: {planted - len(missed)} of {planted} noticed")
        for fault in missed:
            print(f"  UNNOTICED {fault}")
        for kernels in (None, *others):
            made, failed = check_makers(options, kernels)
            worst = max((row["difference"] for row in made if row["verdict"] == "ok"), default=0.0)
            which = f" with the kernels {kernels}" if kernels else ""
            print(
                f"\ntransformers{which}: {len(made) - len(failed)} of {len(made)} configs ok, "
                f"at most {worst:.1e} apart, {made[0]['limit']:g} allowed"
            )
            print_problems(failed)
            wrong += failed
            if arguments.write and kernels is None:
                tables = {"mlx_lm": table.mlx_lm(rows, live), "transformers": table.transformers(made)}
                table.write(PAGE, **tables)
        counted = list(budget.rows(*budget.count(python, options, COMMITTED, venv.clean_environment())))
        if arguments.write:
            table.write(PAGE, operations=budget.table(counted))
        beyond = list(budget.problems(counted, PAGE))
        print(f"\noperations of a step: {len(counted)} fixtures, {len(beyond)} problems")
        for problem in beyond:
            print(f"  {problem}")
        wrong += beyond
    verdict = "FAILED" if stale or wrong or missed else "ok"
    print(f"parity {verdict} in {time.monotonic() - began:.0f} s")
    return 1 if verdict == "FAILED" else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    try:
        sys.exit(main())
    except (ParityError, venv.OracleError) as error:
        sys.exit(f"error: {error}")
