# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Calling tools, using what they give back, and leaving them alone when they are not needed."""

import json

from .arithmetic import PLUS
from .source import assistant, joined, loosen, user

# tool -> its descriptions, and for each parameter its type and descriptions
SPECS = {
    "get_weather": (["Get the weather of a city", "Gives the current weather in a city.",
                     "Get the current weather", "The weather at a place", "Look up the weather."],
                    {"city": ("string", ["The city", "Name of the city", "City name", "The name of the city"])}),
    "add": (["Add two numbers", "Adds two numbers.", "Returns the sum of a and b.", "Add a and b",
             "The sum of two numbers"],
            {"a": ("number", ["The first number", "First number", "A number"]),
             "b": ("number", ["The second number", "Second number", "Another number"])}),
    "multiply": (["Multiply two numbers", "The product of a and b."],
                 {"a": ("number", ["The first number", "First factor"]),
                  "b": ("number", ["The second number", "Second factor"])}),
    "get_time": (["Get the time in a city", "The current time at a place"],
                 {"city": ("string", ["The city", "Name of the city"])}),
    "search": (["Search the web", "Looks something up."], {"query": ("string", ["What to search for"])}),
    "set_timer": (["Set a timer", "Starts a timer."], {"minutes": ("integer", ["How many minutes"])}),
}
NAMES = list(SPECS)

WEATHER = {
    "train": ["What is the weather in {}?", "What's the weather in {}?", "How is the weather in {}?",
              "What is the weather like in {}?", "Tell me the weather in {}.", "Weather in {}?",
              "Is it raining in {}?", "How warm is it in {}?", "What is the temperature in {}?",
              "Is it sunny in {}?", "Is it cold in {} today?", "Do I need an umbrella in {}?",
              "Check the weather in {}.", "Please get the weather for {}.", "How is the weather in {} today?",
              "What is the weather like in {} today?", "I am in {}. What is the weather?",
              "Can you tell me the weather in {}?", "Look up the weather in {}.",
              "I travel to {} today. How is the weather there?", "Get the weather for {}.",
              "What is the weather in {} right now?", "Does it snow in {}?", "How hot is it in {}?",
              "Give me the weather for {}.", "Will I need a coat in {}?"],
    "held_out": ["Could you check the weather in {}?", "How is the weather in {} right now?",
                 "Please tell me what the weather is like in {}.", "Is it warm in {} today?",
                 "Can you look up the weather in {}?"],
}
ADD = {
    "train": ["What is {a} + {b}?", "What is {a} plus {b}?", "Add {a} and {b}.", "{a} + {b}",
              "Calculate {a} + {b}.", "Please add {a} and {b}.", "How much is {a} plus {b}?",
              "What is the sum of {a} and {b}?", "Can you add {a} and {b}?", "{a} plus {b}?",
              "Add {a} to {b}.", "Use the tool to add {a} and {b}.", "What do {a} and {b} add up to?",
              "I have {a} and get {b} more. How many is that?", "Sum {a} and {b}.", "{a} + {b} = ?"],
    "held_out": ["Can you calculate {a} + {b}?", "Please compute the sum of {a} and {b}.",
                 "How much do {a} and {b} make together?"],
}
MULTIPLY = ["What is {a} times {b}?", "Multiply {a} by {b}.", "{a} * {b}", "How much is {a} times {b}?"]
TIME = ["What time is it in {}?", "Tell me the time in {}.", "How late is it in {}?",
        "What is the time in {}?"]
SEARCH = ["Search for {}.", "Look up {} on the web.", "Find something about {}.", "Search the web for {}."]
TIMER = ["Set a timer for {} minutes.", "Wake me in {} minutes.", "Start a timer of {} minutes."]
TWO_CITIES = ["How is the weather in {} and in {}?", "Compare the weather in {} and {}.",
              "What is the weather in {} and {}?", "Is it warmer in {} or in {}?"]
CONDITIONS = ["sunny", "cloudy", "rainy", "windy", "snowy", "foggy", "stormy", "clear", "overcast",
              "partly cloudy", "hot", "cold", "mild", "dry", "humid", "light rain", "heavy snow"]


