# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Greedy answers to the held-out set in batches, straight after training."""

import json

import torch
from tokenizers import Tokenizer

from corpus.render import render_messages
from corpus.stream import HELD_OUT_PATH
from judge import judge, template_messages
from model import causal

MAX_NEW_TOKENS = 256
BATCH = 96


@torch.no_grad()
def greedy(model, prompts, end, device):
    """The tokens that follow each prompt, up to the end token."""
    width = max(map(len, prompts)) + MAX_NEW_TOKENS
    tokens = torch.full((len(prompts), width), end, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = torch.tensor(prompt)
    tokens = tokens.to(device)
    rows = torch.arange(len(prompts), device=device)
    first = torch.tensor([len(prompt) for prompt in prompts], device=device)
    at = first.clone()
    running = torch.ones(len(prompts), dtype=torch.bool, device=device)
    for step in range(MAX_NEW_TOKENS):
        length = max(map(len, prompts)) + step
        states = model.hidden(tokens[:, :length], causal)[rows, at - 1]
        chosen = (states @ model.model.embed_tokens.weight.T.to(states.dtype)).argmax(-1)
        running &= chosen != end
        if not running.any():
            break
        tokens[rows, at] = torch.where(running, chosen, end)
        at += running.long()
    return [tokens[row, first[row] : at[row]].tolist() for row in range(len(prompts))]


def answer_held_out(model, folder, device):
    """[(skill, right)] of all cases, and the wrong answers as lines to read."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    end = tokenizer.token_to_id("<|im_end|>")
    with open(HELD_OUT_PATH, encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    texts = [
        render_messages(template_messages(case), case.get("tools"), True, **case["chatTemplateArgs"]) for case in cases
    ]
    prompts = [tokenizer.encode(text).ids for text in texts]
    order = sorted(range(len(cases)), key=lambda at: len(prompts[at]))
    answers = {}
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        with torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
            found = greedy(model, [prompts[at] for at in chosen], end, device)
        answers.update(zip(chosen, found, strict=True))
    results, wrong = [], []
    for at, case in enumerate(cases):
        text = tokenizer.decode(answers[at], skip_special_tokens=False)
        right = judge(case["check"], text)
        results.append((case["skill"], right))
        if not right:
            asked = case["messages"][-1]["content"]
            wrong.append(json.dumps([case["skill"], asked, text, case["check"]], ensure_ascii=False))
    return results, wrong
