# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Conversations as text, through the very chat template that ships with the model."""

import json
from pathlib import Path

import jinja2

from .conversations import with_thoughts

TEMPLATE_PATH = Path(__file__).parent.parent / "chat_template.jinja"


def _environment():
    """Jinja set up as Hugging Face tokenizers set it up."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment


_TEMPLATE = _environment().from_string(TEMPLATE_PATH.read_text(encoding="utf-8"))


def render_messages(messages, tools=None, add_generation_prompt=False, **arguments):
    """The text of messages in the form that a chat template takes."""
    return _TEMPLATE.render(messages=messages, tools=tools,
                            add_generation_prompt=add_generation_prompt, **arguments)


def render(conversation):
    """The whole text of a training conversation."""
    thinking = conversation["thinking"]
    arguments = {"enable_thinking": True} if thinking else {}
    return render_messages(with_thoughts(conversation["messages"], thinking),
                           conversation["tools"], **arguments)
