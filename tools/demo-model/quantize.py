# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Quantizes a trained folder to 8 bits with mlx-lm and lays it out as models/demo.

Usage: python quantize.py build/demo-bf16 ../../models/demo
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# The tokenizer files are kept as train.py wrote them; mlx-lm writes the rest.
FROM_TRAINING = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"]
FROM_MLX = ["config.json", "model.safetensors", "model.safetensors.index.json"]


def main():
    """Converts into a temporary folder and takes over the files that make up the model."""
    trained, target = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as temporary:
        converted = Path(temporary) / "converted"
        convert = [sys.executable, "-m", "mlx_lm", "convert", "--hf-path", str(trained), "--mlx-path", str(converted)]
        subprocess.run([*convert, "-q", "--q-bits", "8", "--q-group-size", "64"], check=True)
        target.mkdir(parents=True, exist_ok=True)
        for folder, names in ((trained, FROM_TRAINING), (converted, FROM_MLX)):
            for name in names:
                shutil.copyfile(folder / name, target / name)
    size = sum(path.stat().st_size for path in target.iterdir())
    print(f"{target}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
