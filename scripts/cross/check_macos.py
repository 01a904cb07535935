#!/usr/bin/env python3
# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Checks what can be checked of the code for macOS, on Debian for x64.

    python3 scripts/cross/check_macos.py

Lints all of it, and compiles and links Rust's tests. Nothing runs them here: CI does on Macs.
"""

import os
import subprocess
import sys

from toolchain import MACOS, ROOT, lint, run, variables_for

# What is only linked need not be fast.
FAST_BUILD = {"CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16", "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1"}


def main():
    variables = os.environ | variables_for(MACOS)
    lint(MACOS, variables)
    command = ["cargo", "test", "--workspace", "--no-run", "--locked", "--release", "--target", MACOS]
    run(*command, cwd=ROOT, env=variables | FAST_BUILD)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
