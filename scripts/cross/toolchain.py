#!/usr/bin/env python3
# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Compilers for arm64 Linux, macOS and Windows, on Debian for x64, from the package registries only.

    python3 scripts/cross/toolchain.py TRIPLE

Unpacks into target/cross what a build for the triple needs, and prints the variables that make cargo use it, as JSON.
Nothing is installed: Debian's packages are unpacked, and read through an apt with a state of its own. Needs Debian's
security suite among apt's sources, which has a current rustc with the sources of its standard library; and cargo.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "cross"
ARM64_LINUX, MACOS = "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"
WINDOWS = "x86_64-pc-windows-gnu"
MACOS_VERSION = "14.0"  # the oldest that MLX runs on
PYTHON_PACKAGES = ("ziglang==0.15.2", "lief==1.0.0", "deflate==0.9.0")
LIBRARIES = "rust/usr/lib/x86_64-linux-gnu"  # of LLVM and of rustc
COMPLETE = ".complete"


def run(*command, **options):
    """Runs a program; what it prints goes to our standard error."""
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr, **options)


class Archive:
    """The system's package archive, for both architectures, without a change of the system."""

    def __init__(self):
        home = WORK / "apt"
        for folder in ("lists/partial", "archives/partial"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        (home / "status").touch()
        config = home / "apt.conf"
        settings = {"State": home, "State::status": home / "status", "Cache": home}
        lines = ['APT::Architectures { "amd64"; "arm64"; };', 'APT::Sandbox::User "root";']
        lines += [f'Dir::{name} "{path}";' for name, path in settings.items()]
        config.write_text("\n".join(lines))
        self.environment = os.environ | {"APT_CONFIG": str(config)}
        self.is_current = False

    def update(self):
        if not self.is_current:
            run("apt-get", "-qq", "update", env=self.environment)
            self.is_current = True

    def dependencies(self, *packages, like):
        """The names of what packages depend on directly, of those that match a regular expression; the newest last."""
        self.update()
        command = ["apt-cache", "depends", *packages]
        text = subprocess.check_output(command, text=True, env=self.environment)
        return sorted(set(re.findall(like, text)), key=lambda name: [int(part) for part in re.findall(r"\d+", name)])

    def unpack(self, name, *packages, dependencies=False):
        """Unpacks packages into a folder, with what they depend on if that is wanted."""
        folder, downloads = WORK / name, WORK / "downloads" / name
        if (folder / COMPLETE).exists():
            return
        self.update()
        (downloads / "partial").mkdir(parents=True, exist_ok=True)
        if dependencies:
            command = ["install", "-y", "--no-install-recommends", "--download-only", "-o"]
            run("apt-get", "-qq", *command, f"Dir::Cache::archives={downloads}", *packages, env=self.environment)
        else:
            run("apt-get", "-qq", "download", *packages, cwd=downloads, env=self.environment)
        for package in downloads.glob("*.deb"):
            run("dpkg", "-x", package, folder)
        (folder / COMPLETE).touch()


def program(name, *command, libraries=None):
    """Writes a program of this name, which runs a command with its own arguments added."""
    path = WORK / "bin" / name
    path.parent.mkdir(exist_ok=True)
    words = " ".join(f"'{part}'" for part in command)
    search = f"LD_LIBRARY_PATH='{WORK / libraries}' " if libraries else ""
    path.write_text(f'#!/bin/sh\n{search}exec {words} "$@"\n')
    path.chmod(0o755)
    return str(path)


def runtime_of_rustc(archive):
    """The names of the packages with rustc's own library and with its LLVM."""
    runtime = archive.dependencies("rustc-web:amd64", "libstd-rust-web-dev:amd64", like=r"libstd-rust-web-1\.\d+")[-1]
    return runtime, archive.dependencies(f"{runtime}:amd64", like=r"libllvm\d+")[-1]


def rust(archive):
    """Debian's rustc, with the sources of its standard library, and that of arm64 Linux. Returns cargo's variables."""
    if not (WORK / "rust" / COMPLETE).exists():
        runtime, llvm = runtime_of_rustc(archive)
        packages = ("rustc-web:amd64", "libstd-rust-web-dev:amd64", f"{runtime}:amd64", f"{llvm}:amd64")
        archive.unpack("rust", *packages, "rust-web-src", "libstd-rust-web-dev:arm64")
    binaries = WORK / "rust/usr/bin"
    names = {"RUSTC": "rustc", "RUSTDOC": "rustdoc"}
    return {key: program(name, binaries / name, libraries=LIBRARIES) for key, name in names.items()}


def arm64_linux(archive):
    """The GNU compiler, as MLX's wheels for Linux use its standard library. Returns cargo's variables."""
    archive.unpack("compiler", "g++-aarch64-linux-gnu", dependencies=True)
    root = WORK / "compiler"
    tools = {"CC": "gcc", "CXX": "g++", "AR": "ar", "STRIP": "strip", "OBJCOPY": "objcopy"}
    variables = {}
    for key, tool in tools.items():
        options = [f"--sysroot={root}"] if tool in ("gcc", "g++") else []
        command = (root / f"usr/bin/aarch64-linux-gnu-{tool}", *options)
        variables[f"{key}_{ARM64_LINUX.replace('-', '_')}"] = program(
            f"arm64-{tool}", *command, libraries="compiler/usr/lib/x86_64-linux-gnu"
        )
    # The linker does not look for the libraries of libraries where the loader does.
    linker = program("arm64-link", WORK / "bin/arm64-gcc", "-Wl,--allow-shlib-undefined")
    return variables | {"CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": linker}


def python():
    """A Python that has zig, lief and libdeflate."""
    folder = WORK / "python"
    if not (folder / COMPLETE).exists():
        run(sys.executable, "-m", "venv", folder)
        run(folder / "bin/python", "-m", "pip", "install", "--quiet", *PYTHON_PACKAGES)
        (folder / COMPLETE).touch()
    return folder / "bin/python"


def macos(archive, variables):
    """zig's C++ compiler and LLVM's linker, with a stand-in for Apple's SDK. Returns cargo's variables."""
    if not (WORK / "llvm" / COMPLETE).exists():
        _, llvm = runtime_of_rustc(archive)
        number = llvm.removeprefix("libllvm")
        archive.unpack("llvm", f"llvm-{number}:amd64", f"lld-{number}:amd64")
    binaries = next((WORK / "llvm/usr/lib").glob("llvm-*/bin"))
    interpreter, driver, sdk = python(), HERE / "darwin.py", WORK / "sdk"
    program("ld64.lld", binaries / "ld64.lld", libraries=LIBRARIES)
    # rustc would strip what it has linked; the linker has left symbols out already, and signed.
    program("rust-objcopy", "true")
    if not (sdk / COMPLETE).exists():
        run(interpreter, HERE / "sdk.py", sdk)
        (sdk / COMPLETE).touch()
    key = MACOS.replace("-", "_")
    own = {
        "MACOSX_DEPLOYMENT_TARGET": MACOS_VERSION,
        "SDKROOT": str(sdk),
        "PATH": f"{WORK / 'bin'}:{os.environ['PATH']}",
        f"CC_{key}": program("darwin-cc", interpreter, driver, "cc"),
        f"CXX_{key}": program("darwin-c++", interpreter, driver, "c++"),
        f"AR_{key}": program("llvm-ar", binaries / "llvm-ar", libraries=LIBRARIES),
        f"CARGO_TARGET_{key.upper()}_LINKER": program("darwin-link", interpreter, driver, "link"),
    }
    standard_library(MACOS, variables | own)
    return own


def standard_library(triple, variables):
    """Builds Rust's standard library for a triple once, and puts it where rustc looks for that of any other target."""
    library = WORK / "rust/usr/lib/rustlib" / triple / "lib"
    if (library / COMPLETE).exists():
        return
    source = WORK / "std"
    shutil.rmtree(source, ignore_errors=True)
    (source / "src").mkdir(parents=True)
    (source / "src/lib.rs").touch()
    profile = "[profile.release]\nopt-level = 3\ncodegen-units = 1\n"
    (source / "Cargo.toml").write_text(
        f'[workspace]\n[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2024"\n{profile}'
    )
    command = [
        "cargo",
        "build",
        "--quiet",
        "-Zbuild-std=std,panic_unwind,proc_macro,test",
        "--release",
        "--target",
        triple,
    ]
    # The one compiler for which these unstable flags are meant: its own sources.
    own = {"RUSTC_BOOTSTRAP": "1", "CARGO_TARGET_DIR": str(source / "target")}
    run(*command, cwd=source, env=os.environ | variables | own)
    library.mkdir(parents=True, exist_ok=True)
    for file in (source / "target" / triple / "release/deps").glob("*.rlib"):
        if not file.name.startswith("libempty"):
            shutil.copy(file, library)
    (library / COMPLETE).touch()


def windows(archive, variables):
    """The GNU compiler: Microsoft's is in no registry. Returns cargo's variables."""
    archive.unpack("mingw", "g++-mingw-w64-x86-64-posix", dependencies=True)
    libraries = "mingw/usr/lib/x86_64-linux-gnu"
    tools = {"CC": "gcc-posix", "CXX": "g++-posix", "AR": "ar"}
    own = {
        f"{key}_{WINDOWS.replace('-', '_')}": program(
            f"windows-{tool}", WORK / f"mingw/usr/bin/x86_64-w64-mingw32-{tool}", libraries=libraries
        )
        for key, tool in tools.items()
    }
    own["CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER"] = str(WORK / "bin/windows-gcc-posix")
    standard_library(WINDOWS, variables | own)
    return own


def variables_for(triple):
    """What makes cargo build for a triple, after unpacking what it needs."""
    archive = Archive()
    variables = rust(archive)
    if triple == ARM64_LINUX:
        return variables | arm64_linux(archive)
    if triple == MACOS:
        return variables | macos(archive, variables)
    if triple == WINDOWS:
        return variables | windows(archive, variables)
    raise ValueError(f"no compiler for {triple}: this is for {ARM64_LINUX}, {MACOS} and {WINDOWS}")


def emulator():
    """qemu with the libraries of arm64 Linux: the start of a command that runs a program in it."""
    archive = Archive()
    archive.unpack("qemu", "qemu-user-static:amd64")
    libraries = ("libc6", "libstdc++6", "libgcc-s1", "libatomic1", "zlib1g")
    archive.unpack("libraries", *(f"{library}:arm64" for library in libraries))
    return [str(WORK / "qemu/usr/bin/qemu-aarch64-static"), "-L", str(WORK / "libraries")]


def lint(triple, variables, *options):
    """Runs the clippy of Debian's rustc over all of the code for a triple; a warning is an error."""
    Archive().unpack("clippy", "rust-web-clippy")
    clippy = program("clippy-driver", WORK / "clippy/usr/bin/clippy-driver", libraries=LIBRARIES)
    arguments = "".join(f"{option}__CLIPPY_HACKERY__" for option in ("-Dwarnings", *options))
    command = ["cargo", "check", "--workspace", "--all-targets", "--locked", "--release", "--target", triple]
    run(*command, cwd=ROOT, env=variables | {"RUSTC_WORKSPACE_WRAPPER": clippy, "CLIPPY_ARGS": arguments})


def wine():
    """A program that runs others, for Windows."""
    archive = Archive()
    archive.unpack("wine", "wine64:amd64", "libwine:amd64", "libunwind8:amd64", "libz-mingw-w64")
    root = WORK / "wine/usr"
    # As the package does when it is installed: wine takes only what is marked.
    library = bytearray((root / "x86_64-w64-mingw32/lib/zlib1.dll").read_bytes())
    library[64:96] = b"Wine builtin DLL".ljust(32, b"\0")
    (root / "lib/x86_64-linux-gnu/wine/x86_64-windows/zlib1.dll").write_bytes(library)
    return program("wine", root / "lib/wine/wine64", libraries="wine/usr/lib/x86_64-linux-gnu")


if __name__ == "__main__":
    try:
        print(json.dumps(variables_for(*sys.argv[1:])))
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
