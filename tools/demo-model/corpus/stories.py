# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Short stories on a given subject, put together from sentences of ours."""

from . import words
from .source import exchange, loosen, with_article

ASK = {
    "train": ["Tell me a story about {}.", "Tell me a short story about {}.", "Write a story about {}.",
              "Write a short story about {}.", "Can you tell me a story about {}?",
              "I want to hear a story about {}.", "Make up a story about {}.",
              "Please tell a story about {}.", "A story about {}, please.",
              "Could you write a little story about {}?", "Give me a story about {}.",
              "I would like a story about {}.", "Story about {}", "Do you know a story about {}?",
              "Invent a story about {}.", "Tell us a tale about {}.", "Please write a story about {}.",
              "Tell a bedtime story about {}.", "Tell my child a story about {}."],
    "held_out": ["Can you write a short story about {}?", "Please tell me a little story about {}.",
                 "I would like to hear a tale about {}.", "Could you make up a story about {}?"],
}

OPENINGS = ["Once upon a time there was {a_hero} who lived {place}.",
            "Long ago, {a_hero} lived {place}.",
            "There once was {a_hero} who lived {place}.",
            "Far away, {place}, there lived {a_hero}.",
            "In a quiet land, {a_hero} had a small house {place}."]
NAMED = [" The {noun} was called {name}.", " Everybody called the {noun} {name}.",
         " Its name was {name}."]
PLACES = ["near a river", "in a deep forest", "on a green hill", "by the sea", "in a small village",
          "under an old bridge", "at the edge of a town", "on a tiny island", "behind a tall mountain",
          "beside a quiet lake", "in an old castle", "next to a windmill", "in a sunny valley",
          "between two big rocks", "in a garden full of roses"]
HABITS = ["Every day {hero} looked at the clouds and dreamed of far places.",
          "Every morning {hero} sang a happy song.", "{Hero} loved to help the neighbours.",
          "In the evening {hero} counted the stars.", "{Hero} liked nothing more than warm bread.",
          "{Hero} collected shiny stones and kept them in a box.",
          "All the children knew {hero} and waved each morning.",
          "{Hero} wanted to see the whole world.", "{Hero} was never in a hurry.",
          "On most days {hero} played by the water.", "{Hero} had a garden with seven apple trees.",
          "{Hero} could whistle louder than the wind."]
TURNS = ["One day a big storm came and the lights went out.",
         "One day {hero} found an old map under a stone.",
         "One night {hero} heard somebody cry outside.",
         "One morning the river had no water any more.",
         "One day {hero} lost the way in the fog.",
         "One winter the snow was so deep that nobody could leave home.",
         "One day a strange box stood in front of the door.",
         "One evening {hero} saw a light on the hill.",
         "One day {hero} lost the golden key of the village.",
         "One morning all the birds had stopped singing.",
         "One day {hero} found a letter without a name on it."]
HELPERS = ["a small {helper}", "an old {helper}", "a kind {helper}", "a wise {helper}",
           "a friendly {helper}", "a tired {helper}"]
HELPER_NOUNS = ["mouse", "owl", "snail", "frog", "rabbit", "fisherman", "crow", "beetle", "squirrel",
                "shepherd", "goose", "spider", "turtle", "baker"]
MEETINGS = ["{Hero} was afraid, but {a_helper} came by and offered help.",
            "Then {hero} met {a_helper} who knew what to do.",
            "{Hero} asked {a_helper} for help.",
            "Luckily {a_helper} was near and said: \"We can do this together.\"",
            "{Hero} did not know what to do, so {hero} went to see {a_helper}.",
            "On the way {hero} met {a_helper} who was looking for a friend."]
DEEDS = ["Together they walked through the dark until they saw the sun again.",
         "Together they built a little boat and crossed the lake.",
         "They searched the whole day and did not give up.",
         "They lit a lamp and looked behind every tree.",
         "They worked all night and shared their last piece of bread.",
         "They climbed the highest hill and called as loud as they could.",
         "They dug a deep hole and found a spring of clear water.",
         "They followed the footprints over the bridge.",
         "They asked every neighbour, and everybody helped a little."]
ENDS = ["In the end everything was well again, and the village had a big party.",
        "At last the problem was solved, and they laughed for a long time.",
        "When they came home, everybody cheered.",
        "Soon all was good, and nobody was afraid any more.",
        "In the end they found what they had been looking for.",
        "When the morning came, the trouble was gone."]
