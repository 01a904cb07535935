# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Reads and writes .safetensors with the standard library only.

Writing sorts the tensors by name, so equal tensors give equal bytes. A tensor here is the triple
(dtype, shape, bytes) with the format's own dtype names: F32, BF16, F16, U32, I32.
"""

import array
import json
import struct
import sys

WIDTH = {"F32": 4, "BF16": 2, "F16": 2, "U32": 4, "I32": 4}
CODES = {"F32": "f", "I32": "i", "U32": "I"}


def write(path, tensors):
    """Writes {name: (dtype, shape, bytes)}."""
    header, offset = {"__metadata__": {"format": "mlx"}}, 0
    for name in sorted(tensors):
        dtype, shape, data = tensors[name]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            out.write(tensors[name][2])


def read(path):
    """The inverse of `write`."""
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    body = raw[8 + length :]
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = (entry["dtype"], entry["shape"], body[begin:end])
    return tensors


def numbers(tensor):
    """The values of an F32, I32 or U32 tensor as a flat array."""
    dtype, _, data = tensor
    values = array.array(CODES[dtype], data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def from_numbers(dtype, shape, values):
    """The inverse of `numbers`."""
    packed = array.array(CODES[dtype], values)
    if sys.byteorder == "big":
        packed.byteswap()
    return (dtype, list(shape), packed.tobytes())
