# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Remembering what the user (or the system prompt) said earlier in the conversation."""

from . import words
from .source import assistant, joined, loosen, user

# kind -> how the user tells it, how the assistant replies, how it is asked for later, the answer
KINDS = {
    "name": {
        "say": ["My name is {}.", "I am {}.", "I'm {}.", "Hi, I'm {}.", "Hello, my name is {}.",
                "You can call me {}.", "Call me {}.", "My friends call me {}.", "This is {}.",
                "Hi! My name is {}.", "By the way, my name is {}.", "Hey there, I am {}.",
                "People call me {}.", "Please remember that my name is {}.", "{} is my name."],
        "say_held_out": ["Hello there, my name is {}!", "Hi, you can call me {}."],
        "reply": ["Nice to meet you, {}!", "Hello {}! Nice to meet you.", "Hi {}! How can I help you?"],
        "ask": ["What is my name?", "What's my name?", "Do you remember my name?", "Who am I?",
                "Can you tell me my name?", "Tell me my name.", "Do you know my name?",
                "What am I called?", "What did I say my name was?", "Please say my name."],
        "ask_held_out": ["Do you still know my name?", "What was my name again?"],
        "answer": ["Your name is {}."], "about": "your name is {}", "topic": "your name"},
    "colour": {
        "say": ["My favourite colour is {}.", "My favorite color is {}.", "I like the colour {} best.",
                "I love the colour {}.", "{} is my favourite colour.", "The colour I like most is {}.",
                "I really like the color {}."],
        "say_held_out": ["By the way, my favourite colour is {}.", "I love the color {} most."],
        "reply": ["{} is a nice colour!", "I like {} too!", "{}, a lovely colour!"],
        "ask": ["What is my favourite colour?", "What's my favorite color?", "Which colour do I like?",
                "Do you remember my favourite colour?", "Which color do I like best?",
                "Tell me my favourite colour.", "What colour do I like most?"],
        "ask_held_out": ["Do you know which colour I like best?", "What was my favourite colour?"],
        "answer": ["Your favourite colour is {}."], "about": "your favourite colour is {}",
        "topic": "your favourite colour"},
    "city": {
        "say": ["I live in {}.", "I am from {}.", "I come from {}.", "My home is in {}.",
                "I'm from {}.", "My city is {}.", "I live in the city of {}.", "I moved to {}.",
                "My hometown is {}."],
        "say_held_out": ["By the way, I live in {}.", "I have a house in {}."],
        "reply": ["{} sounds like a nice place!", "I have heard that {} is lovely.", "Greetings to {}!"],
        "ask": ["Where do I live?", "Which city do I live in?", "Do you remember where I live?",
                "In which city do I live?", "Tell me where I live.", "Where am I from?",
                "What city am I from?", "Do you know where I live?"],
        "ask_held_out": ["Can you remember where I live?", "Which city am I from?"],
        "answer": ["You live in {}."], "about": "you live in {}", "topic": "where you live"},
    "pet": {
        "say": ["I have a {} named {}.", "I have a {} called {}.", "My {} is called {}.",
                "My {}'s name is {}.", "At home I have a {} named {}.", "My pet is a {} named {}.",
                "I own a {} called {}."],
        "say_held_out": ["We have a {} called {}.", "By the way, I have a {} named {}."],
        "reply": ["{1} is a nice name for a {0}!", "{1} sounds like a lovely {0}!",
                  "Say hello to {1} from me!"],
        "ask": ["What is my pet called?", "What is the name of my pet?", "What is my {0} called?",
                "What is my {0}'s name?", "What is the name of my {0}?", "Do you remember my {0}'s name?",
                "What's the name of my {0}?", "Which pet do I have?", "What pet do I have?"],
        "ask_held_out": ["How is my {0} called?", "Do you remember the name of my pet?"],
        "answer": ["Your {} is called {}."], "about": "your {} is called {}", "topic": "your pet"},
    "food": {
        "say": ["My favourite food is {}.", "I love {}.", "I like to eat {}.", "My favorite food is {}.",
                "I eat {} every day.", "The food I like best is {}."],
        "say_held_out": ["I like eating {} most of all.", "By the way, my favourite food is {}."],
        "reply": ["{} sounds delicious!", "Yummy, {}!"],
        "ask": ["What is my favourite food?", "What do I like to eat?", "Which food do I like?",
                "Do you remember my favourite food?", "What's my favorite food?"],
        "ask_held_out": ["What was my favourite food?", "Do you know what I like to eat?"],
        "answer": ["Your favourite food is {}."], "about": "your favourite food is {}",
        "topic": "your favourite food"},
    "age": {
        "say": ["I am {} years old.", "I'm {} years old.", "My age is {}.", "I am {}.",
                "I just turned {}.", "I turned {} last week."],
        "say_held_out": ["By the way, I am {} years old.", "Today I turned {}."],
        "reply": ["{} is a fine age!", "Thank you for telling me that you are {}."],
        "ask": ["How old am I?", "What is my age?", "Do you remember how old I am?",
                "Do you know my age?", "Tell me how old I am."],
        "ask_held_out": ["Can you tell me how old I am?", "How old did I say I am?"],
        "answer": ["You are {} years old."], "about": "you are {} years old", "topic": "your age"},
    "job": {
        "say": ["I am a {}.", "I work as a {}.", "My job is {}.", "I'm a {}.", "I have a job as a {}."],
        "say_held_out": ["By the way, I work as a {}.", "These days I am a {}."],
        "reply": ["Being a {} sounds interesting!", "A {}, that is a fine job!"],
        "ask": ["What is my job?", "What do I work as?", "What's my job?", "Do you remember my job?",
                "Which job do I have?", "What do I do for a living?"],
        "ask_held_out": ["What was my job?", "Do you know what I do for a living?"],
        "answer": ["You work as a {}."], "about": "you work as a {}", "topic": "your job"},
    "hobby": {
        "say": ["My hobby is {}.", "I like {}.", "I enjoy {}.", "In my free time I like {}."],
        "say_held_out": ["By the way, my hobby is {}.", "My favourite hobby is {}."],
        "reply": ["{} is a great hobby!", "{} sounds like fun!"],
        "ask": ["What is my hobby?", "What's my hobby?", "Which hobby do I have?",
                "Do you remember my hobby?", "What do I like to do?"],
        "ask_held_out": ["Do you know my hobby?", "What was my hobby?"],
        "answer": ["Your hobby is {}."], "about": "your hobby is {}", "topic": "your hobby"},
}
LISTS = {"colour": words.COLOURS, "food": words.FOODS, "job": words.JOBS, "hobby": words.HOBBIES}
EVERYTHING = ["What do you know about me?", "What have I told you about me?",
              "Tell me everything you know about me."]


