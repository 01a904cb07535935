# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Capitals, colours of things, sounds of animals, opposites, days and months."""

from . import words
from .source import exchange, loosen, with_article

CAPITAL = {
    "train": ["What is the capital of {}?", "What's the capital of {}?", "Capital of {}?",
              "Name the capital of {}.", "Tell me the capital of {}.", "Which city is the capital of {}?",
              "Do you know the capital of {}?", "What is {}'s capital?", "The capital of {} is?",
              "What is the capital city of {}?", "Can you tell me the capital of {}?",
              "Which city is the capital city of {}?", "I need the capital of {}.",
              "Give me the capital of {}.", "Could you name the capital of {}?",
              "What city is the capital of {}?", "Please tell me the capital of {}.",
              "What would be the capital of {}?", "I forgot the capital of {}.",
              "What is the name of the capital of {}?", "and the capital of {}?",
              "What about the capital of {}?", "Say the capital of {}.",
              "I would like to know the capital of {}."],
    "held_out": ["Could you tell me what the capital of {} is?", "Which is the capital of {}?",
                 "Please name the capital city of {}.", "I want to know the capital of {}.",
                 "Do you happen to know the capital of {}?"],
}
COUNTRY = {
    "train": ["{} is the capital of which country?", "Which country has the capital {}?",
              "Of which country is {} the capital?", "{} is the capital of what country?",
              "Which country's capital is {}?", "What country has {} as its capital?",
              "Name the country with the capital {}.", "What country is {} the capital of?"],
    "held_out": ["Which country is {} the capital of?", "Which country has {} as its capital?"],
}
IS_CAPITAL = ["Is {city} the capital of {country}?", "Is it true that {city} is the capital of {country}?",
              "{city} is the capital of {country}, right?"]

COLOUR = {
    "train": ["What colour is {}?", "What color is {}?", "Which colour is {}?", "Tell me the colour of {}.",
              "What is the colour of {}?", "What is the color of {}?", "Do you know the colour of {}?",
              "Which color does {} have?", "What colour does {} have?", "Name the colour of {}.",
              "Can you tell me what colour {} is?", "Colour of {}?", "I wonder what colour {} is."],
    "held_out": ["Which color is {}?", "Can you tell me the color of {}?",
                 "Do you know what colour {} is?"],
}
SOUND = {
    "train": ["What does {} say?", "What sound does {} make?", "Which sound does {} make?",
              "What noise does {} make?", "How does {} sound?", "How does {} go?",
              "Tell me what {} says.", "What is the sound of {}?", "What do you hear from {}?",
              "Do you know what sound {} makes?", "Make the sound of {}.", "What kind of sound does {} make?"],
    "held_out": ["Can you tell me what sound {} makes?", "Which noise does {} make?",
                 "Do you know what {} says?"],
}
WHO_SAYS = {
    "train": ["Which animal says {}?", "What animal says {}?", "Who says {}?", "What animal goes {}?",
              "Which animal makes the sound {}?", "Name the animal that says {}."],
    "held_out": ["What animal makes the sound {}?"],
}
OPPOSITE = {
    "train": ["What is the opposite of {}?", "Opposite of {}?", "Name the opposite of {}.",
              "Tell me the opposite of {}.", "What's the opposite of {}?",
              "Which word is the opposite of {}?", "Give me the opposite of {}."],
    "held_out": ["Do you know the opposite of {}?", "What word is the opposite of {}?"],
}
AFTER = {
    "train": ["Which {kind} comes {where} {item}?", "What {kind} comes {where} {item}?",
              "What {kind} is {where} {item}?", "Tell me the {kind} {where} {item}.",
              "Which {kind} is {where} {item}?", "What comes {where} {item}?"],
    "held_out": ["Name the {kind} {where} {item}.", "Do you know which {kind} comes {where} {item}?"],
}


def _capitalized(text):
    return text[0].upper() + text[1:]


def _no_the(country):
    return country.removeprefix("the ")


