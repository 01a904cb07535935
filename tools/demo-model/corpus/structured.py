# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Answers in JSON with the fields and the values that the user asks for."""

import json

from . import words
from .arithmetic import number_pair
from .source import exchange, joined

SET = {
    "train": ["Give me a JSON object with {pairs}.", "Make a JSON object with {pairs}.",
              "Write JSON with {pairs}.", "Return a JSON object with {pairs}.",
              "I need a JSON object with {pairs}.", "Create JSON with {pairs}.",
              "Please give me JSON with {pairs}.", "Show me a JSON object with {pairs}.",
              "Answer in JSON: {pairs}.", "Turn this into JSON: {pairs}.", "As JSON: {pairs}.",
              "Write this as JSON: {pairs}"],
    "held_out": ["Please create a JSON object with {pairs}.", "Can you give me a JSON object with {pairs}?",
                 "Please write this as JSON: {pairs}."],
}
EXTRACT = {
    "train": ["{text} Give me that as JSON with the fields {fields}.",
              "{text} Answer in JSON with the fields {fields}.",
              "Extract {fields} as JSON: {text}", "Return JSON with the fields {fields}: {text}",
              "Return the fields {fields} as JSON. {text}",
              "Make a JSON object with the keys {fields} from this: {text}",
              "{text} Write this as JSON with {fields}.",
              "Give me JSON with the keys {fields} for this text: {text}"],
    "held_out": ["Please extract the fields {fields} as JSON from this: {text}",
                 "{text} Return that as JSON with the keys {fields}."],
}
PAIR_STYLES = ["{key} {value}", "{key} is {value}", "{key} set to {value}", "{key}: {value}",
               "{key} = {value}", "\"{key}\" set to {quoted}", "the {key} {value}",
               "\"{key}\": {quoted}"]
KEYS = """name age city colour price count title author year food job pet hobby status size weight
level score points active done open sold country animal shape brand model street number
first_name last_name id code team player speed height width length total amount unit day month
language type kind group owner seats pages rating visible enabled""".split()
LISTS = {"colour": words.COLOURS, "food": words.FOODS, "job": words.JOBS, "pet": words.PETS,
         "hobby": words.HOBBIES, "country": [c for c in words.CAPITALS if "the " not in c],
         "animal": list(words.ANIMAL_SOUNDS), "day": words.DAYS, "month": words.MONTHS,
         "status": ["open", "closed", "new", "done", "waiting"],
         "size": ["small", "medium", "large"], "unit": ["cm", "kg", "km", "m"],
         "shape": ["circle", "square", "triangle", "star"]}
FLAGS = ("active", "done", "open", "sold", "visible", "enabled")
NUMBERS = ("age", "price", "count", "year", "weight", "level", "score", "points", "number", "id",
           "speed", "height", "width", "length", "total", "amount", "seats", "pages", "rating")


def _value(source, key):
    if key in ("name", "first_name", "last_name", "author", "player", "owner"):
        return source.name()
    if key == "city":
        return source.city()
    if key in LISTS and source.chance(0.8):
        return source.pick(LISTS[key])
    if key in FLAGS:
        return source.chance(0.5)
    if key in NUMBERS:
        if key == "age":
            return source.int(1, 99)
        if key == "price" and source.chance(0.3):
            return source.int(10, 999) / 10
        return source.int(0, source.pick([9, 99, 999, 9999]))
    if not source.held_out and source.chance(0.6):
        return source.any_word()
    return source.made_up_word(source.int(1, 2))


