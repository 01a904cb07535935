# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Runs the kernels' tests, and the parity test on some fixtures, as programs for arm64 Linux: under qemu, on Linux x64.

    python3 tools/parity/arm64.py [FIXTURE ...]
    python3 tools/parity/arm64.py --list           # only says which fixtures

The compilers, qemu and arm64's libraries come from Debian's archive (see scripts/cross/toolchain.py), and nothing is
installed. The first run takes some ten minutes. QEMU_CPU selects another processor. Standard library only.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts/cross"))
from toolchain import ARM64_LINUX, WORK, emulator, variables_for  # noqa: E402

COMMITTED = ROOT / "__test__" / "fixtures"
# has no SME, which "max" has
PROCESSOR = "neoverse-n1"
# one of each kind of kernel
FIXTURES = (
    *("llama-2bit", "llama-3bit", "llama-4bit", "llama-5bit", "qwen3-6bit", "mistral-8bit", "llama-bf16", "llama-f16"),
    *("llama", "mixtral-4bit", "gpt_oss-mxfp4", "gemma3-4bit", "llama-sliding-4bit", "qwen3_next-4bit"),
)


def main():
    names = sys.argv[1:]
    if names == ["--list"]:
        count = sum((COMMITTED / name).is_dir() for name in FIXTURES)
        print(f"{count} of {len(FIXTURES)} fixtures are committed: {', '.join(FIXTURES)}")
        return
    runner = f"CARGO_TARGET_{ARM64_LINUX.replace('-', '_').upper()}_RUNNER"
    variables = os.environ | variables_for(ARM64_LINUX) | {runner: " ".join(emulator())}
    fixtures = WORK / "fixtures"
    shutil.rmtree(fixtures, ignore_errors=True)
    for name in names or FIXTURES:
        shutil.copytree(COMMITTED / name, fixtures / name)
    variables |= {"NODE_MLX_FIXTURES": str(fixtures), "QEMU_CPU": os.environ.get("QEMU_CPU", PROCESSOR)}
    test = ("cargo", "test", "--release", "--target", ARM64_LINUX)
    for tests in (("--test", "parity"), ("--package", "cpu-kernels")):
        subprocess.run([*test, *tests], cwd=ROOT, env=variables, check=True)


if __name__ == "__main__":
    try:
        main()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
