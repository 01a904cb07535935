# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Trains the demo model from scratch and writes it as a Hugging Face style folder.

    python train.py --out build/demo-bf16 --minutes 6

The conversations come from worker processes, each with its own seed, and are never repeated.
The learning rate follows the clock, so that the run ends when its minutes are over. With --start
the run goes on from an earlier folder. At the end the held-out set is answered and judged.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.nn import functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from corpus.render import TEMPLATE_PATH, render
from corpus.stream import held_out_keys, training_conversations
from generate import answer_held_out
from judge import report
from model import CONFIG, LanguageModel
from optimizer import optimizers
from tokenization import ROW_LENGTH, Packer, train_tokenizer

TOKENIZER_TEXTS = 60_000
ROWS_PER_PARCEL = 64


def produce(folder, seed, parcels):
    """A worker: puts parcels of packed rows into the queue for ever."""
    packer = Packer(Tokenizer.from_file(str(folder / "tokenizer.json")), seed)
    while True:
        parcels.put(packer.rows(ROWS_PER_PARCEL))


def batches(parcels, rows, device):
    """Batches of rows on the device, gathered from parcels of several workers."""
    while True:
        gathered = [parcels.get() for _ in range(max(1, rows // ROWS_PER_PARCEL))]
        arrays = [np.concatenate(column)[:rows].astype(np.int64) for column in zip(*gathered, strict=True)]
        yield [torch.from_numpy(array).to(device, non_blocking=True) for array in arrays]


def dense_attention(numbers):
    """Causal attention within each conversation, by a dense mask (any device)."""
    length = numbers.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=numbers.device).tril()
    mask = (causal & (numbers[:, :, None] == numbers[:, None, :]))[:, None]
    return lambda queries, keys, values: F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=mask, enable_gqa=True
    )


def block_attention(numbers):
    """The same attention, block-sparse (to be compiled, on a GPU)."""

    def within(row, _head, query, key):
        return (query >= key) & (numbers[row, query] == numbers[row, key])

    rows, length = numbers.shape
    mask = create_block_mask(within, rows, None, length, length, device=numbers.device)
    return lambda queries, keys, values: flex_attention(queries, keys, values, block_mask=mask, enable_gqa=True)


def make_step(model, options):
    """loss(tokens, labels, numbers), compiled on a GPU."""
    attention = block_attention if options.attention == "blocks" else dense_attention

    def loss(tokens, labels, numbers):
        return model.loss(tokens, labels, attention(numbers))

    return loss if options.device == "cpu" else torch.compile(loss)


def rate(done):
    """The share of the full learning rate after a share of the run: warm up, hold, fall to zero."""
    return min(1.0, done / 0.01 + 0.01, (1 - done) / 0.5)


def train(model, folder, options):
    """The run itself; returns what it took."""
    device = options.device
    context = multiprocessing.get_context("spawn")
    parcels = context.Queue(maxsize=256)
    workers = [
        context.Process(target=produce, args=(folder, options.seed + 1 + at, parcels), daemon=True)
        for at in range(options.workers)
    ]
    for worker in workers:
        worker.start()
    stream = batches(parcels, options.rows, device)
    loss_of = make_step(model, options)
    both = optimizers(model)
    losses, seen, learned = [], 0, torch.zeros((), dtype=torch.int64, device=device)
    begin = last = None
    for step in itertools.count():
        tokens, labels, numbers = next(stream)
        if step == 1:
            begin = last = time.time()
        done = (time.time() - begin) / (60 * options.minutes) if begin else 0.0
        if done >= 1 or step == options.steps:
            break
        with torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
            loss = loss_of(tokens, labels, numbers)
        loss.backward()
        for optimizer in both:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * options.rate * rate(done)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.detach())
        seen += tokens.numel()
        learned += (labels >= 0).sum()
        if step % 250 == 0:
            recent = torch.stack(losses[-100:]).mean().item()
            now = time.time()
            pace = tokens.numel() * 250 / (now - last) if last and step > 250 else 0
            last = now
            assert done < 0.1 or recent < 2, "the loss does not fall"
            print(
                f"step {step:6} done {done:5.2f} loss {recent:.4f} tokens {seen / 1e6:.0f}M "
                f"{pace / 1e6:.2f}M/s parcels {parcels.qsize()}",
                flush=True,
            )
    for worker in workers:
        worker.terminate()
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    return {
        "device": name,
        "steps": step,
        "tokens": seen,
        "answer_tokens": learned.item(),
        "minutes": round((time.time() - begin) / 60, 2),
        "final_loss": round(torch.stack(losses[-100:]).mean().item(), 4),
        "parameters": sum(param.numel() for param in model.parameters()),
        "seed": options.seed,
        "rate": options.rate,
        "torch": torch.__version__,
    }


def write_tokenizer(folder, seed):
    """Trains the tokenizer on conversations of ours and writes its files."""
    stream = training_conversations(seed, held_out_keys())
    texts = [render(made) for made in itertools.islice(stream, TOKENIZER_TEXTS)]
    tokenizer = train_tokenizer(texts)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONFIG["max_position_embeddings"],
    }
    _write_json(folder / "tokenizer_config.json", settings)
    shutil.copy(TEMPLATE_PATH, folder / "chat_template.jinja")


def write_model(model, folder):
    """Writes the weights in bfloat16 and the configuration."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    end, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    weights = {name: value.detach().to("cpu", torch.bfloat16).contiguous() for name, value in model.named_parameters()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _write_json(folder / "config.json", {**CONFIG, "bos_token_id": None, "eos_token_id": end, "pad_token_id": pad})
    _write_json(
        folder / "generation_config.json",
        {"do_sample": True, "eos_token_id": [end, pad], "pad_token_id": pad, "temperature": 0.7, "top_p": 0.9},
    )


def _write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    """Tokenizer, training, export, judgement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/demo-bf16"))
    parser.add_argument("--start", type=Path, help="a folder of an earlier run to go on from")
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--steps", type=int, default=-1, help="stop after so many steps")
    parser.add_argument("--rows", type=int, default=64, help=f"rows of {ROW_LENGTH} tokens a step")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--rate", type=float, default=1.0, help="factor on the learning rates")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--attention", choices=["blocks", "dense"], default="blocks")
    options = parser.parse_args()
    if options.device == "cpu":
        options.attention = "dense"
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    model = LanguageModel().to(options.device)
    if options.start:
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copy(options.start / name, options.out / name)
        model.load_state_dict(load_file(options.start / "model.safetensors"))
    else:
        write_tokenizer(options.out, options.seed)
    took = train(model, options.out, options)
    print(json.dumps(took), flush=True)
    write_model(model, options.out)
    earlier = options.start and options.start / "training.json"
    runs = json.loads(earlier.read_text(encoding="utf-8")) if earlier else []
    _write_json(options.out / "training.json", runs + [took])
    model.load_state_dict(load_file(options.out / "model.safetensors"))
    results, wrong = answer_held_out(model, options.out, options.device)
    (options.out / "wrong.txt").write_text("\n".join(wrong) + "\n", encoding="utf-8")
    report(results)


if __name__ == "__main__":
    main()