def describe(source, name):
    """The tool as the OpenAI-style JSON that a chat template gets, in one of several wordings."""
    descriptions, parameters = SPECS[name]
    properties = {}
    for key, (kind, texts) in parameters.items():
        if kind == "number" and source.chance(0.3):
            kind = "integer"
        properties[key] = {"type": kind}
        if source.chance(0.6):
            properties[key]["description"] = source.pick(texts)
    schema = {"type": "object", "properties": properties}
    if source.chance(0.8):
        schema["required"] = list(parameters)
    if source.chance(0.1):
        schema["additionalProperties"] = False
    function = {"name": name, "description": source.pick(descriptions), "parameters": schema}
    if source.chance(0.05):
        del function["description"]
    return {"type": "function", "function": function}


def toolbox(source, needed=()):
    """Some tools in random order, the needed ones among them."""
    others = [name for name in NAMES if name not in needed]
    if source.held_out:
        others = [name for name in ("get_weather", "add") if name not in needed]
    extra = source.pick([0, 0, 1, 1, 2, 3]) if not source.held_out else source.int(0, 1)
    if not needed:
        extra = max(1, extra)
    chosen = list(needed) + source.rng.sample(others, min(extra, len(others)))
    source.rng.shuffle(chosen)
    return [describe(source, name) for name in chosen]


def call(name, arguments):
    """A tool call as the messages of a chat template hold it."""
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def _sum_numbers(source):
    top = source.pick([9, 99, 99, 999, 999, 9999, 99999])
    return source.draw(lambda: (source.int(0, top), source.int(0, top)),
                       lambda pair: f"{pair[0]} + {pair[1]}")


def _weather(source, city):
    """What a weather tool gives back, and how the answer tells it."""
    degrees, condition = source.int(-15, 39), source.pick(CONDITIONS)
    style = source.rng.random()
    if style < 0.2:
        unit = source.pick(["°C", " degrees", " °C", " C"])
        content = source.pick([f"{condition}, {degrees}{unit}", f"{degrees}{unit}, {condition}",
                               f"{degrees}{unit} and {condition}",
                               f"It is {degrees}{unit} and {condition}."])
    else:
        degree_key = source.pick(["temperature", "temperature", "temp", "temperature_c", "degrees",
                                  "celsius"])
        condition_key = source.pick(["condition", "conditions", "weather", "sky", "description"])
        fields = {degree_key: degrees, condition_key: condition}
        if source.chance(0.5):
            fields["city"] = city
        if source.chance(0.15):
            fields["wind"] = source.int(0, 60)
        if source.chance(0.1):
            fields["unit"] = "celsius"
        items = list(fields.items())
        source.rng.shuffle(items)
        content = json.dumps(dict(items), ensure_ascii=False)
        if source.chance(0.25):
            content = json.dumps(dict(items), ensure_ascii=False, separators=(",", ":"))
    return content, f"{degrees} degrees and {condition} in {city}", [str(degrees), condition, city]


def _use(source, question, calls, results, answer, thought, values):
    """The call, the results and the answer; a held-out case checks the call or the answer."""
    first = assistant("", thought, calls)
    check = {"kind": "toolCall", "calls": [item["function"] for item in calls]}
    messages = [user(question), first]
    final_only = False
    if not source.held_out or source.chance(0.5):
        messages += [{"role": "tool", "content": content} for content in results]
        messages.append(assistant(answer, "The tool gave me the answer."))
        final_only = source.chance(0.4)
        check = {"kind": "containsAll", "values": values}
    return {"messages": messages, "check": check, "final_only": final_only,
            "tools": toolbox(source, dict.fromkeys(item["function"]["name"] for item in calls))}


def weather(source):
    """The weather of a city through the tool."""
    city = source.city()
    content, told, values = _weather(source, city)
    question = loosen(source, source.phrasing(WEATHER).format(city), copies=True)
    return _use(source, question, [call("get_weather", {"city": city})], [content],
                f"It is {told}.", f"I need the weather in {city}. I call get_weather.", values)


def add(source):
    """A sum through the tool, also of larger numbers."""
    a, b = _sum_numbers(source)
    bank = PLUS if not source.held_out and source.chance(0.5) else ADD
    question = loosen(source, source.phrasing(bank).format(a=a, b=b), copies=True)
    return _use(source, question, [call("add", {"a": a, "b": b})], [_number_result(source, a + b)],
                f"{a} + {b} = {a + b}.", f"I need the sum of {a} and {b}. I call add.", [str(a + b)])


def _number_result(source, number):
    if source.chance(0.6):
        return str(number)
    return json.dumps({source.pick(["result", "sum", "value", "answer", "total"]): number})