def _values(source, kind):
    """What is to remember, as a tuple (a pet has a kind and a name)."""
    if kind == "name":
        return (source.name(),)
    if kind == "city":
        return (source.city(),)
    if kind == "pet":
        pet = source.pick(words.PETS)
        if not source.held_out and source.chance(0.15):
            pet = source.any_word()
        return (pet, source.name())
    if kind != "age" and not source.held_out and source.chance(0.35):
        return (source.any_word(),)

    def make():
        return str(source.int(5, 99)) if kind == "age" else source.pick(LISTS[kind])
    return (source.draw(make, lambda value: f"{kind} {value}"),)


def _capitalized(text):
    return text[0].upper() + text[1:]


def _fill(template, values):
    """The template with its values, with "a"/"an" and the first letter put right."""
    text = template.format(*values)
    for value in values:
        if value[0] in "aeio" and value.islower():
            text = text.replace(f" a {value}", f" an {value}").replace(f"A {value}", f"An {value}")
    return _capitalized(text)


def _statement(source, kind, values):
    form = KINDS[kind]
    bank = form["say"]
    if source.held_out and source.chance(0.5):
        bank = form["say_held_out"]
    return _fill(source.pick(bank), values)


def _ask(source, kind, values):
    form = KINDS[kind]
    bank = form["ask"]
    if source.held_out and source.chance(0.5):
        bank = form["ask_held_out"]
    text = source.pick(bank).format(*values)
    return loosen(source, text)


