# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Shows some training conversations: `python -m corpus [count] [skill]`."""

import sys

from .conversations import conversation
from .render import render
from .source import Source


def main():
    """Prints the conversations as the model sees them."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    skill = sys.argv[2] if len(sys.argv) > 2 else None
    source = Source(0)
    for _ in range(count):
        print(render(conversation(source, skill)))
        print("-" * 72)


main()