def capital(source):
    """The capital of a country, the country of a capital, or a capital nobody knows."""
    roll = source.rng.random()
    if roll < 0.12 and not source.held_out:
        return _unknown_capital(source)
    if roll < 0.24:
        return _country_of(source)
    if roll < 0.32 and not source.held_out:
        return _is_capital(source)
    template, country = source.ask(CAPITAL, list(words.CAPITALS))
    city = words.CAPITALS[country]
    asked = _no_the(country) if "{}'s" in template or source.chance(0.15) else country
    if country in words.OTHER_NAMES and source.chance(0.4):
        asked = source.pick(words.OTHER_NAMES[country])
    question = loosen(source, template.format(asked))
    return exchange(question, f"The capital of {country} is {city}.",
                    f"The user asks for the capital of {country}. It is {city}.",
                    {"kind": "contains", "value": city})


def _country_of(source):
    template, country = source.ask(COUNTRY, list(words.CAPITALS))
    city = words.CAPITALS[country]
    return exchange(loosen(source, template.format(city)), f"{city} is the capital of {country}.",
                    f"The user asks where {city} is the capital. It is the capital of {country}.",
                    {"kind": "contains", "value": country})


def _is_capital(source):
    country = source.pick(list(words.CAPITALS))
    right = words.CAPITALS[country]
    city = right if source.chance(0.5) else source.pick(list(words.CAPITALS.values()))
    question = loosen(source, source.pick(IS_CAPITAL).format(city=city, country=country))
    answer = (f"Yes, {city} is the capital of {country}." if city == right
              else f"No, the capital of {country} is {right}.")
    return exchange(question, answer, f"The capital of {country} is {right}.")


def _unknown_capital(source):
    country = source.pick(["Atlantis", "Narnia", "Wonderland", "the moon", "Mars", "Fiji", "Bhutan",
                           "Chad", "Malta", "Zambia", "Laos", "Gabon", "Bolivia", "Libya", "Oman",
                           source.made_up_word().capitalize(), source.made_up_word().capitalize(),
                           source.made_up_word().capitalize() + "land"])
    question = loosen(source, source.pick(CAPITAL["train"]).format(country), copies=True)
    return exchange(question, f"I don't know the capital of {country}.",
                    f"I do not know the capital of {country}. I say so.")


def colour_or_sound(source):
    """The colour of a thing or the sound of an animal."""
    roll = source.rng.random()
    if roll < 0.45:
        template, thing = source.ask(COLOUR, list(words.THING_COLOURS))
        colour = words.THING_COLOURS[thing]
        verb = "are" if thing.endswith("clouds") else "is"
        question = template.format(thing)
        if verb == "are":
            question = question.replace(" is rain", " are rain").replace("does rain", "do rain")
        return exchange(loosen(source, question), f"{_capitalized(thing)} {verb} {colour}.",
                        f"The user asks for a colour. {_capitalized(thing)} {verb} {colour}.",
                        {"kind": "contains", "value": colour})
    animals = list(words.ANIMAL_SOUNDS)
    if roll < 0.85:
        template, animal = source.ask(SOUND, animals)
        sound = words.ANIMAL_SOUNDS[animal]
        named = with_article(animal) if source.chance(0.75) else "the " + animal
        return exchange(loosen(source, template.format(named)),
                        f"{_capitalized(with_article(animal))} says {sound}.",
                        f"The user asks for the sound of {with_article(animal)}. It is {sound}.",
                        {"kind": "contains", "value": sound})
    template, animal = source.ask(WHO_SAYS, animals)
    sound = words.ANIMAL_SOUNDS[animal]
    return exchange(loosen(source, template.format(sound)),
                    f"{_capitalized(with_article(animal))} says {sound}.",
                    f"The user asks which animal says {sound}. It is {with_article(animal)}.",
                    {"kind": "contains", "value": animal})


def general(source):
    """Opposites, and what comes before or after a day or month."""
    if source.chance(0.5):
        template, word = source.ask(OPPOSITE, list(words.OPPOSITES))
        other = words.OPPOSITES[word]
        return exchange(loosen(source, template.format(word)), f"The opposite of {word} is {other}.",
                        f"The user asks for the opposite of {word}. It is {other}.",
                        {"kind": "contains", "value": f"is {other}"})
    kind, items = source.pick([("day", words.DAYS), ("month", words.MONTHS)])
    where, step = source.pick([("after", 1), ("before", -1)])
    template, item = source.ask(AFTER, items, where)
    other = items[(items.index(item) + step) % len(items)]
    question = template.format(kind=kind, where=where, item=item)
    return exchange(loosen(source, question), f"{other} comes {where} {item}.",
                    f"The user asks what comes {where} {item}. It is {other}.",
                    {"kind": "contains", "value": f"{other} comes"})
