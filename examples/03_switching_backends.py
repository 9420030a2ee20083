"""Choosing what computes: by environment variable, by call, per tensor.

NumPy is always there. Where CuPy is installed, write "cupy" for "numpy" and the same code runs on
the GPU.

Run it:  python examples/03_switching_backends.py
"""

import os
import subprocess
import sys

import tinygrad_bn as tg
from tinygrad_bn.backend import BackendUnavailableError, known_backends


def by_environment(name: str) -> str:
    """The variable is read once, so a program that starts with it is shown here."""
    code = "import tinygrad_bn as tg; print(tg.zeros(3).backend)"
    environment = {**os.environ, "TINYGRAD_BN_BACKEND": name}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> None:
    """Each way in turn, and what happens when a backend cannot run here."""
    print("by environment:", by_environment("numpy"))

    tg.set_default_backend("numpy")  # for the whole process
    with tg.use_backend("numpy"):  # for a block of code
        print("by call:       ", tg.zeros(3).backend)

    # Per tensor. A tensor knows its backend, and a gradient travels back through `to`.
    x = tg.Tensor([1.0, 2.0], backend="numpy", requires_grad=True)
    tg.sum(x.to("numpy") ** 2).backward()
    print("per tensor:    ", x.backend, x.grad.tolist())

    # A backend that was asked for and cannot run is an error, never replaced in silence.
    for name in known_backends():
        try:
            tg.zeros(3, device=name)
        except BackendUnavailableError as error:
            print(f"{name} cannot run here: {error}")
        else:
            print(f"{name} can run here")


if __name__ == "__main__":
    main()
