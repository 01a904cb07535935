# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""`npm run mutations`: would the parity suite notice a mistake in the port?

Plants mistakes in a copy of the sources, one after the other, builds it, and runs the parity test on the fixture that
should notice. Each must be found as a mismatch of logits, or by the unit tests that are named for it: neither an error
nor a build that fails is proof. The copy is
built once without optimization (some minutes), after that a mistake takes seconds. Standard library only.

    python3 tools/parity/mutations.py [TEXT ...]    # only those whose file or fixture contains one of the texts
    python3 tools/parity/mutations.py --list        # only check that each mistake can still be planted
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import venv
from mistakes import ALL

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "target" / "mutations"
FIXTURES = WORK / "all"
CRATE = WORK / "crate"
# A mistake is in our own kernels, in what MLX's need, or in what both share; `npm run parity` runs both.
KERNELS = ("", "none")
COPIED = (
    *("src", "kernels", ".cargo", "tools/parity/tolerances.json", "Cargo.lock", "build.rs"),
    *("__test__/parity.rs", "__test__/transformers.rs", "__test__/helpers/golden.rs"),
    # what unit tests include
    *("__test__/fixtures/tokenizers.json", "__test__/fixtures/tool-calls.json", "mlx-sys/mlx_version.rs"),
)
# before the names of unit tests, instead of a fixture
TEST = "test:"
# before the name of a fixture that transformers made
MAKERS = "transformers:"
# fast to build again; the dependencies stay optimized
PROFILE = "".join(
    f"""
[profile.release.package.{name}]
opt-level = 0
incremental = true
codegen-units = 64
"""
    for name in ("node-mlx", "cpu-kernels")
)


def update(source, target):
    """Copies a file that has changed; the copy is new, so that cargo also builds what a mistake was taken back from."""
    if not target.exists() or source.read_bytes() != target.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def copy_crate():
    """The sources beside the repository's, with its build folder kept from the last time."""
    for name in COPIED:
        sources = [ROOT / name, *(ROOT / name).rglob("*")]
        files = {path.relative_to(ROOT) for path in sources if path.is_file()}
        for old in (CRATE / name).rglob("*"):
            if old.is_file() and old.relative_to(CRATE) not in files:
                old.unlink()
        for file in files:
            update(ROOT / file, CRATE / file)
    manifest = (ROOT / "Cargo.toml").read_text()
    manifest = manifest.replace('path = "mlx-sys"', f'path = "{ROOT / "mlx-sys"}"')
    # the benches are not copied; the tests link the rlib alone, and nothing is stripped
    manifest = manifest.split("[[example]]")[0].replace('"cdylib", ', "").replace('strip = "symbols"', "strip = false")
    manifest = re.sub(r"\[profile\.release\.package\.cpu-kernels\][^\[]*", "", manifest)
    (CRATE / "Cargo.toml").write_text(manifest + PROFILE)


class NotRun(Exception):
    """The parity test was not built, or ended early."""


def parity(names, kernels=""):
    """The rows of the tests on these fixtures, with the kernels of that name; or raises `NotRun`."""
    of_makers = [name for name in names if name.startswith(MAKERS)]
    others = [name for name in names if name not in of_makers]
    rows = {}
    if others:
        rows |= {row["fixture"]: row for row in run_test("parity", lay_out(others), kernels)}
    if of_makers:
        for row in run_test("transformers", lay_out(of_makers), kernels):
            name = f"{MAKERS}{row['fixture']}"
            # of two configs, the worse one
            rows[name] = row if row["verdict"] != "ok" else rows.get(name, row)
    return rows


def run_test(test, fixtures, kernels):
    """The rows of a test's report on a folder of fixtures."""
    report = WORK / "report.json"
    report.unlink(missing_ok=True)
    environment = os.environ | {
        "CARGO_TARGET_DIR": str(WORK / "target"),
        "NODE_MLX_FIXTURES": str(fixtures),
        "NODE_MLX_PARITY_REPORT": str(report),
        "NODE_MLX_KERNELS": kernels,
    }
    command = ["cargo", "test", "--quiet", "--release", "--test", test, "--", "--test-threads=1"]
    done = subprocess.run(command, cwd=CRATE, env=environment, capture_output=True, text=True)
    if not report.exists():
        raise NotRun(f"the test '{test}' did not run:\n{(done.stdout + done.stderr).strip()[-3000:]}")
    return json.loads(report.read_text())


