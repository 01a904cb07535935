# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Thinking aloud: larger sums, counting letters, spelling, ordering and little riddles of logic."""

from . import words
from .arithmetic import MINUS, PLUS, steps
from .source import exchange

ASK_TO_THINK = ["{} Think step by step.", "{} Please think first.", "Think step by step. {}",
                "Think before you answer: {}", "{} Think aloud.", "Think about it: {}",
                "{} Let us think step by step.", "Think first: {}", "{} /think",
                "{} Think carefully.", "Think carefully. {}", "{} Think, then answer.",
                "{} Please think step by step.", "Please think aloud: {}", "{} Think about it first.",
                "{} Take your time and think.", "Think well. {}", "{} Think, please."]
ASK_HELD_OUT = ["Please think step by step. {}", "{} Think before you answer."]

LETTERS = {
    "train": ["How many times does the letter {letter} appear in {word}?",
              "How many {letter}'s are in {word}?", "How many {letter}'s are there in {word}?",
              "Count the letter {letter} in {word}.", "How often do you see {letter} in {word}?",
              "How many {letter} are in {word}?", "Tell me how many {letter}'s are in {word}.",
              "What number of {letter}'s is in {word}?", "How often does {letter} occur in {word}?",
              "How many letters {letter} are in the word {word}?",
              "How many {letter}'s are in the word {word}?", "Count the {letter}'s in {word}."],
    "held_out": ["How many {letter}'s does {word} have?",
                 "How often does the letter {letter} appear in the word {word}?"],
}
LENGTH = {
    "train": ["How many letters are in {word}?", "How many letters does {word} have?",
              "Count the letters of {word}.", "How long is the word {word}?"],
    "held_out": ["How many letters are there in the word {word}?"],
}
REVERSE = {
    "train": ["Spell {word} backwards.", "Write {word} backwards.", "What is {word} backwards?",
              "Reverse the word {word}."],
    "held_out": ["Say the word {word} backwards."],
}
LARGER = {
    "train": ["Which is larger, {a} or {b}?", "Which number is larger, {a} or {b}?",
              "What is bigger, {a} or {b}?", "Is {a} larger than {b}?"],
    "held_out": ["Which number is bigger, {a} or {b}?"],
}
RELATIONS = [("taller", "tallest", "shortest"), ("older", "oldest", "youngest"),
             ("faster", "fastest", "slowest"), ("stronger", "strongest", "weakest"),
             ("richer", "richest", "poorest"), ("heavier", "heaviest", "lightest")]


def _word(source):
    if source.chance(0.7):
        return source.pick(words.SPELLING_WORDS)
    if not source.held_out and source.chance(0.7):
        return source.any_word()
    return source.made_up_word(source.int(2, 3))


def count_letters(source):
    """How often a letter occurs in a word, spelled out."""
    def make():
        word = _word(source)
        letter = source.pick(word) if source.chance(0.85) else source.pick("abcdefghilmnoprstu")
        return word, letter
    word, letter = source.draw(make, lambda pair: f"{pair[0]} {pair[1]}")
    count = 0
    spelled = []
    for item in word:
        count += item == letter
        spelled.append(f"{item} ({count})" if item == letter else item)
    times = "1 time" if count == 1 else f"{count} times"
    thought = f"I spell {word}: {', '.join(spelled)}.\nThe letter {letter} appears {times}."
    question = source.phrasing(LETTERS).format(letter=letter, word=word)
    return exchange(question, f"The letter {letter} appears {times} in {word}.", thought,
                    {"kind": "contains", "value": f"appears {times} "})


def count_length(source):
    """How many letters a word has."""
    word = source.draw(lambda: _word(source), lambda word: "length " + word)
    spelled = ", ".join(f"{letter} ({at})" for at, letter in enumerate(word, 1))
    return exchange(source.phrasing(LENGTH).format(word=word), f"The word {word} has {len(word)} letters.",
                    f"I spell {word}: {spelled}.\nThat makes {len(word)} letters.",
                    {"kind": "contains", "value": f"has {len(word)} letters"})


def spell_backwards(source):
    """A word from its end to its start."""
    word = source.draw(lambda: _word(source), lambda word: "reverse " + word)
    return exchange(source.phrasing(REVERSE).format(word=word), f"{word} backwards is {word[::-1]}.",
                    f"I spell {word}: {', '.join(word)}.\nBackwards: {', '.join(word[::-1])}.",
                    {"kind": "contains", "value": f"is {word[::-1]}"})


