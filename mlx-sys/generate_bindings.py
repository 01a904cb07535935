#!/usr/bin/env python3
# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Write src/bindings.rs anew from the headers of mlx-c 0.7.0.

Needs bindgen on the PATH (`cargo install bindgen-cli@0.72.1`) and a libclang that it finds (`pip install libclang`,
then set LIBCLANG_PATH). Run it after changing the pinned version of mlx-c. Headers are read as an x86 compiler sees
them, without the half-precision types of Arm: src/half.rs declares those for every platform.
"""

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEADER = """\
// Generated from the headers of mlx-c 0.7.0 by generate_bindings.py; do not edit.
"""


def mlx_c() -> Path:
    """The folder of mlx-c's sources inside the published mlx-sys crate, as cargo unpacked it."""
    metadata = json.loads(
        subprocess.check_output(
            ["cargo", "metadata", "--locked", "--format-version=1", "--manifest-path", "upstream/Cargo.toml"], cwd=HERE
        )
    )
    package = next(package for package in metadata["packages"] if package["name"] == "mlx-sys")
    return Path(package["manifest_path"]).parent / "src/mlx-c"


def main() -> None:
    source = mlx_c()
    command = [
        "bindgen",
        str(source / "mlx/c/mlx.h"),
        "--no-doc-comments",
        "--no-layout-tests",
        "--disable-header-comment",
        "--allowlist-function=_?mlx_.*",
        "--allowlist-type=_?mlx_.*",
        "--allowlist-var=_?(mlx|MLX)_.*",
        # The one function family that takes a FILE is for debugging; its layout differs between platforms.
        "--blocklist-type=FILE|_IO_.*",
        "--raw-line=pub enum FILE {}",
        "--rust-target=1.73.0",
        "--",
        f"-I{source}",
        "--target=x86_64-unknown-linux-gnu",
    ]
    bindings = subprocess.check_output(command, cwd=HERE, text=True)
    # mlx-rs 0.33 passes this one a `*const i8`, which c_char is not on arm64 Linux.
    start = bindings.index("pub fn mlx_pad(")
    at = bindings.index("mode: *const ::std::os::raw::c_char", start)
    bindings = bindings[:at] + bindings[at:].replace("::std::os::raw::c_char", "i8", 1)
    (HERE / "src/bindings.rs").write_text(HEADER + "\n" + bindings)


if __name__ == "__main__":
    main()
