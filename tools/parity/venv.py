# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Makes the oracle's virtual environment under target/oracle: the published mlx-lm, pinned.

Idempotent: a stamp holds the digest of requirements.txt and the Python version, so a second run does
nothing. Standard library only.

    python tools/parity/venv.py            # prints the path of the environment's python
    NODE_MLX_PYTHON=python3.12 ...         # choose the Python that the environment is made with
    NODE_MLX_ORACLE=/path/to/python ...    # use an environment of your own instead
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ENVIRONMENT = ROOT / "target" / "oracle"
REQUIREMENTS = HERE / "requirements.txt"
STAMP = "node-mlx-oracle"
OLDEST_PYTHON = (3, 11)
# The one version that decides what "parity" means; requirements.txt pins it too.
ORACLE = "0.32.2"


class OracleError(Exception):
    """What went wrong, in one line for the user."""


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


def python_of(environment):
    """The environment's own python."""
    return environment / "bin" / "python"


def check_platform():
    """mlx has wheels for macOS on Apple silicon and for Linux only."""
    system, machine = platform.system(), platform.machine()
    if (system, machine) not in {("Darwin", "arm64"), ("Linux", "x86_64"), ("Linux", "aarch64")}:
        raise OracleError(f"mlx has no wheels for {system} {machine}")


def check_version(python):
    """Fails unless the python has the oracle's mlx-lm and mlx."""
    asked = "from importlib.metadata import version as v; print(v('mlx-lm'), v('mlx'))"
    found = run([str(python), "-c", asked], f"{python} has no mlx-lm").split()
    if found != [ORACLE, ORACLE]:
        raise OracleError(f"{python} has mlx-lm {found[0]} and mlx {found[1]}, the oracle is {ORACLE}")


def ensure():
    """Makes the environment if it is missing or outdated, and returns its python."""
    own = os.environ.get("NODE_MLX_ORACLE")
    if own:
        check_version(own)
        return Path(own)
    check_platform()
    base = base_python()
    version = run([base, "-c", "import sys; print(sys.version)"], base)
    stamp = hashlib.sha256(REQUIREMENTS.read_bytes() + version.encode()).hexdigest()
    stamp_file = ENVIRONMENT / STAMP
    python = python_of(ENVIRONMENT)
    if python.exists() and stamp_file.exists() and stamp_file.read_text() == stamp:
        return python
    print(f"making the oracle's environment in {ENVIRONMENT} ...", file=sys.stderr)
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    run([base, "-I", "-m", "venv", str(ENVIRONMENT)], "cannot make a virtual environment")
    pip = [str(python), "-I", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, "--only-binary=:all:", "-r", str(REQUIREMENTS)], "pip install failed")
    check_version(python)
    # last, so that an interrupted run starts afresh
    stamp_file.write_text(stamp)
    return python


if __name__ == "__main__":
    try:
        print(ensure())
    except OracleError as error:
        sys.exit(f"error: {error}")