def remember(source, filler):
    """A conversation in which the user tells things, talks of others and asks for one of them.

    filler(source) gives an unrelated exchange to put in between.
    """
    count = source.pick([1, 1, 1, 2, 2, 3, 4])
    kinds = source.rng.sample(list(KINDS), count)
    if source.chance(0.4) and "name" not in kinds:
        kinds[0] = "name"
    told = {kind: _values(source, kind) for kind in kinds}
    messages = []
    remaining = list(kinds)
    system = None
    if source.chance(0.08):
        kind = remaining.pop(0)
        about = KINDS[kind]["about"].format(*told[kind])
        system = "The user told you before: " + about.replace("your ", "my ").replace(
            "you live", "I live").replace("you are", "I am").replace("you work", "I work") + "."
    while remaining:
        if len(remaining) > 1 and source.chance(0.4):
            both, remaining = remaining[:2], remaining[2:]
            said = [_statement(source, kind, told[kind]) for kind in both]
            if said[1].startswith(("Hi", "Hello", "Hey")):
                said.reverse()
            messages += [user(" ".join(said)), assistant(_reply(source, both[0], told[both[0]]))]
        else:
            kind = remaining.pop(0)
            text = _statement(source, kind, told[kind])
            if source.chance(0.15):
                text = text.rstrip(".")
            messages += [user(text), assistant(_reply(source, kind, told[kind]))]
        for _ in range(source.pick([0, 0, 0, 1, 1, 2, 3])):
            messages += filler(source)["messages"]
    if source.chance(0.07):
        kind = source.pick(kinds)
        told[kind] = _values(source, kind)
        forms = [form for form in KINDS[kind]["say"] if form.startswith(("My ", "I "))]
        text = _fill(source.pick(forms), told[kind])
        messages += [user("Actually, " + text), assistant(_reply(source, kind, told[kind]))]
    question, answer, thought, check = _question(source, told, kinds)
    messages += [user(question), assistant(answer, thought)]
    return {"messages": messages, "check": check, "system": system}


def _reply(source, kind, values):
    return _fill(source.pick(KINDS[kind]["reply"]), values)


def _question(source, told, kinds):
    missing = [kind for kind in KINDS if kind not in told]
    if source.chance(0.12):
        kind = source.pick(missing)
        values = _values(source, kind)
        topic = KINDS[kind]["topic"] if kind != "pet" else "about your pet"
        answer = f"You have not told me {topic} yet."
        return (_ask(source, kind, values), answer, f"The user has not told me {topic}.",
                {"kind": "contains", "value": "not told me"})
    if source.chance(0.1):
        facts = [KINDS[kind]["about"].format(*told[kind]) for kind in kinds]
        answer = _an(f"I know that {joined(facts)}.", told)
        needed = [value for kind in kinds for value in told[kind]]
        return (loosen(source, source.pick(EVERYTHING)), answer, "I list what the user told me.",
                {"kind": "containsAll", "values": needed})
    kind = source.pick(kinds)
    answer = _fill(source.pick(KINDS[kind]["answer"]), told[kind])
    return (_ask(source, kind, told[kind]), answer, f"The user told me. {answer}",
            {"kind": "containsAll", "values": list(told[kind])})


def _an(text, told):
    for values in told.values():
        for value in values:
            if value[0] in "aeio" and value.islower():
                text = text.replace(f" a {value}", f" an {value}")
    return text


def nothing_told(source):
    """A question for something the user never said, at the start of a conversation."""
    kind = source.pick(list(KINDS))
    topic = KINDS[kind]["topic"] if kind != "pet" else "about your pet"
    answer = f"You have not told me {topic} yet."
    return {"messages": [user(_ask(source, kind, _values(source, kind))),
                         assistant(answer, f"The user has not told me {topic}.")],
            "check": {"kind": "contains", "value": "not told me"}}
