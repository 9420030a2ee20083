"""The command line: what can be said, and what the exit code says.

0: done; 1: something outside is wrong (told in one line); 2: the command line is; 130: Ctrl-C;
143: SIGTERM.
What the commands need is imported when one runs, so that --help answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .commands.errors import CommandError, Interrupted
from .commands.settings import ACTIVATIONS, FROM_CHECKPOINT, Settings

_DEFAULTS = Settings()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. `arguments` default to the process's own."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    command = options.pop("command")
    try:
        if command == "train":
            _check_resume(parser, options)
            from .commands import train

            train.run(options, parser.prog)
        elif command == "lab":
            from .commands import lab

            lab.run(options, parser.prog)
        else:
            from .commands import backends

            backends.run(**options)
    except CommandError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(stop)
        return 128 + stop.signal
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    return 0


def _program() -> str:
    """How the user called us."""
    name = Path(sys.argv[0]).name
    return "python -m tinygrad_bn" if name == "__main__.py" else "tinygrad-bn"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_program(), description="A small autograd framework with batch norm at its heart."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tinygrad_bn')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    _add_train(commands)
    _add_lab(commands)
    backends = commands.add_parser(
        "backends",
        help="show which backends can run here",
        description="Show every known backend, whether it can run here, and if not, why.",
    )
    backends.add_argument(
        "--warm-up",
        action="store_true",
        help="then compile ahead what training needs, so that no first step has to",
    )
    return parser


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a network on handwritten digits, with and without batch norm",
        description=(
            "Train the network of the batch normalization paper (Ioffe and Szegedy, 2015, "
            "section 4.1) on binary images of handwritten digits, once plain and once with batch "
            "normalization: the same initial weights, the same batches. Prints a table of test "
            "accuracies and writes curves, metrics and weights."
        ),
        argument_default=argparse.SUPPRESS,
    )
    train.add_argument(
        "--data",
        metavar="FOLDER",
        help="folder with the four MNIST files (default: the one that TINYGRAD_BN_DATA names, or "
        "10,000 digits that come with the package)",
    )
    length = train.add_mutually_exclusive_group()
    length.add_argument(
        "--steps",
        type=_integer(1),
        metavar="N",
        help=f"training steps, one batch each (default: {_DEFAULTS.steps})",
    )
    length.add_argument(
        "--epochs", type=_integer(1), metavar="N", help="passes over the training images instead"
    )
    _add_experiment(train)
    train.add_argument(
        "--backend",
        metavar="NAME",
        help="what computes: numpy, numba, cupy, cupy:1, … (default: the one that "
        "TINYGRAD_BN_BACKEND names, or numpy); see 'backends'",
    )
    train.add_argument(
        "--out",
        metavar="FOLDER",
        help="where the results go (default: runs/train; when resuming, the checkpoint's folder)",
    )
    train.add_argument(
        "--resume",
        metavar="FILE",
        help="go on from the checkpoint that an interrupted or a finished run left; its settings "
        "hold, and --steps or --epochs (counted from the very beginning) may extend it",
    )
    train.add_argument(
        "--no-plot",
        dest="plot",
        action="store_false",
        default=True,
        help="write no picture (it needs matplotlib, the extra 'plot')",
    )


def _add_experiment(train: argparse.ArgumentParser) -> None:
    """The options that a resumed run takes from its checkpoint."""
    train.add_argument(
        "--lr", type=_number, metavar="RATE", help=f"learning rate (default: {_DEFAULTS.lr})"
    )
    train.add_argument(
        "--momentum",
        type=_number,
        metavar="M",
        help=f"momentum of the gradient descent (default: {_DEFAULTS.momentum}: none)",
    )
    train.add_argument(
        "--hidden",
        type=_widths,
        metavar="N,N,…",
        help="widths of the hidden layers, with commas between them "
        f"(default: {','.join(map(str, _DEFAULTS.hidden))})",
    )
    train.add_argument(
        "--batch-size",
        type=_integer(2),
        metavar="N",
        help=f"images in a batch (default: {_DEFAULTS.batch_size})",
    )
    train.add_argument(
        "--activation",
        choices=ACTIVATIONS,
        metavar="NAME",
        help=f"{', '.join(ACTIVATIONS)} (default: {_DEFAULTS.activation})",
    )
    train.add_argument(
        "--seed",
        type=_integer(0),
        metavar="N",
        help=f"fixes the initial weights and the order of the images (default: {_DEFAULTS.seed})",
    )
    train.add_argument(
        "--eval-every",
        type=_integer(1),
        metavar="N",
        help=f"steps between two evaluations on the test images (default: {_DEFAULTS.eval_every})",
    )


def _add_lab(commands: Any) -> None:
    lab = commands.add_parser(
        "lab",
        help="ask what batch norm does: experiments, each a question, a plot and a number",
        description="Experiments on batch normalization, reproducible from a seed.",
    )
    actions = lab.add_subparsers(dest="action", required=True, metavar="action")
    actions.add_parser("list", help="show the experiments", description="Show the experiments.")
    run = actions.add_parser(
        "run",
        help="measure; the same command goes on after an interruption",
        description="Measure one or more experiments and write their raw numbers as JSON. The same "
        "command goes on after an interruption, and ends with the same numbers as without it.",
    )
    run.add_argument("names", nargs="+", metavar="NAME", help="see 'lab list'; 'all' for all")
    run.add_argument(
        "--seeds",
        type=_integer(1),
        metavar="N",
        help="repetitions, with seeds 0, 1, … (default: 3; with --quick 1)",
    )
    run.add_argument(
        "--quick", action="store_true", help="less than a minute each, on the shipped digits"
    )
    run.add_argument("--backend", metavar="NAME", help="what computes; as for 'train'")
    run.add_argument("--data", metavar="FOLDER", help="the four MNIST files; as for 'train'")
    run.add_argument("--out", required=True, metavar="DIR", help="where the numbers go")
    report = actions.add_parser(
        "report",
        help="make one page of all that was measured",
        description="Write report.html, one self-contained page, into the folder of a run. Needs "
        "matplotlib, the extra 'plot'.",
    )
    report.add_argument("folder", metavar="DIR", help="the --out of the runs")
    report.add_argument(
        "--markdown", metavar="FOLDER", help="write README.md and pictures there as well"
    )


def _check_resume(parser: argparse.ArgumentParser, options: dict[str, Any]) -> None:
    changed = [f"--{name.replace('_', '-')}" for name in FROM_CHECKPOINT if name in options]
    if "resume" in options and changed:
        parser.error(f"{', '.join(changed)}: a resumed run keeps the settings of its checkpoint")


def _integer(least: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"must be an integer >= {least}, got {text!r}")
        return value

    return integer


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number >= 0, got {text!r}")
    return value


def _widths(text: str) -> tuple[int, ...]:
    return tuple(_integer(1)(part) for part in text.split(","))
