# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Writes a folder to link with in the place of Apple's SDK: `sdk.py FOLDER`. toolchain.py calls it.

It names the symbols of system libraries, and contains nothing else: libSystem's list is zig's; that of libc++ is what
Apple's own build of MLX for the oldest macOS imports, with some that libc++ has always had; those of the others are
what the crates call. A symbol that is not listed cannot be linked, so none can be missing on the oldest system.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import lief
import ziglang

ROOT = Path(__file__).resolve().parent.parent.parent
STREAMBUF = "__ZNSt3__115basic_streambufIcNS_11char_traitsIcEEE"
OSTREAM = "NSt3__113basic_ostreamIcNS_11char_traitsIcEEE"
LIBCXX = {
    *(
        STREAMBUF + method
        for method in (
            *("5imbueERKNS_6localeE", "5uflowEv", "6setbufEPcl", "6xsgetnEPcl", "9pbackfailEi", "9showmanycEv"),
            *("9underflowEv", "7seekoffExNS_8ios_base7seekdirEj", "7seekposENS_4fposI11__mbstate_tEEj", "4syncEv"),
            *("6xsputnEPKcl", "8overflowEi", "C2Ev", "D2Ev"),
        )
    ),
    # to_chars of floating-point numbers is there since macOS 13.3
    *(f"__ZNSt3__18to_charsEPcS0_{t}{f}" for t in "dfe" for f in ("", "NS_12chars_formatE", "NS_12chars_formatEi")),
    *(f"__Z{thunk}{OSTREAM}D{kind}Ev" for thunk in ("", "Tv0_n24_") for kind in "01"),
    f"__ZTI{OSTREAM}E",
    "__ZTINSt3__115basic_streambufIcNS_11char_traitsIcEEEE",
    "__ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE21__grow_by_and_replaceEmmmmmmPKc",
    "__ZNSt3__16localeaSERKS0_",
    *("__ZdlPvm", "__ZdlPv", "__Znwm", "__ZNKSt9exception4whatEv", "__ZNSt9exceptionD2Ev"),
    *("__ZTISt9exception", "__ZTVSt9exception", "__ZTISt12length_error", "__ZTISt12out_of_range"),
    "__ZTISt16invalid_argument",
}
FRAMEWORKS = {
    "CoreFoundation": (
        150,
        "_CFCopyDescription _CFDataGetBytePtr _CFDataGetBytes _CFDataGetLength _CFDataGetTypeID _CFGetRetainCount "
        "_CFGetTypeID _CFRelease _CFRetain _CFStringCreateWithBytes _CFStringCreateWithBytesNoCopy _CFStringGetBytes "
        "_CFStringGetCStringPtr _CFStringGetLength _CFStringGetTypeID _CFTimeZoneCopySystem _CFTimeZoneGetName "
        "_CFTimeZoneResetSystem _CFURLGetFileSystemRepresentation _CFURLGetString _kCFAllocatorDefault "
        "_kCFAllocatorNull",
    ),
    "IOKit": (
        1,
        "_IOIteratorNext _IOObjectRelease _IORegistryEntryCreateCFProperty _IORegistryEntryGetName "
        "_IOServiceAddMatchingNotification _IOServiceGetMatchingService _IOServiceGetMatchingServices "
        "_IOServiceMatching _kIOMasterPortDefault",
    ),
}


def write_stub(path, library, compatibility, symbols):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "--- !tapi-tbd\ntbd-version: 4\ntargets: [ arm64-macos ]\n"
        f"install-name: '{library}'\ncompatibility-version: {compatibility}\n"
        f"exports:\n  - targets: [ arm64-macos ]\n    symbols: [ {', '.join(sorted(symbols))} ]\n...\n"
    )


def imported_from_libcxx(library):
    binary = lief.MachO.parse(str(library))
    for symbol in binary.at(0).imported_symbols:
        if symbol.has_binding_info and symbol.binding_info.has_library:
            if symbol.binding_info.library.name == "/usr/lib/libc++.1.dylib":
                yield symbol.name
        elif symbol.name.startswith(("__Zn", "__Zd")):  # operators new and delete are bound weakly
            yield symbol.name


def unpack_wheel(folder):
    """Apple's MLX for the oldest macOS, in the version that the build pins."""
    lock = (ROOT / "mlx-sys/wheels.lock").read_text().splitlines()
    start = next(index for index, line in enumerate(lock) if line.startswith("mlx-metal=="))
    end = next(index for index in range(start, len(lock)) if not lock[index].endswith("\\"))
    requirements = folder / "requirements.txt"
    requirements.write_text("\n".join(lock[start : end + 1]))
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--platform", "macosx_14_0_arm64"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, "--requirement", requirements]
    subprocess.run(command, check=True, stdout=sys.stderr)
    zipfile.ZipFile(next(folder.glob("*.whl"))).extractall(folder)
    return folder / "mlx/lib"


def main(sdk):
    libraries = Path(sdk) / "usr/lib"
    libraries.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(ziglang.__file__).parent / "lib/libc/darwin/libSystem.tbd", libraries)
    for name in ("c", "m", "dl", "pthread"):
        link = libraries / f"lib{name}.tbd"
        link.unlink(missing_ok=True)
        link.symlink_to("libSystem.tbd")
    write_stub(libraries / "libiconv.tbd", "/usr/lib/libiconv.2.dylib", 7, ["_iconv", "_iconv_close", "_iconv_open"])
    frameworks = Path("System/Library/Frameworks")
    for name, (compatibility, symbols) in FRAMEWORKS.items():
        folder = frameworks / f"{name}.framework"
        library = f"/{folder}/Versions/A/{name}"
        write_stub(Path(sdk) / folder / f"{name}.tbd", library, compatibility, symbols.split())
    with tempfile.TemporaryDirectory() as folder:
        wheel = unpack_wheel(Path(folder))
        imported = {name for file in wheel.glob("*.dylib") for name in imported_from_libcxx(file)}
    # libc++ has no bad_function_call on macOS 14
    symbols = {name for name in imported | LIBCXX if "bad_function_call" not in name}
    write_stub(libraries / "libc++.tbd", "/usr/lib/libc++.1.dylib", 1, symbols)


if __name__ == "__main__":
    main(*sys.argv[1:])
