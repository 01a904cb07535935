# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Makes the seeded models of the fixtures and saves them as a Hugging Face folder."""

import contextlib
import copy
import io
import json
import math

import safetensors_io
from oracle import generator, get_classes, linear_to_lora_layers, mx, np, quantize_model, tree_flatten, uniform

DTYPES = {"float32": mx.float32, "bfloat16": mx.bfloat16, "float16": mx.float16}
NAMES = {
    mx.float32: "F32",
    mx.bfloat16: "BF16",
    mx.float16: "F16",
    mx.uint32: "U32",
    mx.int32: "I32",
    mx.uint8: "U8",
}
# numpy has no bfloat16: two-byte floats travel as integers
CARRIERS = {mx.bfloat16: mx.uint16, mx.float16: mx.uint16}


# tensors that are neither matrices nor norms: around which number they lie, and how far from it
ODD = {
    # so large that GPT-OSS's activation clips
    "mlp.experts.gate_proj.weight": (0.0, 1.2),
    "mlp.experts.up_proj.weight": (0.0, 1.2),
    "mlp.experts.down_proj.weight": (0.0, 0.06),
    ".bias": (0.0, 0.3),
    "sinks": (0.5, 1.0),
    "A_log": (0.5, 0.7),
    "dt_bias": (0.0, 0.7),
    "conv1d.weight": (0.0, 0.7),
    "layer_scalar": (0.8, 0.2),
    "router.scale": (5.0, 2.0),
    "per_expert_scale": (1.0, 0.4),
    "correct_output_scale": (1.0, 0.4),
    "embed_tokens_per_layer.weight": (0.0, 0.5),
    # divided by the hidden size
    "router_norm.weight": (32.0, 10.0),
}


def _weight(rng, key, shape, spec):
    """A random tensor that is nowhere constant, at a scale that keeps the activations around one."""
    for suffix, (mean, spread) in ODD.items():
        if key.endswith(suffix):
            return uniform(rng, shape, mean, spread)
    if len(shape) == 1 and "norm" in key:
        return uniform(rng, shape, spec.norm_mean, 0.3)
    # the uniform distribution's standard deviation is spread / √3
    if "embed_tokens" in key:
        return uniform(rng, shape, 0.0, spec.embedding * math.sqrt(3))
    gain = 2.0 if "lm_head" in key else 1.4
    return uniform(rng, shape, 0.0, gain * math.sqrt(3 / shape[-1]))


def build(spec, salt):
    """The model of a spec with random weights, quantized as asked, and its config.json."""
    config = copy.deepcopy(spec.config) | {"torch_dtype": spec.dtype}
    model_class, args_class = get_classes(config)
    model = model_class(args_class.from_dict(config))
    dtype, seed = DTYPES[spec.dtype], spec.like or spec.name
    weights = [
        (key, mx.array(_weight(generator(seed, salt, key), key, value.shape, spec)).astype(dtype))
        for key, value in tree_flatten(model.parameters())
    ]
    model.load_weights(weights)
    if spec.quantization:
        model, config = _quantize(model, config, spec, salt)
    return model, config


def _packed(spec, salt, path, layer):
    """Random packed weights with their scales and biases: every bit pattern occurs, and unlike the
    result of mx.quantize they are the same on every machine."""
    dtype, in_dims = DTYPES[spec.dtype], layer.weight.shape[-1] * 32 // layer.bits
    gain = spec.embedding if path.endswith("embed_tokens") else 1.4 / math.sqrt(in_dims)
    spread, levels = gain * math.sqrt(3), 2**layer.bits - 1
    key = (spec.like or spec.name, salt, path)
    words = generator(*key, "weight").integers(0, 2**32, layer.weight.shape, dtype=np.uint32)
    scales = uniform(generator(*key, "scales"), layer.scales.shape, 1.0, 0.4) * (2 * spread / levels)
    # around the middle of the levels, and a little beside it
    biases = -scales * levels / 2 + uniform(generator(*key, "biases"), scales.shape, 0.0, 0.2 * spread)
    yield f"{path}.weight", mx.array(words)
    yield f"{path}.scales", mx.array(scales.astype(np.float32)).astype(dtype)
    yield f"{path}.biases", mx.array(biases.astype(np.float32)).astype(dtype)


