# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Print how many GB/s all cores read from memory: what limits a CPU that generates a token at a time.

usage: bandwidth.py
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# Far more than a cache holds.
NUMBERS = 64 * 2**20
# Few enough that a thread works for a while, and that the fastest takes over some of the slowest one's.
PART = 2**20
ROUNDS = 7


def main() -> None:
    parts = np.ones(NUMBERS, np.float32).reshape(-1, PART)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            list(pool.map(np.max, parts))
            times.append(time.perf_counter() - start)
    print(4 * NUMBERS / min(times) / 1e9)


if __name__ == "__main__":
    main()
