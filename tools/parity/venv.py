# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Makes the oracles' virtual environments under target/: the published mlx-lm, and the published transformers with
PyTorch, pinned.

Idempotent: a stamp holds the digest of the requirements and the Python version, so a second run does
nothing. Standard library only.

    python tools/parity/venv.py                   # prints the path of the environment's python
    python tools/parity/venv.py transformers      # the same for the second oracle (4.5 GB on Linux, two minutes)
    NODE_MLX_PYTHON=python3.12 ...                # choose the Python that the environments are made with
    NODE_MLX_ORACLE=/path/to/python ...           # use an environment of your own instead
    NODE_MLX_TRANSFORMERS=/path/to/python ...     # the same for the second oracle
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STAMP = "node-mlx-oracle"
OLDEST_PYTHON = (3, 11)
# The one version that decides what "parity" means; requirements.txt pins it too.
ORACLE = "0.32.2"


class OracleError(Exception):
    """What went wrong, in one line for the user."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds an oracle."""

    folder: Path
    requirements: Path
    # the packages that decide the numbers, and their versions
    packages: dict
    # names a Python to use instead
    variable: str
    options: tuple = ()


MLX_LM = Environment(
    ROOT / "target" / "oracle", HERE / "requirements.txt", {"mlx-lm": ORACLE, "mlx": ORACLE}, "NODE_MLX_ORACLE"
)
TRANSFORMERS = Environment(
    ROOT / "target" / "transformers",
    HERE / "requirements-transformers.txt",
    {"transformers": "5.23.0", "torch": "2.15.0"},
    "NODE_MLX_TRANSFORMERS",
    # without the packages that PyTorch needs for GPUs alone
    ("--no-deps",),
)
ENVIRONMENTS = {"mlx-lm": MLX_LM, "transformers": TRANSFORMERS}


def clean_environment():
    """The environment variables for the oracle: nothing that shadows or redirects its packages."""
    dropped = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    python = {"PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    # MLX's fused CPU kernels need a C++ compiler at run time and give the same bits
    return kept | offline | python | {"MLX_DISABLE_COMPILE": "1"}


def run(command, what):
    """Runs a command of ours quietly; its last line explains a failure."""
    try:
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True)
    except OSError as error:
        raise OracleError(f"{what}: {error}") from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        # pip ends with notices; the line that says ERROR is the one to show
        told = [line for line in lines if "ERROR" in line or "Error" in line] or lines
        raise OracleError(f"{what}: {told[-1].strip()}")
    return done.stdout


def base_python():
    """The Python that makes the environment."""
    wanted = os.environ.get("NODE_MLX_PYTHON")
    if wanted:
        found = shutil.which(wanted)
        if not found:
            raise OracleError(f"NODE_MLX_PYTHON names '{wanted}', which is not there")
        return found
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        found = platform.python_version()
        raise OracleError(f"Python {oldest} or newer is needed, this is {found}; set NODE_MLX_PYTHON")
    return sys.executable


def python_of(folder):
    """The environment's own python."""
    return folder / "bin" / "python"


def check_platform():
    """mlx and PyTorch have wheels for macOS on Apple silicon and for Linux only."""
    system, machine = platform.system(), platform.machine()
    if (system, machine) not in {("Darwin", "arm64"), ("Linux", "x86_64"), ("Linux", "aarch64")}:
        raise OracleError(f"the oracles have no wheels for {system} {machine}")


def check_version(python, environment):
    """Fails unless the python has the oracle's packages."""
    names = list(environment.packages)
    asked = f"from importlib.metadata import version; print(*map(version, {names}))"
    found = run([str(python), "-c", asked], f"{python} lacks {' or '.join(names)}").split()
    for (name, wanted), version in zip(environment.packages.items(), found, strict=True):
        if version != wanted:
            raise OracleError(f"{python} has {name} {version}, the oracle is {wanted}")


def ensure(environment=MLX_LM):
    """Makes the environment if it is missing or outdated, and returns its python."""
    own = os.environ.get(environment.variable)
    if own:
        check_version(own, environment)
        return Path(own)
    check_platform()
    base = base_python()
    version = run([base, "-c", "import sys; print(sys.version)"], base)
    stamp = hashlib.sha256(environment.requirements.read_bytes() + version.encode()).hexdigest()
    stamp_file = environment.folder / STAMP
    python = python_of(environment.folder)
    if python.exists() and stamp_file.exists() and stamp_file.read_text() == stamp:
        return python
    print(f"making the oracle's environment in {environment.folder} ...", file=sys.stderr)
    shutil.rmtree(environment.folder, ignore_errors=True)
    run([base, "-I", "-m", "venv", str(environment.folder)], "cannot make a virtual environment")
    pip = [str(python), "-I", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *environment.options]
    run([*pip, "--only-binary=:all:", "-r", str(environment.requirements)], "pip install failed")
    check_version(python, environment)
    # last, so that an interrupted run starts afresh
    stamp_file.write_text(stamp)
    return python


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "mlx-lm"
    if name not in ENVIRONMENTS:
        raise OracleError(f"no oracle is called '{name}', but {' and '.join(ENVIRONMENTS)} are")
    print(ensure(ENVIRONMENTS[name]))


if __name__ == "__main__":
    try:
        main()
    except OracleError as error:
        sys.exit(f"error: {error}")
