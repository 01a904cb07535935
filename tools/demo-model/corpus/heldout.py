# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The held-out set: `python -m corpus.heldout` writes heldout.jsonl and verifies it.

usage: python -m corpus.heldout [TRAINING_CONVERSATIONS]

The set depends on its seed alone. Every case has an unseen phrasing, number pair, name, city or
combination (see `source.reserved`), and the training stream drops what would repeat a question.
"""

import itertools
import json
import sys

from .conversations import SKILLS, conversation
from .source import Source
from .stream import HELD_OUT_PATH, held_out_keys, question_key, shows_held_out, training_conversations

SEED = 20261123
CASES_PER_SKILL = 60
TRIES_PER_CASE = 40
VERIFIED_CONVERSATIONS = 100_000


def held_out_case(source, context, skill):
    """One case as evaluate.mjs reads it.

    A quarter of the cases follows earlier exchanges, which context (a source of training
    conversations) draws.
    """
    made = conversation(source, skill, mixed=False)
    messages = made["messages"]
    thinking = made["thinking"]
    if not thinking and skill not in ("riddles", "thinking") and source.chance(0.3):
        thinking = True
    if skill not in ("memory", "thinking") and source.chance(0.25):
        before = [message for _ in range(source.int(1, 2))
                  for message in conversation(context, "capitals", mixed=False)["messages"]
                  if message["role"] != "system"]
        at = 1 if messages[0]["role"] == "system" else 0
        messages = messages[:at] + before + messages[at:]
    prompt = [_plain(message) for message in messages[:-1]]
    check = dict(made["check"])
    if thinking:
        check["thinks"] = True
    case = {"skill": skill, "messages": prompt}
    if made["tools"]:
        case["tools"] = made["tools"]
    case["chatTemplateArgs"] = {"enable_thinking": thinking}
    case["check"] = check
    return case


def _plain(message):
    plain = {"role": message["role"], "content": message["content"]}
    if message.get("tool_calls"):
        plain["toolCalls"] = [call["function"] for call in message["tool_calls"]]
    return plain


def held_out_set():
    """All cases, no question twice within a skill's cases."""
    source, context = Source(SEED, held_out=True), Source(SEED + 1)
    cases, keys = [], set()
    for skill in SKILLS:
        found = 0
        for _ in range(CASES_PER_SKILL * TRIES_PER_CASE):
            case = held_out_case(source, context, skill)
            key = question_key(skill, case["messages"])
            if key in keys:
                continue
            keys.add(key)
            cases.append(case)
            found += 1
            if found == CASES_PER_SKILL:
                break
    return cases


def verify(count=VERIFIED_CONVERSATIONS):
    """Asserts that no training conversation of a long sample shows a held-out question."""
    keys = held_out_keys()
    for made in itertools.islice(training_conversations(SEED + 2, keys), count):
        assert not shows_held_out(made, keys), made
        assert question_key(made["skill"], made["messages"]) not in keys, made
    print(f"none of the {len(keys)} held-out questions among {count} training conversations")


def main():
    """Writes the set, says how many cases each skill has, and verifies it."""
    cases = held_out_set()
    with open(HELD_OUT_PATH, "w", encoding="utf-8") as lines:
        for case in cases:
            lines.write(json.dumps(case, ensure_ascii=False) + "\n")
    for skill in SKILLS:
        print(f"{skill:20} {sum(case['skill'] == skill for case in cases)}")
    verify(*map(int, sys.argv[1:2]))


if __name__ == "__main__":
    main()
