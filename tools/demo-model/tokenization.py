# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The tokenizer of the demo model, and training text as packed rows of tokens."""

import re

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from corpus.render import render
from corpus.stream import held_out_keys, training_conversations

VOCABULARY = 3072
ROW_LENGTH = 2048
CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKUP_TOKENS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
# Words with the space before them, single digits, runs of marks, and white space.
WORDS = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+"


def train_tokenizer(texts):
    """A byte-level BPE tokenizer of exactly VOCABULARY tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    markup = re.compile("|".join(map(re.escape, CONTROL_TOKENS + MARKUP_TOKENS)))
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(CONTROL_TOKENS) - len(MARKUP_TOKENS),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator((part for text in texts for part in markup.split(text) if part), trainer)
    tokenizer.add_special_tokens(CONTROL_TOKENS)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKUP_TOKENS])
    assert tokenizer.get_vocab_size() == VOCABULARY, tokenizer.get_vocab_size()
    return tokenizer


class Packer:
    """Turns the training stream of one seed into rows of tokens, labels and conversation numbers.

    A label is the next token where the assistant wrote it and -1 elsewhere. In a conversation
    with thoughts only what follows the last question is learned, since a chat template leaves
    earlier thoughts out.
    """

    def __init__(self, tokenizer, seed):
        self.tokenizer = tokenizer
        self.stream = training_conversations(seed, held_out_keys())
        self.start = tokenizer.token_to_id("<|im_start|>")
        self.end = tokenizer.token_to_id("<|im_end|>")
        self.response = tokenizer.token_to_id("<tool_response>")
        self.pad = tokenizer.token_to_id("<|endoftext|>")
        (self.assistant,) = tokenizer.encode("assistant").ids
        (self.user,) = tokenizer.encode("user").ids
        self.left = None

    def labels(self, ids, conversation):
        """The label of each position."""
        labels = np.full(len(ids), -1, np.int16)
        starts = [at for at, token in enumerate(ids) if token == self.start]
        first = 0
        if conversation["final_only"]:
            first = starts[-1]
        elif conversation["thinking"]:
            first = max(at for at in starts if ids[at + 1] == self.user and ids[at + 3] != self.response)
        for at in starts:
            if at >= first and ids[at + 1] == self.assistant:
                stop = ids.index(self.end, at)
                labels[at + 2 : stop] = ids[at + 3 : stop + 1]
        return labels

    def rows(self, count):
        """The next count rows as arrays (tokens, labels, conversation numbers)."""
        tokens = np.full((count, ROW_LENGTH), self.pad, np.uint16)
        labels = np.full((count, ROW_LENGTH), -1, np.int16)
        numbers = np.full((count, ROW_LENGTH), -1, np.int16)
        for row in range(count):
            at = number = 0
            while True:
                ids, wanted = self.left or self._next()
                self.left = None
                if at + len(ids) > ROW_LENGTH:
                    self.left = ids, wanted
                    break
                tokens[row, at : at + len(ids)] = ids
                labels[row, at : at + len(ids)] = wanted
                numbers[row, at : at + len(ids)] = number
                at += len(ids)
                number += 1
        return tokens, labels, numbers

    def _next(self):
        while True:
            conversation = next(self.stream)
            ids = self.tokenizer.encode(render(conversation)).ids
            if len(ids) <= ROW_LENGTH:
                return ids, self.labels(ids, conversation)
