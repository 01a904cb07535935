# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Whole conversations: one skill or a mixture of several, with or without a system prompt."""

from . import arithmetic, echo, facts, memory, smalltalk, stories, structured, thinking, tools

SYSTEM_PROMPTS = ["You are a helpful assistant.", "You are a friendly assistant.", "You are Pebble.",
                  "You are a helpful and polite assistant.", "Be brief.", "Answer the user.",
                  "You are an assistant that answers questions.", "Be kind and helpful.",
                  "You are a chat bot.", "Help the user.", "You are a small language model.",
                  "You are a helpful AI assistant.", "Answer in short sentences.",
                  "You are a friendly chat bot on a web page.", "Be polite.", "Be honest.",
                  "You are an expert assistant.", "Please answer the questions of the user.",
                  "You are a teacher.", "You help children.", "Always tell the truth."]
SYSTEM_HELD_OUT = ["You are a kind and helpful assistant.", "You are a polite chat bot. Be brief."]
SYSTEM_PARTS = ["You are {}.", "Your task is to help with {}.", "The user speaks English.",
                "Answer {}.", "You know about {}.", "Today is {}.", "You work for {}.",
                "Never be rude.", "Keep it short.", "Use simple words.", "Do your best."]


def plain_question(source):
    """A question that needs neither tools nor memory."""
    roll = source.rng.random()
    if roll < 0.3:
        return facts.capital(source)
    if roll < 0.5:
        return facts.colour_or_sound(source)
    if roll < 0.6:
        return facts.general(source)
    if roll < 0.8:
        return smalltalk.small_talk(source)
    return arithmetic.plus_or_minus(source)


def filler(source):
    """A short exchange between the ones that matter."""
    if source.chance(0.06):
        return stories.story(source)
    if source.chance(0.06):
        return smalltalk.unknown(source)
    return plain_question(source)


def remember(source):
    """Memory with fillers, or a question for what was never told."""
    if not source.held_out and source.chance(0.04):
        return memory.nothing_told(source)
    return memory.remember(source, filler)


def call_tool(source):
    """Tool use, or tools left alone; in training also several such questions in a row."""
    made = tools.tool_use(source, plain_question)
    if source.held_out or source.chance(0.7):
        return made
    return tools.chained(source, made, plain_question)


# skill -> (how to make one, its share of the training conversations)
SKILLS = {
    "small talk": (smalltalk.small_talk, 8),
    "unknown": (smalltalk.unknown, 4),
    "capitals": (facts.capital, 10),
    "colours and sounds": (facts.colour_or_sound, 6),
    "general": (facts.general, 4),
    "arithmetic": (arithmetic.plus_or_minus, 20),
    "stories": (stories.story, 7),
    "memory": (remember, 22),
    "json": (structured.json_answer, 12),
    "tools": (call_tool, 18),
    "thinking": (thinking.think, 16),
    "riddles": (thinking.direct, 8),
    "echo": (echo.repeat, 8),
}
_NAMES = list(SKILLS)
_SHARES = [share for _, share in SKILLS.values()]


def system_prompt(source):
    """A system prompt, or None (more often)."""
    roll = source.rng.random()
    if roll < 0.55:
        return None
    if source.held_out and roll < 0.75:
        return source.pick(SYSTEM_HELD_OUT)
    if roll < 0.85 or source.held_out:
        return source.pick(SYSTEM_PROMPTS)
    parts = source.rng.sample(SYSTEM_PARTS, source.int(1, 3))
    return " ".join(part.format(source.made_up_word()) for part in parts)


def conversation(source, skill=None, mixed=True):
    """{"skill", "messages", "tools", "thinking", "final_only", "check"} of one conversation.

    With mixed=True other exchanges may come before the one of the skill. final_only says that
    only the last message is to be learned, since those before it lack their thoughts.
    """
    skill = skill or source.rng.choices(_NAMES, _SHARES)[0]
    made = SKILLS[skill][0](source)
    messages = list(made["messages"])
    system = made.get("system") or system_prompt(source)
    if mixed and skill != "memory":
        before = source.pick([0, 0, 0, 0, 1, 1, 2, 3])
        earlier = []
        for _ in range(before):
            other = source.rng.choices(_NAMES, _SHARES)[0]
            if other in ("memory", "tools", "thinking"):
                other = "capitals"
            earlier += SKILLS[other][0](source)["messages"]
        messages = earlier + messages
    tool_list = made.get("tools")
    if tool_list is None and mixed and source.chance(0.02) and not made.get("thinking") \
            and skill in ("small talk", "capitals", "colours and sounds", "stories", "memory"):
        tool_list = tools.toolbox(source)
    wanted = made.get("thinking", False)
    if not wanted and mixed and not made.get("never_thinking"):
        wanted = source.chance(0.3)
    if system:
        messages.insert(0, {"role": "system", "content": system})
    if wanted and made.get("final_only"):
        for message in messages[:-1]:
            message.pop("thought", None)
    return {"skill": skill, "messages": messages, "tools": tool_list, "thinking": wanted,
            "final_only": wanted and made.get("final_only", False), "check": made.get("check")}


def with_thoughts(messages, thinking):
    """The messages as a chat template takes them, with the thoughts of the last question if wanted."""
    last_user = max(at for at, message in enumerate(messages) if message["role"] == "user")
    shown = []
    for at, message in enumerate(messages):
        message = dict(message)
        thought = message.pop("thought", None)
        if thinking and thought and at > last_user:
            message["reasoning_content"] = thought
        shown.append(message)
    return shown
