# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The random source of a split (training or held-out) and the little building blocks.

Everything that a held-out case is about (a pair of numbers, a name, a city, a question paired
with a country, ...) is a *key*. `reserved(key)` sets one key in fifteen aside by its checksum:
training never draws a reserved key, held-out cases draw nothing else.
"""

import random
import zlib

from . import words

RESERVED_ONE_IN = 15

CONSONANTS = ("b c d f g h j k l m n p r s t v w z br ch cl dr fl gr kr pl sh sk st th tr"
              ).split()
VOWELS = "a e i o u a e i o ai ea ia ie io ou".split()
ENDINGS = " n r l s x m th nd rk ra la na no ro lo ta to ka ki ko mi va".split(" ")


ALL_WORDS = sorted({word.lower() for group in (
    words.NAMES, words.CITIES, words.COLOURS, words.PETS, words.FOODS, words.JOBS, words.HOBBIES,
    words.OBJECTS, words.STORY_HEROES, words.STORY_ADJECTIVES, words.SPELLING_WORDS,
    words.CAPITALS, words.OPPOSITES, words.ANIMAL_SOUNDS, words.MONTHS, words.DAYS)
    for word in group if word.isalpha() and len(word) > 2})


def reserved(key):
    """Whether a key is set aside for the held-out set."""
    return zlib.crc32(key.lower().encode()) % RESERVED_ONE_IN == 0


class Source:
    """Draws the parts of conversations for one split."""

    def __init__(self, seed, held_out=False):
        self.rng = random.Random(seed)
        self.held_out = held_out

    def pick(self, items):
        """One of a sequence."""
        return items[int(self.rng.random() * len(items))]

    def chance(self, probability):
        """True with the given probability."""
        return self.rng.random() < probability

    def int(self, low, high):
        """An integer from low to high, both included."""
        return self.rng.randint(low, high)

    def draw(self, make, key):
        """Calls make() until key(result) belongs to this split."""
        for _ in range(100_000):
            result = make()
            if reserved(key(result)) == self.held_out:
                return result
        raise RuntimeError("no key of this split among what make() gives")

    def phrasing(self, bank):
        """One phrasing of a bank {"train": [...], "held_out": [...]}.

        A held-out case takes a never-trained phrasing half of the time, and otherwise a trained
        one around a reserved key.
        """
        if self.held_out and bank.get("held_out") and self.chance(0.5):
            return self.pick(bank["held_out"])
        return self.pick(bank["train"])

    def ask(self, bank, items, about=""):
        """A phrasing and what it asks for, a pair of this split."""
        return self.draw(lambda: (self.phrasing(bank), self.pick(items)),
                         lambda pair: pair[0] + about + pair[1])

    def made_up_word(self, syllables=None):
        """A pronounceable word that likely nobody has seen."""
        count = syllables or self.int(1, 3)
        stem = "".join(self.pick(CONSONANTS) + self.pick(VOWELS) for _ in range(count))
        return stem + self.pick(ENDINGS)

    def any_word(self):
        """Any word at all: of our lists, spliced from two of them, or made up (training only).

        Taking names, cities, colours and so on from an open vocabulary now and then makes the
        model copy what the user says instead of learning the lists by heart.
        """
        while True:
            roll = self.rng.random()
            if roll < 0.35:
                word = self.pick(ALL_WORDS)
            elif roll < 0.75:
                left, right = self.pick(ALL_WORDS), self.pick(ALL_WORDS)
                word = left[:self.int(1, len(left) - 1)] + right[self.int(1, len(right) - 1):]
            else:
                word = self.made_up_word()
            if 2 < len(word) < 15 and word not in words.HELD_OUT_HEROES:
                return word

    def name(self):
        """A first name of this split: a real one or a made-up one."""
        def make():
            if not self.held_out and self.chance(0.25):
                return self.any_word().capitalize()
            if self.chance(0.5):
                return self.pick(words.NAMES)
            return self.made_up_word().capitalize()
        return self.draw(make, lambda name: "name " + name)

    def city(self):
        """A city of this split: a real one or, now and then, a made-up one."""
        def make():
            if not self.held_out and self.chance(0.2):
                return self.any_word().capitalize()
            roll = self.rng.random()
            if roll < 0.6:
                return self.pick(words.CITIES)
            if roll < 0.7:
                return self.pick(words.TWO_WORD_CITIES)
            return self.made_up_word(self.int(2, 3)).capitalize()
        return self.draw(make, lambda city: "city " + city)

    def real_city(self):
        """A real city of this split."""
        return self.draw(lambda: self.pick(words.CITIES), lambda city: "city " + city)


PREFIXES = ["Please tell me: ", "Hi! ", "Hello, ", "Hey, ", "Quick question: ", "Tell me, ",
            "I have a question. ", "So, ", "Okay, ", "One more thing: ", "Excuse me, ",
            "Can you help me? ", "Question: ", "Now, ", "And ", "Next: ", "Please answer: "]
SUFFIXES = [" Please.", " Thanks!", " Thank you.", " Please tell me.", " I want to know.",
            " Do you know?", " Answer please."]


def typo(source, text):
    """The text with one letter of a longer word dropped, doubled or swapped."""
    parts = text.split(" ")
    spots = [i for i, part in enumerate(parts) if len(part) > 4 and part.isalpha()]
    if not spots:
        return text
    at = source.pick(spots)
    word = parts[at]
    letter = source.int(1, len(word) - 2)
    kind = source.int(0, 2)
    if kind == 0:
        word = word[:letter] + word[letter + 1:]
    elif kind == 1:
        word = word[:letter] + word[letter] + word[letter:]
    else:
        word = word[:letter] + word[letter + 1] + word[letter] + word[letter + 2:]
    parts[at] = word
    return " ".join(parts)


def loosen(source, text, copies=False):
    """A question as people write it: polite, hasty, in lower case, without its mark, mistyped.

    With copies=True the words of the text are left alone, since the answer repeats them.
    """
    if source.chance(0.15):
        prefix = source.pick(PREFIXES)
        if prefix.endswith(", ") and not text.startswith(("I ", "I'")) and not copies:
            text = text[0].lower() + text[1:]
        text = prefix + text
    elif source.chance(0.08):
        text = text + source.pick(SUFFIXES)
    if not copies and source.chance(0.15):
        text = text.lower()
    if text[-1] in "?." and source.chance(0.15):
        text = text[:-1]
    elif text[-1] == "?" and source.chance(0.05):
        text = text + source.pick(["?", "!", "??"])
    if not copies and source.chance(0.06):
        text = typo(source, text)
    return text


def user(text):
    """A user message."""
    return {"role": "user", "content": text}


def assistant(text, thought=None, tool_calls=None):
    """An assistant message; the thought shows only where the conversation is a thinking one."""
    message = {"role": "assistant", "content": text}
    if thought:
        message["thought"] = thought
    if tool_calls:
        message["tool_calls"] = tool_calls
    return message


def exchange(question, answer, thought, check=None, **more):
    """One question and its answer, with what a held-out case checks in the answer."""
    return {"messages": [user(question), assistant(answer, thought)], "check": check, **more}


def joined(items):
    """A list in words: "a", "a and b", "a, b and c"."""
    items = list(items)
    if len(items) == 1:
        return items[0]
    return ", ".join(items[:-1]) + " and " + items[-1]


def with_article(noun):
    """The noun with "a" or "an"."""
    return ("an " if noun[0].lower() in "aeiou" else "a ") + noun
