# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""What this machine's CPU has."""

from pathlib import Path


def cpu_flags():
    """The names that Linux gives to the features of an x86 processor; empty elsewhere."""
    info = Path("/proc/cpuinfo")
    return set(info.read_text().split()) if info.exists() else set()
