# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Answers the held-out set greedily through mlx-lm: `python evaluate.py [model] [held-out set]`.

The twin of evaluate.mjs, for whoever wants to check the model without node-mlx.
"""

import json
import sys
from pathlib import Path

from mlx_lm import generate, load
from mlx_lm.sample_utils import make_sampler

from judge import judge, report, template_messages

HERE = Path(__file__).parent
MAX_TOKENS = 256


def main():
    """Prints the share right of each skill and the wrong answers; fails where it is not enough."""
    folder = sys.argv[1] if len(sys.argv) > 1 else str(HERE.parent.parent / "models" / "demo")
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else HERE / "heldout.jsonl"
    model, tokenizer = load(folder)
    results = []
    for line in path.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        prompt = tokenizer.apply_chat_template(
            template_messages(case), tools=case.get("tools"), add_generation_prompt=True,
            **case["chatTemplateArgs"])
        text = generate(model, tokenizer, prompt, max_tokens=MAX_TOKENS,
                        sampler=make_sampler(temp=0.0))
        right = judge(case["check"], text)
        results.append((case["skill"], right))
        if not right:
            print("wrong:", json.dumps([case["skill"], case["messages"][-1]["content"], text],
                                       ensure_ascii=False))
    sys.exit(0 if report(results) else 1)


if __name__ == "__main__":
    main()