def sum_aloud(source):
    """A sum or difference of up to three digits, from the right to the left."""
    operator = source.pick("+-")

    def make():
        top = source.pick([99, 999, 999])
        a, b = source.int(1, top), source.int(1, top)
        return (max(a, b), min(a, b)) if operator == "-" else (a, b)
    a, b = source.draw(make, lambda pair: f"{pair[0]} {operator} {pair[1]}")
    result = a + b if operator == "+" else a - b
    question = source.phrasing(PLUS if operator == "+" else MINUS).format(a=a, b=b)
    return exchange(question, f"{a} {operator} {b} = {result}.", steps(a, b, operator),
                    {"kind": "regex", "pattern": rf"= {result}\.$"})


def three_numbers(source):
    """The sum of three numbers, in two steps."""
    a, b, c = source.draw(lambda: tuple(source.int(1, 49) for _ in range(3)),
                          lambda items: " + ".join(map(str, items)))
    thought = f"{a} + {b} = {a + b}\n{a + b} + {c} = {a + b + c}\nSo the sum is {a + b + c}."
    question = source.pick(["What is {} + {} + {}?", "Add {}, {} and {}.", "{} + {} + {}"])
    return exchange(question.format(a, b, c), f"{a} + {b} + {c} = {a + b + c}.", thought,
                    {"kind": "regex", "pattern": rf"= {a + b + c}\.$"})


def larger(source):
    """Which of two numbers is larger."""
    def make():
        top = source.pick([99, 999, 9999])
        a, b = source.int(1, top), source.int(1, top)
        return (a, b) if a != b else (a, b + 1)
    a, b = source.draw(make, lambda pair: f"{pair[0]} or {pair[1]}")
    template = source.phrasing(LARGER)
    high, low = max(a, b), min(a, b)
    if len(str(a)) != len(str(b)):
        thought = f"{high} has more digits than {low}."
    else:
        at = next(i for i in range(len(str(a))) if str(a)[i] != str(b)[i])
        thought = f"The first digits that differ are {str(a)[at]} and {str(b)[at]}."
    thought += f"\nSo {high} is larger."
    answer = f"{high} is larger than {low}."
    if template.startswith("Is"):
        answer = f"{'Yes' if a > b else 'No'}, {answer}"
    return exchange(template.format(a=a, b=b), answer, thought,
                    {"kind": "contains", "value": f"{high} is larger"})


def order_people(source):
    """Three people, two comparisons, one question."""
    comparative, most, least = source.pick(RELATIONS)
    first, second, third = (source.name() for _ in range(3))
    while len({first, second, third}) < 3:
        first, second, third = (source.name() for _ in range(3))
    clues = [f"{first} is {comparative} than {second}.", f"{second} is {comparative} than {third}."]
    if source.chance(0.5):
        clues.reverse()
    superlative, who = source.pick([(most, first), (least, third)])
    question = f"{' '.join(clues)} Who is the {superlative}?"
    thought = f"From {comparative} to less: {first}, {second}, {third}.\nThe {superlative} is {who}."
    return exchange(question, f"{who} is the {superlative}.", thought,
                    {"kind": "contains", "value": f"{who} is the {superlative}"})


TASKS = [count_letters, count_letters, count_length, spell_backwards, sum_aloud, sum_aloud,
         sum_aloud, three_numbers, larger, order_people]
DIRECT_TASKS = [larger, order_people, three_numbers]


def think(source, asked=None):
    """A task thought through aloud: because the user says so, or because the template does."""
    made = source.pick(TASKS)(source)
    asked = source.chance(0.5) if asked is None else asked
    if not asked:
        return {**made, "thinking": True}
    bank = ASK_HELD_OUT if source.held_out and source.chance(0.5) else ASK_TO_THINK
    question, answer = made["messages"]
    template = source.pick(bank)
    text = template.format(question["content"])
    if source.chance(0.2):
        return {**made, "messages": [{"role": "user", "content": text}, answer], "thinking": True}
    thought_out = f"<think>\n{answer['thought']}\n</think>\n\n{answer['content']}"
    return {**made, "messages": [{"role": "user", "content": text},
                                 {"role": "assistant", "content": thought_out}],
            "never_thinking": True}


def direct(source):
    """A riddle answered at once."""
    if source.chance(0.5):
        made = source.pick([count_letters, count_length, spell_backwards])(source)
        question, answer = made["messages"]
        spelled = answer["thought"].split("\n", maxsplit=1)[0].split(": ")[1].rstrip(".")
        text = f"I spell it: {spelled}. {answer['content']}"
        return {**made, "messages": [question, {**answer, "content": text}],
                "never_thinking": True}
    return source.pick(DIRECT_TASKS)(source)
