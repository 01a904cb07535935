# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Judges raw outputs for held-out cases; evaluate.mjs judges the parts of an answer by the same rules."""

import json
import re


def judge(check, text):
    """Whether a text (with its markup) is what a case's check wants."""
    if check.get("thinks"):
        found = re.fullmatch(r"<think>\n(.+?)\n</think>\n\n(.*)", text, re.DOTALL)
        if not found:
            return False
        text = found[2]
    elif "</think>" in text:
        text = text.split("</think>")[-1]
    return RULES[check["kind"]](check, text.strip())


def _regex(check, text):
    flags = sum({"i": re.IGNORECASE, "s": re.DOTALL}[flag] for flag in check.get("flags", ""))
    return re.search(check["pattern"], text, flags) is not None


def _json(check, text):
    try:
        return same(json.loads(text), check["value"])
    except ValueError:
        return False


def _tool_call(check, text):
    blocks = re.findall(r"<tool_call>\n(.*?)\n</tool_call>", text, re.DOTALL)
    try:
        return same([json.loads(block) for block in blocks], check["calls"])
    except ValueError:
        return False


def _story(check, text):
    sentences = [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if part.strip()]
    return (
        len(sentences) >= 4
        and len(set(sentences)) == len(sentences)
        and len(text) < 1500
        and re.search(r"[.!?\"]$", text) is not None
        and all(word.lower() in text.lower() for word in check["mentions"])
    )


def same(left, right):
    """Deep equality that tells true from 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right


RULES = {
    "equals": lambda check, text: text == check["value"],
    "contains": lambda check, text: check["value"] in text,
    "containsAll": lambda check, text: all(value in text for value in check["values"]),
    "regex": _regex,
    "json": _json,
    "toolCall": _tool_call,
    "noToolCall": lambda check, text: "<tool_call>" not in text and _regex(check, text),
    "story": _story,
}


def template_messages(case):
    """The messages of a case in the form that a chat template takes."""
    messages = []
    for message in case["messages"]:
        message = dict(message)
        calls = message.pop("toolCalls", None)
        if calls:
            message["tool_calls"] = [{"type": "function", "function": call} for call in calls]
        messages.append(message)
    return messages


def report(results):
    """Prints the share right of each skill from (skill, right) pairs; returns whether it is enough.

    Enough is 95 % of all cases and 90 % of each skill's.
    """
    skills = {}
    for skill, right in results:
        skills.setdefault(skill, []).append(right)
    enough = True
    for skill, marks in skills.items():
        share = sum(marks) / len(marks)
        enough = enough and share >= 0.90
        print(f"{skill:20} {sum(marks):4} of {len(marks):4}  {share:7.1%}")
    marks = [right for _, right in results]
    share = sum(marks) / len(marks)
    print(f"{'all':20} {sum(marks):4} of {len(marks):4}  {share:7.1%}")
    return enough and share >= 0.95
