# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""What can be seen of the native packages without running them: `check.py FOLDER...`. Needs lief; pack.mjs calls it.

Checks the architecture, the oldest system, the libraries that are loaded and where they are searched for, the signature
on macOS, and that every imported symbol is exported by a library of the package or belongs to the system.
"""

import json
import re
import sys
from pathlib import Path

import lief

MACHINES = {"x64": "X86_64", "arm64": "AARCH64"}
# Ubuntu 22.04, Debian 12, RHEL 10
OLDEST_LINUX = {"GLIBC": (2, 35), "GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13), "GCC": (12,)}
LINUX_LIBRARIES = re.compile(r"lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so\.\d+|ld-linux-(x86-64|aarch64)\.so\.\d")
NVIDIA_LIBRARIES = {"libcuda.so.1", "libcublasLt.so.13", "libnvrtc.so.13", "libcudnn.so.9"}
NVIDIA_SYMBOLS = re.compile(r"cu[A-Z]|cublasLt|cudnn|nvrtc")
OLDEST_MACOS = {"node-mlx-darwin-arm64": [14, 0, 0], "node-mlx-darwin-arm64-macos26": [26, 2, 0]}
MACOS_LIBRARIES = ("/usr/lib/", "/System/Library/Frameworks/")
ENTRY = "napi_register_module_v1"


class Report:
    """What was found, and whether it is right."""

    def __init__(self):
        self.faults = 0

    def check(self, ok, text):
        self.faults += not ok
        print("  ok   " if ok else "  WRONG", text)


def version_of(name):
    """GLIBC_2.35 as its library and a tuple."""
    library, _, version = name.partition("_")
    return library, tuple(int(part) for part in version.split(".") if part.isdigit())


def exports(binary):
    return {symbol.name for symbol in binary.exported_symbols}


def check_elf(report, name, binary, others, cpu, is_cuda):
    report.check(binary.header.machine_type.name == MACHINES[cpu], f"{name}: {binary.header.machine_type.name}")
    foreign = NVIDIA_LIBRARIES if is_cuda else set()
    missing = [
        library
        for library in binary.libraries
        if not LINUX_LIBRARIES.fullmatch(library) and library not in foreign | others.keys()
    ]
    report.check(not missing, f"{name}: loads the system's libraries and the package's {missing or ''}")
    newest, unknown = {}, []

    def is_foreign(symbol):
        return is_cuda and NVIDIA_SYMBOLS.match(symbol)

    exported = set().union(*map(exports, others.values()))
    # Not imported_symbols: that has the symbols for debuggers as well.
    for symbol in (each for each in binary.dynamic_symbols if each.imported):
        version = symbol.symbol_version
        auxiliary = version.symbol_version_auxiliary if version and version.has_auxiliary_version else None
        library, number = version_of(auxiliary.name if auxiliary else "")
        if library in OLDEST_LINUX:
            newest[library] = max(newest.get(library, ()), number)
        elif not (symbol.name in exported or symbol.binding.name == "WEAK" or is_foreign(symbol.name)):
            unknown.append(symbol.name)
    shown = ", ".join(f"{library} {'.'.join(map(str, number))}" for library, number in sorted(newest.items()))
    too_new = [library for library, number in newest.items() if number > OLDEST_LINUX[library]]
    report.check(not too_new, f"{name}: needs {shown}")
    report.check(not unknown, f"{name}: all symbols exist {unknown[:5] or ''}")
    if name.endswith(".node"):
        paths = [(type(entry).__name__, entry.paths) for entry in binary.dynamic_entries if hasattr(entry, "paths")]
        # The old kind, which serves libmlx's own libraries as well.
        expected = [("DynamicEntryRpath", ["$ORIGIN"])] if others.keys() & set(binary.libraries) else []
        report.check(paths == expected, f"{name}: run path {paths}")
        report.check(ENTRY in exports(binary), f"{name}: exports {ENTRY}")


def check_macho(report, name, binary, others, oldest):
    report.check(binary.header.cpu_type.name == "ARM64", f"{name}: {binary.header.cpu_type.name}")
    found = list(binary.build_version.minos)
    report.check(found <= oldest, f"{name}: needs macOS {'.'.join(map(str, found))}")
    own = lief.MachO.LoadCommand.TYPE.ID_DYLIB
    libraries = [command.name for command in binary.libraries if command.command != own]
    missing = [
        library
        for library in libraries
        if not library.startswith(MACOS_LIBRARIES) and library.removeprefix("@rpath/") not in others
    ]
    report.check(not missing, f"{name}: loads the system's libraries and the package's {missing or ''}")
    report.check(binary.has_code_signature, f"{name}: is signed")
    exported = {f"@rpath/{key}": exports(other) for key, other in others.items()}
    unknown, count = [], 0
    for symbol in binary.imported_symbols:
        info = symbol.binding_info if symbol.has_binding_info else None
        library = info.library.name if info and info.has_library else ""
        if library in exported:
            count += 1
            if symbol.name not in exported[library]:
                unknown.append(symbol.name)
        elif not library and symbol.name.startswith(("_mlx", "_napi", "__ZN3mlx")):
            unknown.append(symbol.name)
    report.check(not unknown, f"{name}: all {count} symbols of the package's libraries exist {unknown[:5] or ''}")
    if name.endswith(".node"):
        # It serves libmlx as well.
        rpaths = [entry.path for entry in binary.rpaths]
        report.check(rpaths == ["@loader_path"], f"{name}: run path {rpaths}")
        # A second libc++ could not catch the exceptions of libmlx's.
        report.check("/usr/lib/libc++.1.dylib" in libraries, f"{name}: uses the system's libc++")
        report.check(f"_{ENTRY}" in exports(binary), f"{name}: exports {ENTRY}")


def check_package(report, folder):
    manifest = json.loads((folder / "package.json").read_text())
    name, files = manifest["name"], sorted(path for path in folder.rglob("*") if path.is_file())
    if "cpu" not in manifest:
        native = [path.name for path in files if re.search(r"\.(node|dylib|so)", path.name)]
        report.check(not native, f"no binaries {native or ''}")
        return
    [os_name], [cpu] = manifest["os"], manifest["cpu"]
    main = folder / manifest["main"]
    report.check(main.is_file(), f"main is {manifest['main']}")
    paths = [path for path in files if re.search(r"\.(node|dylib|so)(\.[\d.]+)?$", path.name)]
    flat = [path for path in paths if path.parent == main.parent]
    report.check(flat == paths, "all libraries are beside the addon")
    if os_name == "linux":
        binaries = {path.name: lief.ELF.parse(str(path)) for path in paths}
    else:
        # Kept as a whole: a part of it does not keep the rest.
        fat = {path.name: lief.MachO.parse(str(path)) for path in paths}
        binaries = {key: binary.at(0) for key, binary in fat.items()}
        report.check((folder / "mlx.metallib").is_file(), "mlx.metallib is there")
    for key, binary in binaries.items():
        if os_name == "linux":
            check_elf(report, key, binary, binaries, cpu, "cuda" in name)
        else:
            check_macho(report, key, binary, binaries, OLDEST_MACOS[name])


def main(*folders):
    report = Report()
    for folder in folders:
        print(Path(folder).name)
        check_package(report, Path(folder))
    return report.faults


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))
