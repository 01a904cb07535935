#!/usr/bin/env python3
# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Packs a tarball again, smaller: `compress.py TARBALL`. Needs deflate (libdeflate); pack.mjs calls it.

npm's are some 3 % larger, as Node's zlib prefers speed.
"""

import gzip
import sys
from pathlib import Path

import deflate

LEVEL = 12


def main():
    path = Path(sys.argv[1])
    path.write_bytes(deflate.gzip_compress(gzip.decompress(path.read_bytes()), LEVEL))


if __name__ == "__main__":
    main()
