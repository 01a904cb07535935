# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The first words of an answer of mlx-lm's, as soon as they are there. usage: cold.py FOLDER QUESTION"""

import sys

from mlx_lm import load, stream_generate

model, tokenizer = load(sys.argv[1])
messages = [{"role": "user", "content": sys.argv[2]}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, enable_thinking=False)
for response in stream_generate(model, tokenizer, prompt):
    if response.text:
        print(response.text, flush=True)
        break