def _quantize(model, config, spec, salt):
    chosen = spec.quantization

    mode = chosen.get("mode", "affine")
    own = getattr(model, "quant_predicate", None)

    def predicate(path, module):
        """The spec's setting, else the model's own, whose groups are too long for tiny models."""
        setting = chosen.get(path, own(path, module) if own else True)
        return setting | {"group_size": 32} if isinstance(setting, dict) and path not in chosen else setting

    # quantize_model prints
    with contextlib.redirect_stdout(io.StringIO()):
        model, config = quantize_model(
            model,
            config,
            chosen["group_size"],
            chosen["bits"],
            mode,
            global_scale=chosen.get("global_scale", False),
            quant_predicate=predicate,
        )
    for path, layer in model.named_modules():
        # the other modes have patterns that are no numbers, so theirs come from mx.quantize
        if hasattr(layer, "scales") and layer.mode == "affine":
            model.load_weights(list(_packed(spec, salt, path, layer)), strict=False)
    # mlx-lm does not write down what it left dense; checkpoints in the wild do
    config["quantization"] |= {path: value for path, value in chosen.items() if value is False}
    for path in spec.undeclared:
        del config["quantization"][path]
    config["quantization_config"] = config["quantization"]
    return model, config


def _raw(value):
    """An array as safetensors_io's triple, if it is not one yet."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, np.ndarray):
        value = mx.array(value)
    carried = value.view(CARRIERS[value.dtype]) if value.dtype in CARRIERS else value
    return (NAMES[value.dtype], value.shape, np.array(carried).tobytes())


def save(folder, spec, salt, model, config):
    """Writes config.json and the weights, in as many shards as asked, and the adapter, if there shall be one."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = dict(tree_flatten(model.parameters()))
    if spec.raw:
        config, arrays = spec.raw(config, arrays)
    tensors = {key: _raw(value) for key, value in arrays.items()}
    write_json(folder / "config.json", config)
    for key, shape in spec.dropped.items():
        tensors[key] = _raw(uniform(generator(spec.name, salt, key), shape, 0.0, 1.0))
    if spec.adapter:
        _save_adapter(folder / "adapters", spec, salt, model)
    if spec.shards == 1:
        safetensors_io.write(folder / "model.safetensors", tensors)
        return
    keys, weight_map = sorted(tensors), {}
    for shard in range(spec.shards):
        name = f"model-{shard + 1:05d}-of-{spec.shards:05d}.safetensors"
        # dealt out in turn, so that a layer's tensors lie in different files
        held = keys[shard :: spec.shards]
        safetensors_io.write(folder / name, {key: tensors[key] for key in held})
        weight_map |= dict.fromkeys(held, name)
    total = sum(len(data) for _, _, data in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    write_json(folder / "model.safetensors.index.json", index)


def _adapter_value(rng, key, value, spec):
    """A random tensor that changes its layer by about as much as the layer gives itself."""
    part = key.rpartition(".")[2]
    if part == "m":
        return value * mx.array(uniform(rng, value.shape, 1.0, 0.4))
    if part == "lora_a":
        return uniform(rng, value.shape, 0.0, 1.0 if "embed_tokens" in key else 1 / math.sqrt(max(value.shape[-2:])))
    if part == "lora_b":
        return uniform(rng, value.shape, 0.0, 0.15 if "embed_tokens" in key else 0.4)
    return _weight(rng, key, value.shape, spec)


def _save_adapter(folder, spec, salt, model):
    """What mlx-lm would train, with random values, as it saves it."""
    kind, num_layers = spec.adapter["fine_tune_type"], spec.adapter["num_layers"]
    model.freeze()
    if kind == "full":
        for layer in model.layers[-num_layers:]:
            layer.unfreeze()
    else:
        linear_to_lora_layers(model, num_layers, spec.adapter["lora_parameters"], use_dora=kind == "dora")
    tensors = {}
    for key, value in tree_flatten(model.trainable_parameters()):
        made = mx.array(_adapter_value(generator(spec.name, salt, "adapter", key), key, value, spec))
        tensors[key] = _raw(made.astype(value.dtype))
    folder.mkdir()
    safetensors_io.write(folder / "adapters.safetensors", tensors)
    write_json(folder / "adapter_config.json", spec.adapter)


def write_json(path, value):
    """JSON the same on every run, for reading and for diffs."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