def other_tool(source):
    """A call of one of the rarer tools."""
    kind = source.int(0, 4)
    if kind == 0:
        a, b = source.int(2, 999), source.int(2, 99)
        question, calls = source.pick(MULTIPLY).format(a=a, b=b), [call("multiply", {"a": a, "b": b})]
        result, answer = _number_result(source, a * b), f"{a} * {b} = {a * b}."
        need = f"the product of {a} and {b}"
    elif kind == 1:
        city, time = source.city(), f"{source.int(0, 23):02}:{source.int(0, 59):02}"
        question, calls = source.pick(TIME).format(city), [call("get_time", {"city": city})]
        result = source.pick([time, json.dumps({"time": time}), json.dumps({"city": city, "time": time})])
        answer, need = f"It is {time} in {city}.", f"the time in {city}"
    elif kind == 2:
        query = source.pick([source.any_word(), source.name(), "the " + source.made_up_word()])
        question, calls = source.pick(SEARCH).format(query), [call("search", {"query": query})]
        found = f"{query} is a {source.made_up_word()} in {source.city()}"
        result, answer, need = found, f"I found this: {found}.", f"to look up {query}"
    elif kind == 3:
        minutes = source.int(1, 120)
        question, calls = source.pick(TIMER).format(minutes), [call("set_timer", {"minutes": minutes})]
        result = source.pick(["ok", "done", '{"status": "ok"}', "The timer is set."])
        answer, need = f"The timer is set to {minutes} minutes.", f"a timer of {minutes} minutes"
    else:
        cities = [source.city(), source.city()]
        question = source.pick(TWO_CITIES).format(*cities)
        calls = [call("get_weather", {"city": city}) for city in cities]
        contents, told, _ = zip(*(_weather(source, city) for city in cities), strict=True)
        need = f"the weather in {joined(cities)}"
        return _use(source, question, calls, contents, f"It is {told[0]}, and {told[1]}.",
                    f"I need {need}. I call get_weather twice.", [])
    question = loosen(source, question, copies=True)
    return _use(source, question, calls, [result], answer,
                f"I need {need}. I call {calls[0]['function']['name']}.", [])


def tool_missing(source):
    """A question for the weather when no tool can tell it."""
    city = source.city()
    question = loosen(source, source.phrasing(WEATHER).format(city), copies=True)
    tools = [describe(source, "add")] if source.chance(0.5) else None
    return {"messages": [user(question),
                         assistant(f"I'm sorry, I cannot check the weather in {city}.",
                                   "I have no tool for the weather. I say so.")],
            "tools": tools, "check": {"kind": "noToolCall", "pattern": r"\bcannot\b"}}


def tool_not_needed(source, plain):
    """Any plain exchange, with tools around that it does not need.

    plain(source) gives the exchange; sums come with tools that cannot add.
    """
    made = plain(source)
    tools = toolbox(source)
    if "= " in made["messages"][-1]["content"]:
        tools = [describe(source, "get_weather")]
    check = made["check"] or {}
    if check.get("kind") == "contains":
        check = {"kind": "noToolCall", "pattern": check["value"]}
    elif check.get("kind") == "regex":
        check = {"kind": "noToolCall", "pattern": check["pattern"], "flags": check.get("flags", "")}
    return {**made, "tools": tools, "check": check}


def tool_use(source, plain):
    """One of the kinds above."""
    roll = source.rng.random()
    if roll < 0.35:
        return weather(source)
    if roll < 0.65:
        return add(source)
    if roll < 0.75 and not source.held_out:
        return other_tool(source)
    if roll < 0.83:
        return tool_missing(source)
    return tool_not_needed(source, plain)


def chained(source, made, plain):
    """The exchange after earlier ones with the same tools around."""
    earlier, specs = [], {tool["function"]["name"]: tool for tool in made["tools"] or []}
    for _ in range(source.int(1, 2)):
        other = source.pick([weather, add])(source) if source.chance(0.7) else plain(source)
        if "tools" not in other and "= " in other["messages"][-1]["content"]:
            continue
        earlier += other["messages"]
        for tool in other.get("tools") or []:
            specs.setdefault(tool["function"]["name"], tool)
    last = made["messages"][-1]["content"]
    if "cannot check the weather" in last and "get_weather" in specs:
        return made
    if last.count(" = ") and made["messages"][-2]["role"] == "user" and "add" in specs:
        return made
    shuffled = list(specs.values())
    source.rng.shuffle(shuffled)
    return {**made, "messages": earlier + made["messages"], "tools": shuffled or None}
