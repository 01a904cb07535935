#!/usr/bin/env python3
# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Checks what can be checked of the addon for Windows, on Debian for x64.

    python3 scripts/cross/check_windows.py

Compiles and lints all of it with GNU's compiler, mlx-c included, and looks for what mlx-c needs of MLX in its DLL. Then
runs Rust's tests under wine: those of kernels/, and those of the addon that call nothing of MLX, whose DLL has the ABI
of Microsoft's compiler and cannot be linked here.
"""

import os
import re
import subprocess
import sys

from toolchain import ROOT, WINDOWS, WORK, lint, program, run, variables_for, wine

OPTIONS = ("--locked", "--release", "--target", WINDOWS)
LINKER = f"CARGO_TARGET_{WINDOWS.replace('-', '_').upper()}_LINKER"
COMPILER = WORK / "bin/windows-g++-posix"
LIBRARIES = WORK / "windows-libraries"
# Names of tests, or parts of them.
WITHOUT_MLX = "tokenizer:: options:: models::normalize models::settings weights::files weights::header tensors_are_read"
# Clippy does not see that initializers are const already, in what thread_local becomes for this target.
CLIPPY_OPTION = "-Aclippy::missing_const_for_thread_local"
# wine 8, Debian's, lacks the library with Rust's source of random numbers.
RANDOM = """
#include <windows.h>
#include <ntsecapi.h>
extern "C" __declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) { return RtlGenRandom(data, size); }
"""


def cargo(*arguments, env):
    run("cargo", *arguments, cwd=ROOT, env=env)


def compile_text(language, text, *arguments):
    run(COMPILER, "-x", language, "-", *arguments, input=text.encode())


def add_node(variables):
    """A Node to link with, which napi-build wants; napi finds Node's functions at run time."""
    LIBRARIES.mkdir(exist_ok=True)
    (LIBRARIES / "libnode.dll").touch()
    run(WORK / "bin/windows-ar", "rcs", LIBRARIES / "libnode.a")
    return variables | {"LIBNODE_PATH": str(LIBRARIES)}


def add_wine(variables):
    """Runs what cargo has linked, with the DLLs that it needs."""
    compile_text("c++", RANDOM, "-shared", "-o", LIBRARIES / "bcryptprimitives.dll")
    gcc = WORK / "mingw/usr/lib/gcc/x86_64-w64-mingw32/12-posix"
    folders = (LIBRARIES, gcc, WORK / "mingw/usr/x86_64-w64-mingw32/lib", WORK.parent / "mlx-runtime" / WINDOWS)
    return variables | {
        LINKER.replace("LINKER", "RUNNER"): wine(),
        "WINEPREFIX": str(WORK / "wine-prefix"),
        "WINEDEBUG": "-all",
        "WINEPATH": ";".join(f"Z:{folder}" for folder in folders),
    }


def imported_of_mlx():
    """The mangled names of what mlx-c and mlx-sys/native need of MLX."""
    folder = WORK.parent / WINDOWS / "release/build"
    archive = max(folder.glob("mlx-sys-*/out/libmlxc.a"), key=lambda path: path.stat().st_mtime)
    symbols = subprocess.check_output([WORK / "mingw/usr/bin/x86_64-w64-mingw32-nm", archive], text=True)
    found = {kind: set(re.findall(rf" {kind} (?:__imp_)?(\S+)$", symbols, re.MULTILINE)) for kind in ("U", "[^U]")}
    return {name for name in found["U"] - found["[^U]"] if "3mlx4core" in name}


def microsoft_name(name):
    """How Microsoft's name of a function begins, by GNU's; None for operators, and for what is no function."""
    match = re.match(r"_ZNK?(?=\d)", name)
    parts, rest = [], name[match.end() :] if match else ""
    while digits := re.match(r"\d+", rest):
        end = digits.end() + int(digits[0])
        parts.insert(0, rest[digits.end() : end])
        rest = rest[end:]
    # A name that was there before is only its number.
    scope = "".join(str(parts.index(part)) if part in parts[:at] else f"{part}@" for at, part in enumerate(parts))
    start = {"C": "??0", "D": "??1", "E": "?", "B": "?"}.get(rest[:1])
    return start and f"{start}{scope}@"


def check_symbols(names):
    dll = (WORK.parent / "mlx-runtime" / WINDOWS / "mlx.dll").read_bytes()
    wanted = {name: microsoft_name(name) for name in names}
    known = {name: text for name, text in wanted.items() if text}
    missing = [name for name, text in known.items() if f"\0{text}".encode() not in dll]
    if missing:
        raise ValueError(f"mlx.dll lacks {', '.join(missing)}")
    print(f"mlx.dll has {len(known)} of the {len(wanted)} symbols that mlx-c needs; the others were not looked for")


def without_mlx(names):
    """A linker that puts an illegal instruction in the place of everything of MLX."""
    code = [f".globl {name}\n{name}: ud2" for name in sorted(names)]
    pointers = [f".globl __imp_{name}\n__imp_{name}: .quad {name}" for name in sorted(names)]
    stand_ins = LIBRARIES / "mlx.o"
    compile_text("assembler", "\n".join([".text", *code, ".data", *pointers, ""]), "-c", "-o", stand_ins)
    return {LINKER: program("windows-without-mlx", COMPILER, stand_ins)}


def main():
    variables = add_node(os.environ | variables_for(WINDOWS))
    lint(WINDOWS, variables, CLIPPY_OPTION)
    names = imported_of_mlx()
    check_symbols(names)
    variables = add_wine(variables)
    cargo("test", "--package", "cpu-kernels", *OPTIONS, env=variables)
    cargo("test", "--lib", *OPTIONS, "--", *WITHOUT_MLX.split(), env=variables | without_mlx(names))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
