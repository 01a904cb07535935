# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Repeating a text of any words, numbers and signs, letter for letter."""

from .source import exchange

REPEAT = {
    "train": ["Repeat after me: {}", "Please repeat: {}", "Repeat this: {}", "Say this: {}",
              "Echo: {}", "Copy this text: {}", "Say \"{}\".", "Repeat \"{}\".", "Write \"{}\".",
              "Please say \"{}\".", "Can you say \"{}\"?", "Repeat the words \"{}\"."],
    "held_out": ["Please repeat this: {}", "Please write \"{}\".", "Can you repeat \"{}\"?"],
}
SIGNS = ("é è ê ë á à â ä å ã ç ñ ó ò ô ö õ ø ú ù û ü ß æ œ ł ż š č ž ğ ı α β γ π Ω я д ж 日 本 中 "
         "文 € £ ° § ✓ → ★ 😀 😊 🎉 🌍 🚀 👋 🐱 🐶 🍎 ☕ ❤️ 🌈").split()


def _word(source):
    roll = source.rng.random()
    if roll < 0.2:
        return source.name()
    if roll < 0.3:
        return str(source.int(0, 9999))
    if roll < 0.4:
        return source.pick(SIGNS)
    word = source.made_up_word() if source.held_out else source.any_word()
    if source.chance(0.15):
        at = source.int(0, len(word))
        word = word[:at] + source.pick(SIGNS) + word[at:]
    return word.capitalize() if source.chance(0.15) else word


def repeat(source):
    """A text to repeat and the same text as the answer."""
    text = source.draw(lambda: " ".join(_word(source) for _ in range(source.int(1, 7))),
                       lambda text: "echo " + text)
    if source.chance(0.15):
        text += source.pick("!?.")
    question = source.phrasing(REPEAT).format(text)
    return exchange(question, text, f"I repeat: {text}", {"kind": "equals", "value": text})
