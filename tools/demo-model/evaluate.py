# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Answers the held-out set greedily through mlx-lm, to check the model without node-mlx; see --help."""

import argparse
import json
import sys
from pathlib import Path

from mlx_lm import generate, load
from mlx_lm.sample_utils import make_sampler

from judge import judge, report, template_messages

HERE = Path(__file__).parent
MAX_TOKENS = 256


def sample(cases, count):
    """So many cases, spread evenly: the same ones as in evaluate.mjs."""
    if count < 1:
        sys.exit("--sample must be a positive integer")
    return cases if count >= len(cases) else [cases[at * len(cases) // count] for at in range(count)]


def main():
    """Prints the share right of each skill and the wrong answers; fails where it is not enough."""
    parser = argparse.ArgumentParser(description=__doc__.partition(", to")[0] + ".")
    parser.add_argument("model", nargs="?", default=str(HERE.parent.parent / "models" / "demo"))
    parser.add_argument("heldout", nargs="?", type=Path, default=HERE / "heldout.jsonl")
    parser.add_argument("--sample", type=int, help="answer that many cases only, spread evenly")
    options = parser.parse_args()
    cases = [json.loads(line) for line in options.heldout.read_text(encoding="utf-8").splitlines()]
    if options.sample is not None:
        cases = sample(cases, options.sample)
    model, tokenizer = load(options.model)
    results = []
    for case in cases:
        prompt = tokenizer.apply_chat_template(
            template_messages(case), tools=case.get("tools"), add_generation_prompt=True, **case["chatTemplateArgs"]
        )
        text = generate(model, tokenizer, prompt, max_tokens=MAX_TOKENS, sampler=make_sampler(temp=0.0))
        right = judge(case["check"], text)
        results.append((case["skill"], right))
        if not right:
            print("wrong:", json.dumps([case["skill"], case["messages"][-1]["content"], text], ensure_ascii=False))
    sys.exit(0 if report(results) else 1)


if __name__ == "__main__":
    main()
