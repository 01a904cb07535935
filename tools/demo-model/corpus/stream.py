# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The endless stream of training conversations, which never shows a held-out question."""

import json
from pathlib import Path

from .conversations import conversation
from .source import Source

HELD_OUT_PATH = Path(__file__).parent.parent / "heldout.jsonl"


def normalized(text):
    """A user message without case, marks and doubled spaces, as questions are compared."""
    kept = "".join(char if char.isalnum() or char in "+-*=" else " " for char in text.lower())
    return " ".join(kept.split())


def question_key(skill, messages):
    """What makes a held-out case new: its last question, or for memory all that the user said."""
    asked = [normalized(message["content"]) for message in messages if message["role"] == "user"]
    return " | ".join(asked) if skill == "memory" else asked[-1]


def held_out_keys(path=HELD_OUT_PATH):
    """The keys of the committed held-out set."""
    with open(path, encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    return {question_key(case["skill"], case["messages"]) for case in cases}


def shows_held_out(made, keys):
    """Whether any question of a conversation, alone or with all before it, is a held-out one."""
    asked = [normalized(message["content"]) for message in made["messages"]
             if message["role"] == "user"]
    return any(text in keys for text in asked) or any(
        " | ".join(asked[:end]) in keys for end in range(2, len(asked) + 1))


def training_conversations(seed, keys):
    """Training conversations for ever, those that show a held-out question left out."""
    source = Source(seed)
    while True:
        made = conversation(source)
        if not shows_held_out(made, keys):
            yield made
