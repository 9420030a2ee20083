"""The seam between kernels and the machine that runs them: what a launch is, who carries it out.

The mixins of this package (`normalization`, `activation`, `optim`, …) plan launches and call

    self.launch(Launch("batch_norm_forward", "forward_apply<float, Planes<4>>", …), *arguments)

A backend class supplies `launch`, `address` and `limits` (see `KernelHost`): CuPy's by way of
`cupy.RawModule`, that of the tests by compiling the same sources for the CPU.

An argument is one of
    an array of the backend     passed as the pointer to its first element (views included);
    None                        a null pointer;
    a NumPy scalar              by value; np.void of a structured dtype is a C struct by value, its
                                layout that of the dtype (made with align=True), up to 4 KiB.
No Python number is passed: its C type would be a guess.

A source is a file `kernels/<source>.cu`, which includes `.cuh` files beside it, nothing of CUDA or
of the C++ library, so no include path is needed but `kernels/` itself. An instance is a C++
expression that names one instance of a kernel template (a "name expression" of NVRTC). One module
for each instance compiles fastest where few are used. `Launch` is hashable: use it as a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .planning import DeviceLimits

KERNELS = Path(__file__).parent / "kernels"
"""The folder of the sources, and the one include path that they need."""

OPTIONS: tuple[str, ...] = ("-std=c++17", "-ftz=true")
"""How sources are compiled, besides the architecture and `-I<KERNELS>`. CuPy flushes subnormal
numbers in any case; nothing else of fast maths: compensated sums, NaN and infinities depend on the
arithmetic being that which is written."""

PARAMETER_BYTES = 4096
"""The room for the arguments of a kernel on every GPU."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of one kernel, arguments apart.

    Attributes:
        source: the kernel's file, `kernels/<source>.cu`.
        instance: C++ name of the template's instance.
        grid: blocks in x, y, z; a plain launch, a multiple of `cluster` in x.
        block: threads of a block, in x alone.
        shared: bytes of dynamic shared memory of a block; above 48 KiB the kernel's limit has to be
            raised first (cudaFuncAttributeMaxDynamicSharedMemorySize, once for each instance).
        cluster: blocks of a thread-block cluster, compiled into the instance
            (`__cluster_dims__`); for information, nothing has to be done about it.
    """

    source: str
    instance: str
    grid: tuple[int, int, int]
    block: int
    shared: int = 0
    cluster: int = 1


class KernelHost(Protocol):
    """What a backend class supplies to the mixins."""

    limits: DeviceLimits
    """Of the device whose arrays the backend holds."""

    def launch(self, launch: Launch, *arguments: Any) -> None:
        """Put a kernel on the current stream, without waiting.

        Raises RuntimeError that names source, instance, grid, block, shared memory, and the shapes
        and dtypes of the arguments, with the compiler's or the driver's message.
        """

    def address(self, array: Any) -> int:
        """The address of the first element of an array."""


def contiguous(xp: Any, array: Any) -> Any:
    """The array, or a copy in C order; unlike `xp.ascontiguousarray` it leaves no axes at none."""
    return array if array.flags.c_contiguous else xp.ascontiguousarray(array)


def source_files() -> dict[str, Path]:
    """Every file that kernels are compiled from, by name: those to hash for a record."""
    return {path.name: path for path in sorted(KERNELS.glob("*.cu*"))}