def unit_tests(name):
    """Whether the unit tests with this in their names pass; or raises `NotRun`."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(WORK / "target")}
    command = ["cargo", "test", "--quiet", "--release", "--lib", "--", name]
    done = subprocess.run(command, cwd=CRATE, env=environment, capture_output=True, text=True)
    result = next((line for line in done.stdout.splitlines() if line.startswith("test result:")), None)
    if result is None or " 0 passed; 0 failed" in result:
        raise NotRun(f"no unit test ran:\n{(done.stdout + done.stderr).strip()[-3000:]}")
    return done.returncode == 0


def make(names):
    """Has the oracle make these fixtures."""
    if not names:
        return
    shutil.rmtree(FIXTURES, ignore_errors=True)
    command = [str(venv.ensure()), str(ROOT / "tools/parity/fixtures.py"), "--out", str(FIXTURES), *names]
    done = subprocess.run(command, env=venv.clean_environment(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: the oracle failed:\n{done.stderr.strip()[-2000:]}")


def lay_out(names):
    """A folder with just these fixtures."""
    folder = WORK / "fixtures"
    shutil.rmtree(folder, ignore_errors=True)
    for name in names:
        bare = name.removeprefix(MAKERS)
        source = FIXTURES if bare == name else ROOT / "__test__" / "transformers"
        shutil.copytree(source / bare, folder / bare)
    return folder


def not_plantable(crate, file, old):
    """Why the sources have no one place for a mistake, or nothing."""
    path = crate / file
    if not path.is_file():
        return "the file does not exist"
    count = path.read_text().count(old)
    return None if count == 1 else f"the text to change occurs {count} times"


def show(chosen):
    """Lists mistakes; returns 1 if one cannot be planted."""
    problems = 0
    for file, old, new, fixture in chosen:
        problem = not_plantable(ROOT, file, old)
        problems += problem is not None
        print(f"{fixture}: {file} with `{new}`{f' (NOT POSSIBLE: {problem}: `{old}`)' if problem else ''}")
    print(f"{len(chosen) - problems} of {len(chosen)} mistakes can be planted")
    return 1 if problems else 0


def missed(file, old, new, fixture):
    """Plants one mistake; says how it was missed, or nothing."""
    problem = not_plantable(CRATE, file, old)
    if problem:
        return problem
    path = CRATE / file
    text = path.read_text()
    try:
        path.write_text(text.replace(old, new))
        if fixture.startswith(TEST):
            return "passed" if unit_tests(fixture.removeprefix(TEST)) else None
        for kernels in KERNELS:
            row = parity([fixture], kernels)[fixture]
            if row["verdict"] == "mismatch":
                return None
    except NotRun as error:
        return str(error)
    finally:
        path.write_text(text)
    return "; ".join(row["problems"]) or "passed"


def main():
    parser = argparse.ArgumentParser(description="Plants mistakes in the sources, which the parity test must notice.")
    parser.add_argument("wanted", nargs="*", metavar="TEXT", help="only mistakes whose file or fixture contains it")
    parser.add_argument("--list", action="store_true", help="only check that each mistake can still be planted")
    arguments = parser.parse_args()
    wanted = arguments.wanted
    chosen = [mistake for mistake in ALL if not wanted or any(text in f"{mistake[0]} {mistake[3]}" for text in wanted)]
    if not chosen:
        raise SystemExit("error: no mistake is about that")
    if arguments.list:
        return show(chosen)
    began = time.monotonic()
    noticing = sorted({fixture for *_, fixture in chosen})
    names = [name for name in noticing if not name.startswith(TEST)]
    tests = [name for name in noticing if name.startswith(TEST)]
    copy_crate()
    try:
        broken = [name for name in tests if not unit_tests(name.removeprefix(TEST))]
        if names:
            make([name for name in names if not name.startswith(MAKERS)])
            sound = parity(names)
            broken += [name for name, row in sound.items() if row["verdict"] != "ok"]
    except NotRun as error:
        raise SystemExit(f"error: {error}") from None
    if broken:
        raise SystemExit(f"error: without any mistake these fail already: {', '.join(broken)}")
    through = 0
    for mistake in chosen:
        how = missed(*mistake)
        through += how is not None
        file, _, new, fixture = mistake
        print(f"{'MISSED ' if how else 'noticed'} {fixture}: {file} with `{new}`{f' ({how})' if how else ''}")
    print(f"{len(chosen) - through} of {len(chosen)} mistakes noticed in {time.monotonic() - began:.0f} s")
    return 1 if through else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main())