MORALS = ["From that day on {hero} and the {helper} were best friends.",
          "{Hero} never forgot how good it is to have a friend.",
          "And so {hero} learned that small friends can do big things.",
          "{Hero} smiled and slept well that night.",
          "And {hero} was happy for many years.",
          "Since then {hero} visits the {helper} every Sunday.",
          "And if you listen at night, you can still hear {hero} sing."]


def _subject(source):
    """The subject as asked for, the noun that must occur, its adjective and name if any."""
    def make():
        noun = source.pick(words.STORY_HEROES)
        if not source.held_out and source.chance(0.3):
            noun = source.any_word()
        elif not source.held_out and source.chance(0.08):
            noun = source.pick(words.OBJECTS)
        elif source.held_out and source.chance(0.25):
            noun = source.pick(words.HELD_OUT_HEROES)
        adjective = source.pick(words.STORY_ADJECTIVES) if source.chance(0.5) else ""
        return adjective, noun

    def key(subject):
        adjective, noun = subject
        if noun in words.HELD_OUT_HEROES:
            return HELD_OUT_KEY
        return f"story {adjective} {noun}"
    return source.draw(make, key)


def _reserved_key():
    from .source import reserved
    return next(key for key in map(str, range(1000)) if reserved(key))


HELD_OUT_KEY = _reserved_key()


def story(source):
    """A story about one hero, who may have an adjective and a name, or about two."""
    adjective, noun = _subject(source)
    name = source.name() if source.chance(0.25) else ""
    full = f"{adjective} {noun}".strip()
    subject = with_article(full)
    other = ""
    if name:
        subject += source.pick([" named ", " called "]) + name
    elif source.chance(0.2):
        other = source.pick([hero for hero in words.STORY_HEROES if hero != noun])
        subject += " and " + with_article(other)
    if not name and not other and source.chance(0.15):
        question = source.phrasing(ASK).format(_many(full))
    else:
        question = source.phrasing(ASK).format(subject)
    question = loosen(source, question, copies=True)
    if source.chance(0.12) and not name:
        question = question.lower()
    answer = _tell(source, full, noun, name, other)
    thought = f"The user wants a story about {subject}. I tell a short one."
    mentions = [noun] + ([name] if name else []) + ([other] if other else [])
    return exchange(question, answer, thought, {"kind": "story", "mentions": mentions})


def _many(noun):
    irregular = {"mouse": "mice", "goose": "geese", "child": "children", "wolf": "wolves",
                 "elf": "elves", "fox": "foxes", "witch": "witches", "princess": "princesses",
                 "fairy": "fairies", "puppy": "puppies", "butterfly": "butterflies",
                 "firefly": "fireflies", "donkey": "donkeys", "monkey": "monkeys", "deer": "deer",
                 "leaf": "leaves", "potato": "potatoes", "bus": "buses", "box": "boxes",
                 "walrus": "walruses", "ladybird": "ladybirds", "brush": "brushes",
                 "torch": "torches", "dress": "dresses", "peach": "peaches", "cherry": "cherries",
                 "octopus": "octopuses"}
    head, _, last = noun.rpartition(" ")
    many = irregular.get(last, last + "s")
    return f"{head} {many}".strip()


def _tell(source, full, noun, name, other):
    helper = other or source.pick([item for item in HELPER_NOUNS if item != noun])
    a_helper = (with_article(other) if other
                else source.pick(HELPERS).format(helper=helper))
    hero = name or "the " + noun

    def fill(template):
        return template.format(a_hero=with_article(full), noun=noun, name=name, hero=hero,
                               Hero=hero[0].upper() + hero[1:], helper=helper, a_helper=a_helper,
                               place=source.pick(PLACES))
    sentences = [fill(source.pick(OPENINGS)) + (fill(source.pick(NAMED)) if name else "")]
    sentences.append(fill(source.pick(HABITS)))
    if source.chance(0.3):
        sentences.append(fill(source.pick([habit for habit in HABITS
                                           if fill(habit) != sentences[-1]])))
    sentences += [fill(source.pick(bank)) for bank in (TURNS, MEETINGS, DEEDS, ENDS, MORALS)]
    text = " ".join(sentences)
    if source.chance(0.3):
        text += " The end."
    return text