def _shown(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def set_fields(source):
    """An object whose fields and values the user lists."""
    def make():
        keys = source.rng.sample(KEYS, source.pick([1, 2, 2, 2, 3, 3, 4]))
        if source.chance(0.1):
            keys[0] = source.made_up_word(source.int(1, 2))
        return {key: _value(source, key) for key in keys}
    fields = source.draw(make, json.dumps)
    style = source.pick(PAIR_STYLES)
    pairs = [style.format(key=key, value=_shown(value), quoted=json.dumps(value, ensure_ascii=False))
             for key, value in fields.items()]
    listed = ", ".join(pairs) if source.chance(0.4) else joined(pairs)
    question = source.phrasing(SET).format(pairs=listed)
    return _json_exchange(question, fields)


def _json_exchange(question, fields):
    answer = json.dumps(fields, ensure_ascii=False)
    return exchange(question, answer, f"The user wants JSON with {joined(fields)}.",
                    {"kind": "json", "value": fields})


PERSON_TEXTS = [
    (("name", "age", "city"), ["{name} is {age} years old and lives in {city}.",
                               "{name} lives in {city} and is {age} years old.",
                               "In {city} lives {name}, who is {age}.",
                               "My name is {name}, I am {age} and I live in {city}."]),
    (("name", "age"), ["{name} is {age} years old.", "{name} just turned {age}.",
                       "My name is {name} and I am {age} years old."]),
    (("name", "city"), ["{name} lives in {city}.", "{name} comes from {city}.",
                        "I am {name} from {city}."]),
    (("name", "job"), ["{name} works as a {job}.", "{name} is a {job}."]),
    (("name", "job", "city"), ["{name} works as a {job} in {city}.", "{name} is a {job} from {city}."]),
    (("name", "colour"), ["{name} likes the colour {colour}.", "{name}'s favourite colour is {colour}."]),
    (("name", "food", "age"), ["{name} is {age} and likes {food}.", "{name}, {age}, eats {food} every day."]),
    (("name", "hobby"), ["{name} likes {hobby}.", "The hobby of {name} is {hobby}."]),
    (("item", "price"), ["The {item} costs {price} euros.", "A {item} is {price} dollars."]),
    (("item", "count", "colour"), ["There are {count} {item} boxes, all {colour}.",
                                   "I bought {count} {item} bags. They are {colour}."]),
    (("pet", "name", "age"), ["The {pet} {name} is {age} years old.", "{name} is a {pet} of {age} years."]),
]


def extract_fields(source):
    """An object with fields read out of a sentence."""
    keys, texts = source.pick(PERSON_TEXTS)

    def make():
        return {key: source.pick(words.OBJECTS) if key == "item" else _value(source, key)
                for key in keys}
    values = source.draw(make, json.dumps)
    text = source.pick(texts).format(**{key: _shown(value) for key, value in values.items()})
    asked = list(keys)
    if source.chance(0.3):
        source.rng.shuffle(asked)
    if len(asked) > 1 and source.chance(0.15):
        asked.pop()
    named = joined(asked)
    if source.chance(0.2):
        named = joined(f'"{key}"' for key in asked)
    question = source.phrasing(EXTRACT).format(text=text, fields=named)
    return _json_exchange(question, {key: values[key] for key in asked})


FACT_JSON = {
    "train": ["What is the capital of {country}? Answer in JSON with the keys {keys}.",
              "Give me {keys} as JSON for {country}.", "Return {keys} of {country} as JSON.",
              "JSON with {keys} for {country}, please."],
    "held_out": ["Name the capital of {country} in JSON with the fields {keys}."],
}
SUM_JSON = {
    "train": ["What is {a} + {b}? Answer in JSON with the key {key}.",
              "Add {a} and {b} and answer in JSON with the field {key}.",
              "Give me {a} + {b} as JSON with the key {key}."],
    "held_out": ["Calculate {a} + {b} and return JSON with the key {key}."],
}


def known_fields(source):
    """An object with a fact or a sum in it."""
    if source.chance(0.5):
        template, country = source.ask(FACT_JSON, LISTS["country"])
        keys = ["country", "capital"]
        if source.chance(0.3):
            keys.reverse()
        values = {"country": country, "capital": words.CAPITALS[country]}
        return _json_exchange(template.format(country=country, keys=joined(keys)),
                              {key: values[key] for key in keys})
    a, b = number_pair(source, "+")
    key = source.pick(["result", "sum", "answer", "total", "value"])
    question = source.phrasing(SUM_JSON).format(a=a, b=b, key=key)
    return _json_exchange(question, {key: a + b})


def json_answer(source):
    """One of the three kinds above."""
    roll = source.rng.random()
    if roll < 0.45:
        return set_fields(source)
    if roll < 0.85:
        return extract_fields(source)
    return known_fields(source)
