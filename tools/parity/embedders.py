# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Tiny random embedders and a reranker, saved as sentence-transformers has them, and what transformers computes.

    target/transformers/bin/python tools/parity/embedders.py      # into __test__/embedders
    target/transformers/bin/python tools/parity/embedders.py --out DIR

A folder has a model and its tokenizer, the files of sentence-transformers, and expected.json: for an embedder the
number of tokens of all texts and the normalized embedding of each, for the reranker the score of each document. Numbers
are in float32. Every weight comes from a seed of its own, so a second run writes the same bytes.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

from transformers_cases.case import TEXT, Case, rope
from transformers_models import EAGER, build

FIXTURES = Path(__file__).resolve().parent.parent.parent / "__test__" / "embedders"
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
END = SPECIALS[0]
MERGES = 64
# Qwen's
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = [
    *["yes", "no"] * 40,
    "Instruct: Given a web search query, retrieve relevant passages that answer the query",
    "The capital of France is Paris, and the document answers the query about the capital.",
    "Bread rises because yeast makes gas, and the query is not about bread.",
]
TEXTS = [
    "What is the capital of France?",
    "The capital of France is Paris.",
    "Bread rises because yeast makes gas. " * 3,
    "¿Sí? 🦀",
    "x",
    # more than one pass on a CPU
    "Bread rises because yeast makes gas. " * 40,
]
PROMPTS = {
    "query": "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:",
    "document": "",
}
DIMENSIONS = 8
CONTEXT = 2048
# Of the README of Qwen/Qwen3-Reranker-0.6B, as is the order of its parts in `reranked`.
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
QUERY = TEXTS[0]
DOCUMENTS = [TEXTS[2], TEXTS[1], TEXTS[4]]


def write_json(path, value, indent=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def save_tokenizer(folder, ends):
    """A byte-level tokenizer; `ends`: it puts <|endoftext|> behind every text, as that of Qwen3-Embedding does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(SPLIT), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    size = len(alphabet) + MERGES
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(SPECIALS[:3])
    tokenizer.add_tokens(SPECIALS[3:])
    if ends:
        end = (END, tokenizer.token_to_id(END))
        tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[end])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": END, "pad_token": END, "model_max_length": CONTEXT}
    write_json(folder / "tokenizer_config.json", config | {"extra_special_tokens": SPECIALS[1:3]})
    return tokenizer.get_vocab_size()


def save_modules(folder, pooling, prompts, normalizes):
    names = ["Transformer", "Pooling", *(["Normalize"] if normalizes else [])]
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": f"{index}_{name}" if index else "",
            "type": f"sentence_transformers.models.{name}",
        }
        for index, name in enumerate(names)
    ]
    write_json(folder / "modules.json", modules)
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": TEXT["hidden_size"], **pooling})
    config = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    write_json(folder / "config_sentence_transformers.json", config)


@torch.no_grad()
def embedded(model, tokenizer, pooling, text, prompt="", dimensions=None):
    ids = tokenizer(prompt + text)["input_ids"]
    states = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    if pooling == "lasttoken":
        pooled = states[-1]
    else:
        # as sentence-transformers counts the prompt's tokens
        skipped = tokenizer(prompt)["input_ids"] if prompt else []
        if skipped and skipped[-1] in tokenizer.all_special_ids:
            skipped.pop()
        pooled = states[len(skipped) :].mean(0)
    return ids, torch.nn.functional.normalize(pooled[:dimensions], dim=0).tolist()


def loaded(auto, folder):
    config = AutoConfig.from_pretrained(folder)
    return auto.from_pretrained(folder, config=config, dtype=torch.float32, **EAGER).eval()


def make_embedder(folder, model_type, changes, mode, pooling, normalizes):
    folder.mkdir(parents=True)
    vocab = save_tokenizer(folder, ends=mode == "lasttoken")
    sizes = {"vocab_size": vocab, "max_position_embeddings": CONTEXT}
    case = Case(folder.name, model_type, TEXT | rope() | sizes | changes)
    # the model without its output layer, which transformers saves under shorter names
    build(case, 0).model.to(torch.bfloat16).save_pretrained(folder)
    save_modules(folder, pooling, PROMPTS, normalizes)
    model, tokenizer = loaded(AutoModel, folder), AutoTokenizer.from_pretrained(folder)
    rows = []
    for prompt in (None, "query"):
        for dimensions in (None, DIMENSIONS):
            given = (PROMPTS[prompt] if prompt else "", dimensions)
            made = [embedded(model, tokenizer, mode, text, *given) for text in TEXTS]
            tokens, embeddings = sum(len(ids) for ids, _ in made), [embedding for _, embedding in made]
            rows.append({"prompt": prompt, "dimensions": dimensions, "tokens": tokens, "embeddings": embeddings})
    write_json(folder / "expected.json", {"texts": TEXTS, "runs": rows}, indent=None)


@torch.no_grad()
def reranked(model, tokenizer, instruction):
    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    yes, no = (tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    scores = []
    for document in DOCUMENTS:
        body = f"<Instruct>: {instruction}\n<Query>: {QUERY}\n<Document>: {document}"
        logits = model(input_ids=torch.tensor([ids(PREFIX) + ids(body) + ids(SUFFIX)])).logits[0, -1]
        scores.append(torch.softmax(logits[[no, yes]], 0)[1].item())
    return scores


def make_reranker(folder):
    folder.mkdir(parents=True)
    vocab = save_tokenizer(folder, ends=False)
    case = Case(folder.name, "qwen3", TEXT | rope() | {"vocab_size": vocab, "tie_word_embeddings": True})
    build(case, 0).to(torch.bfloat16).save_pretrained(folder)
    model, tokenizer = loaded(AutoModelForCausalLM, folder), AutoTokenizer.from_pretrained(folder)
    other = "Find passages about bread"
    scores = {instruction: reranked(model, tokenizer, instruction) for instruction in (INSTRUCTION, other)}
    write_json(folder / "expected.json", {"query": QUERY, "documents": DOCUMENTS, "scores": scores})


def make(out):
    last = {"pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True, "include_prompt": True}
    mean = {"pooling_mode": "mean", "include_prompt": False}
    make_embedder(out / "last", "qwen3", {}, "lasttoken", last, normalizes=True)
    window = {"num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": 16}
    make_embedder(out / "mean", "mistral", window, "mean", mean, normalizes=False)
    make_reranker(out / "reranker")
    for path in out.rglob("generation_config.json"):
        path.unlink()


def main():
    parser = argparse.ArgumentParser(description="Generates tiny embedders and a reranker with transformers.")
    parser.add_argument("--out", type=Path, default=FIXTURES, help="folder to write to")
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    make(out)


if __name__ == "__main__":
    main()
