# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Runs the kernels' tests, and the parity test on some fixtures, as programs for arm64 Linux: under qemu, on Linux x64.

    python3 tools/parity/arm64.py [FIXTURE ...]
    python3 tools/parity/arm64.py --list           # only says which fixtures

The compiler, qemu and arm64's libraries come from Debian's archive, and are unpacked into target/arm64; nothing is
installed but Rust's target. The first run takes some ten minutes. Standard library only.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COMMITTED = ROOT / "__test__" / "fixtures"
WORK = ROOT / "target" / "arm64"
TARGET = "aarch64-unknown-linux-gnu"
COMPILER = ("g++-aarch64-linux-gnu", "binutils-aarch64-linux-gnu")
LIBRARIES = ("libc6", "libstdc++6", "libgcc-s1", "libatomic1", "zlib1g")
# no SME, with which the pinned OpenBLAS has no kernels
PROCESSOR = "neoverse-n1"
# one of each kind of kernel
FIXTURES = (
    *("llama-2bit", "llama-3bit", "llama-4bit", "llama-5bit", "qwen3-6bit", "mistral-8bit", "llama-bf16", "llama-f16"),
    *("llama", "mixtral-4bit", "gpt_oss-mxfp4", "gemma3-4bit", "llama-sliding-4bit", "qwen3_next-4bit"),
)


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, **options)


class Archive:
    """The system's package archive, for both architectures, without a change of the system."""

    def __init__(self):
        home = WORK / "apt"
        for folder in ("lists/partial", "archives/partial"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        (home / "status").touch()
        self.config = home / "apt.conf"
        settings = {"State": home, "State::status": home / "status", "Cache": home}
        lines = ['APT::Architectures { "amd64"; "arm64"; };', 'APT::Sandbox::User "root";']
        lines += [f'Dir::{name} "{path}";' for name, path in settings.items()]
        self.config.write_text("\n".join(lines))
        self.is_current = False

    def apt(self, *arguments, **options):
        run("apt-get", "-qq", *arguments, env=os.environ | {"APT_CONFIG": str(self.config)}, **options)

    def unpack(self, name, *packages, dependencies=False):
        """Unpacks packages into a folder, with what they depend on if that is wanted."""
        folder, downloads = WORK / name, WORK / "downloads" / name
        if (folder / "complete").exists():
            return
        if not self.is_current:
            self.apt("update")
            self.is_current = True
        (downloads / "partial").mkdir(parents=True, exist_ok=True)
        if dependencies:
            place = f"Dir::Cache::archives={downloads}"
            self.apt("install", "-y", "--no-install-recommends", "--download-only", "-o", place, *packages)
        else:
            self.apt("download", *packages, cwd=downloads)
        for package in downloads.glob("*.deb"):
            run("dpkg", "-x", package, folder)
        (folder / "complete").touch()


def tool(name, program, *options):
    """Writes a program of this name, which runs the cross compiler's with options."""
    path, root = WORK / "bin" / name, WORK / "compiler"
    path.parent.mkdir(exist_ok=True)
    libraries = root / "usr/lib/x86_64-linux-gnu"
    command = f'{root}/usr/bin/aarch64-linux-gnu-{program} {" ".join(options)} "$@"'
    path.write_text(f"#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {command}\n")
    path.chmod(0o755)
    return str(path)


def environment():
    """What makes cargo build for arm64 and run under qemu."""
    sysroot = f"--sysroot={WORK / 'compiler'}"
    name = TARGET.replace("-", "_")
    tools = {
        f"CC_{name}": tool("cc", "gcc", sysroot),
        f"CXX_{name}": tool("c++", "g++", sysroot),
        f"AR_{name}": tool("ar", "ar"),
        # it does not look for the libraries of libraries where the loader does
        f"CARGO_TARGET_{name.upper()}_LINKER": tool("link-gcc", "gcc", sysroot, "-Wl,--allow-shlib-undefined"),
        f"CARGO_TARGET_{name.upper()}_RUNNER": f"{WORK}/qemu/usr/bin/qemu-aarch64-static -L {WORK}/libraries",
    }
    return os.environ | tools | {"QEMU_CPU": PROCESSOR, "CARGO_TARGET_DIR": str(WORK / "target")}


def main():
    names = sys.argv[1:]
    if names == ["--list"]:
        count = sum((COMMITTED / name).is_dir() for name in FIXTURES)
        print(f"{count} of {len(FIXTURES)} fixtures are committed: {', '.join(FIXTURES)}")
        return
    archive = Archive()
    archive.unpack("qemu", "qemu-user-static:amd64")
    archive.unpack("compiler", *COMPILER, dependencies=True)
    archive.unpack("libraries", *(f"{library}:arm64" for library in LIBRARIES))
    run("rustup", "target", "add", TARGET, cwd=ROOT)
    fixtures = WORK / "fixtures"
    shutil.rmtree(fixtures, ignore_errors=True)
    for name in names or FIXTURES:
        shutil.copytree(COMMITTED / name, fixtures / name)
    test = ("cargo", "test", "--release", "--target", TARGET)
    variables = environment() | {"NODE_MLX_FIXTURES": str(fixtures)}
    for tests in (("--test", "parity"), ("--package", "cpu-kernels")):
        run(*test, *tests, cwd=ROOT, env=variables)


if __name__ == "__main__":
    try:
        main()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
