# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Addition and subtraction of one- and two-digit numbers, as sums and as little stories."""

from . import words
from .source import exchange, loosen

PLUS = {
    "train": ["What is {a} + {b}?", "What is {a} plus {b}?", "{a} + {b}", "{a} + {b} =", "{a}+{b}",
              "Calculate {a} + {b}.", "How much is {a} + {b}?", "How much is {a} plus {b}?",
              "Add {a} and {b}.", "What's {a} + {b}?", "What is the sum of {a} and {b}?",
              "Can you add {a} and {b}?", "{a} plus {b}", "Compute {a} plus {b}.",
              "What do you get when you add {a} and {b}?", "{a} + {b} = ?", "Tell me {a} + {b}.",
              "What is {a}+{b}?", "Please add {a} and {b}.", "What does {a} plus {b} equal?",
              "{a} plus {b} is?", "Sum of {a} and {b}?"],
    "held_out": ["Can you calculate {a} + {b}?", "Please compute {a} + {b}.",
                 "Tell me the sum of {a} and {b}.", "What does {a} + {b} equal?"],
}
MINUS = {
    "train": ["What is {a} - {b}?", "What is {a} minus {b}?", "{a} - {b}", "{a} - {b} =", "{a}-{b}",
              "Calculate {a} - {b}.", "How much is {a} - {b}?", "How much is {a} minus {b}?",
              "What's {a} - {b}?", "{a} minus {b}", "Compute {a} minus {b}.", "{a} - {b} = ?",
              "Subtract {b} from {a}.", "Take {b} away from {a}.", "Tell me {a} - {b}.",
              "What is {a}-{b}?", "What is left when you take {b} from {a}?",
              "What does {a} minus {b} equal?", "Can you subtract {b} from {a}?",
              "{a} minus {b} is?"],
    "held_out": ["Can you calculate {a} - {b}?", "Please compute {a} - {b}.",
                 "Please subtract {b} from {a}.", "What does {a} - {b} equal?"],
}
GAIN = ["I have {a} {things} and get {b} more. How many {things} do I have?",
        "I have {a} {things}. I buy {b} more. How many {things} do I have now?",
        "There are {a} {things} and {b} more {things}. How many {things} are there?",
        "{name} has {a} {things} and finds {b} more. How many {things} does {name} have?",
        "{name} has {a} {things} and gets {b} {things}. How many are there now?"]
LOSE = ["I have {a} {things} and lose {b}. How many {things} do I have?",
        "I have {a} {things}. I give {b} away. How many {things} are left?",
        "There are {a} {things}. {b} of them break. How many {things} are left?",
        "{name} has {a} {things} and sells {b}. How many {things} does {name} have?",
        "{name} had {a} {things} and lost {b}. How many are left?"]
NUMBER_WORDS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen "
                "fourteen fifteen sixteen seventeen eighteen nineteen twenty").split()


def plural(noun):
    """The plural of one of our objects."""
    if noun.endswith(("ss", "x", "ch", "sh", "s")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    if noun in ("potato",):
        return noun + "es"
    if noun in ("leaf",):
        return "leaves"
    return noun + "s"


def number_pair(source, operator):
    """Two numbers below 100 of this split, more often two-digit ones."""
    def make():
        top = 9 if source.chance(0.15) else 99
        a, b = source.int(0, top), source.int(0, top)
        if operator == "-" and a < b and source.chance(0.8):
            a, b = b, a
        return a, b
    return source.draw(make, lambda pair: f"{pair[0]} {operator} {pair[1]}")


def plus_or_minus(source):
    """The sum or the difference of two numbers."""
    operator = source.pick("+-")
    a, b = number_pair(source, operator)
    result = a + b if operator == "+" else a - b
    equation = f"{a} {operator} {b} = {result}"
    check = {"kind": "regex", "pattern": rf"= {result}(?![0-9])"}
    if source.chance(0.2):
        return _word_problem(source, operator, a, b, result, equation, check)
    template = source.phrasing(PLUS if operator == "+" else MINUS)
    shown = (a, b)
    if a <= 20 and b <= 20 and source.chance(0.2) and " " in template:
        shown = NUMBER_WORDS[a], NUMBER_WORDS[b]
    question = loosen(source, template.format(a=shown[0], b=shown[1]))
    return exchange(question, equation + ".", steps(a, b, operator), check)


def _word_problem(source, operator, a, b, result, equation, check):
    if operator == "-" and result < 0:
        a, b, result = b, a, -result
        equation = f"{a} - {b} = {result}"
        check = {"kind": "regex", "pattern": rf"= {result}(?![0-9])"}
    things = plural(source.pick(words.OBJECTS))
    template = source.pick(GAIN if operator == "+" else LOSE)
    name = source.name()
    question = template.format(a=a, b=b, things=things, name=name)
    if "do I have" in template:
        answer = f"{equation}, so you have {result} {things}."
    elif "{name}" in template and "does {name}" in template:
        answer = f"{equation}, so {name} has {result} {things}."
    else:
        answer = f"{equation}, so there are {result} {things}."
    return exchange(question, answer, steps(a, b, operator), check)


def steps(a, b, operator):
    """The sum worked out digit by digit from the right, as one thinks aloud."""
    if operator == "-" and a < b:
        inner = steps(b, a, "-")
        return f"{a} is less than {b}, so I swap them.\n{inner}\nSo {a} - {b} = {a - b}."
    lines = []
    carry = 0
    places = ["ones", "tens", "hundreds", "thousands"]
    width = max(len(str(a)), len(str(b)))
    for place in range(width):
        x, y = a // 10 ** place % 10, b // 10 ** place % 10
        total = x + y + carry if operator == "+" else x - y - carry
        written = f"{x} {operator} {y}" + (f" {operator} {carry}" if carry else "")
        line = f"{places[place]}: {written} = {total}"
        if operator == "+":
            carry = total // 10
            line += f", write {total % 10}, carry 1" if carry else ""
        else:
            carry = 1 if total < 0 else 0
            line += f", write {total % 10}, borrow 1" if carry else ""
        lines.append(line)
    if operator == "+" and carry:
        lines.append(f"{places[width]}: {carry}")
    result = a + b if operator == "+" else a - b
    lines.append(f"So {a} {operator} {b} = {result}.")
    return "\n".join(lines)
