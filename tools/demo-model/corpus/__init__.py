# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The conversations that the demo model is trained on, and the held-out set it is judged by.

`python -m corpus` (in tools/demo-model) shows a few; `python -m corpus.heldout` writes the
held-out set and verifies that training never shows it.
"""

from .conversations import SKILLS, conversation, with_thoughts
from .source import Source

__all__ = ["SKILLS", "Source", "conversation", "with_thoughts"]
