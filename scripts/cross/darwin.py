# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The C and C++ compiler, and the linker, for macOS: `darwin.py cc|c++|link ARGUMENTS`. toolchain.py calls it.

zig compiles, with its libc++ headers set to use nothing that the system's libc++ lacks. LLVM's ld64.lld links: zig's
own linker would add a libc++ of its own, which cannot catch the exceptions of libmlx's.
"""

import os
import sys
from pathlib import Path

VERSION, SDK = os.environ["MACOSX_DEPLOYMENT_TARGET"], os.environ["SDKROOT"]
SDK_VERSION = "15.5"  # of zig's libSystem.tbd
WITH_VALUE = ("-arch", "-isysroot", "-target")
IGNORED = ("--target=", "-mmacosx-version-min=", "-mmacos-version-min=", "-stdlib=")


def without_target(arguments):
    """The arguments that do not name the target, the system or its SDK."""
    rest = iter(arguments)
    for argument in rest:
        if argument in WITH_VALUE:
            next(rest)
        elif not argument.startswith(IGNORED):
            yield argument


def compile_command(language, arguments):
    annotations = "_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS"
    options = [
        "-target",
        f"aarch64-macos.{VERSION}-none",
        "-fno-sanitize=all",
        f"-U{annotations}",
        f"-D{annotations}=1",
    ]
    return [sys.executable, "-m", "ziglang", language, *options, *without_target(arguments)]


def link_command(arguments):
    """What rustc tells Apple's clang, told to the linker."""
    options = []
    rest = without_target(arguments)
    for argument in rest:
        if argument.startswith("-Wl,"):
            options += argument.removeprefix("-Wl,").split(",")
        elif argument == "-Xlinker":
            options.append(next(rest))
        elif argument == "-undefined":
            # napi-build leaves Node's functions to be found at run time, which the napi crate does by itself:
            # whatever is not found here is a mistake.
            next(rest)
        elif argument in ("-dynamiclib", "-shared"):
            options.append("-dylib")
        elif argument not in ("-nodefaultlibs", "-pthread", "-Wl"):
            options.append(argument)
    if "-dylib" in options and "-install_name" not in options:
        options += ["-install_name", f"@rpath/{Path(options[options.index('-o') + 1]).name}"]
    system = ["-arch", "arm64", "-platform_version", "macos", VERSION, SDK_VERSION, "-syslibroot", SDK]
    # Symbols for debuggers are left out here: to strip them later would spoil the signature.
    return ["ld64.lld", *system, *options, "-lSystem", "-dead_strip_dylibs", "-adhoc_codesign", "-S", "-x"]


def main(kind, *arguments):
    command = link_command(arguments) if kind == "link" else compile_command(kind, arguments)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
