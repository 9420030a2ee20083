"""Kernels compiled by NVRTC, which needs no GPU and no driver, and what its assembler says of them.

    python -m tests.backends.cupy.compiling [source ...]

prints registers and spilled bytes of every instance on every generation of devices.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cuda.bindings import nvrtc
from tinygrad_bn.backends.cupy.instances import SOURCES, instances
from tinygrad_bn.backends.cupy.launch import KERNELS, OPTIONS, source_files

CAPABILITIES = {"7.5": 1, "8.0": 1, "9.0": 8, "10.0": 8}
"""Compute capabilities, and the blocks of the largest cluster that plans ask for there."""
BATCH = 24
"""Instances that are compiled together: few, so that processes can share the work."""


class CompileError(RuntimeError):
    """What the compiler refused, in its own words."""


@dataclass(frozen=True)
class Compiled:
    """What the assembler says of an instance."""

    instance: str
    registers: int
    stack: int
    spilled: int


def batches() -> list[tuple[str, str, int]]:
    """(source, capability, number of the batch): together everything that plans can ask for."""
    return [
        (source, capability, start // BATCH)
        for source in SOURCES
        for capability, cluster in CAPABILITIES.items()
        for start in range(0, len(instances(source, cluster)), BATCH)
    ]


def names_of(source: str, capability: str, batch: int) -> list[str]:
    """The instances of a batch."""
    every = instances(source, CAPABILITIES[capability])
    return every[batch * BATCH : (batch + 1) * BATCH]


def compile_batch(source: str, capability: str, batch: int) -> list[Compiled]:
    """Compile a batch to machine code, or remember what was found for the same texts.

    Raises CompileError.
    """
    names = names_of(source, capability, batch)
    texts = {name: path.read_text() for name, path in source_files().items()}
    headers = [text for name, text in texts.items() if name.endswith(".cuh")]
    content = "\0".join([capability, version(), *OPTIONS, *names, texts[f"{source}.cu"], *headers])
    key = hashlib.sha256(content.encode()).hexdigest()[:20]
    folder = Path(tempfile.gettempdir()) / f"tinygrad_bn-nvrtc-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / f"{source}-{key}.json"
    if note.exists():
        return [Compiled(**entry) for entry in json.loads(note.read_text())]
    found = compile_text(texts[f"{source}.cu"], names, capability)
    unfinished = note.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps([asdict(c) for c in found]))
    unfinished.rename(note)
    return found


@functools.cache
def version() -> str:
    """NVRTC's."""
    _, major, minor = nvrtc.nvrtcVersion()
    return f"{major}.{minor}"


def compile_text(text: str, names: list[str], capability: str) -> list[Compiled]:
    """Compile instances of the kernels in a text to machine code.

    Raises CompileError with the compiler's log.
    """
    program, report = _compiled(text, names, f"sm_{capability}", "--ptxas-options=--verbose")
    symbols = {nvrtc.nvrtcGetLoweredName(program, n.encode())[1].decode(): n for n in names}
    nvrtc.nvrtcDestroyProgram(program)
    return parse(report, symbols)


def assembly(source: str, instance: str, capability: str) -> str:
    """An instance as PTX.   Raises CompileError."""
    text = (KERNELS / f"{source}.cu").read_text()
    program, _ = _compiled(text, [instance], f"compute_{capability}")
    _, size = nvrtc.nvrtcGetPTXSize(program)
    ptx = bytes(size)
    nvrtc.nvrtcGetPTX(program, ptx)
    nvrtc.nvrtcDestroyProgram(program)
    return ptx.decode()


def _compiled(text: str, names: list[str], architecture: str, *more: str) -> tuple[Any, str]:
    """A program and the compiler's log."""
    place = f"--gpu-architecture={architecture.replace('.', '')}"
    options = [*OPTIONS, f"-I{KERNELS}", place, *more]
    _, program = nvrtc.nvrtcCreateProgram(text.encode(), b"kernels.cu", 0, None, None)
    for name in names:
        nvrtc.nvrtcAddNameExpression(program, name.encode())
    (result,) = nvrtc.nvrtcCompileProgram(program, len(options), [o.encode() for o in options])
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = bytes(size)
    nvrtc.nvrtcGetProgramLog(program, log)
    report = log.decode().rstrip("\0 ")
    if result != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise CompileError(report)
    return program, report


def parse(report: str, symbols: dict[str, str]) -> list[Compiled]:
    """The assembler's report, by the names of the instances."""
    found = []
    for part in report.split("Compiling entry function")[1:]:
        symbol = re.search(r"'(\S+)' for", part)
        memory = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes", part)
        registers = re.search(r"Used (\d+) registers", part)
        assert symbol is not None
        assert memory is not None
        assert registers is not None
        stack, stores, loads = (int(n) for n in memory.groups())
        name = symbols[symbol.group(1)]
        found.append(Compiled(name, int(registers.group(1)), stack, stores + loads))
    return found


def main(sources: list[str]) -> None:
    """Print the report."""
    for source, capability, batch in batches():
        if sources and source not in sources:
            continue
        for c in compile_batch(source, capability, batch):
            print(f"{capability:>5}  {c.registers:4} registers  {c.spilled:4} bytes  {c.instance}")


if __name__ == "__main__":
    main(sys.argv[1:])
