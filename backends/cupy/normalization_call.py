"""One call of a normalization kernel: its arrays as the kernels want them, and back."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinygrad_bn.backend.normalization_plan import NormalizationPlan

from .launch import Launch, contiguous
from .normalization_layout import Layout, layout_of, memory_order
from .normalization_planning import NormalizationLaunch, plan_normalization
from .planning import MOST_THREADS, NAMES, VECTOR_BYTES, DeviceLimits

ACTIVATIONS = {None: 0, "relu": 1, "leaky_relu": 2}
PROBLEM = np.dtype(
    [
        ("weight", np.int64, 4),
        ("eps", np.float64),
        ("slope", np.float64),
        *[(name, np.int32) for name in ("outer", "rows", "channels", "length", "width")],
        *[(name, np.int32) for name in ("chunk", "parts", "parameters", "activation", "masked")],
    ],
    align=True,
)
"""`struct Problem` of kernels/layout.cuh."""

Strides = tuple[int, int, int, int]


@functools.lru_cache(maxsize=4096)
def problem_of(
    layout: Layout,
    launch: NormalizationLaunch,
    plan: NormalizationPlan,
    strides: Strides,
    own: int,
    spread: int,
) -> Any:
    """All of a call that is no array; `own` statistics have a gamma of their own, and a block works
    on `spread` parts."""
    problem = np.zeros((), PROBLEM)
    problem["weight"] = strides
    for name in ("outer", "rows", "channels", "length"):
        problem[name] = getattr(layout, name)
    problem["width"], problem["parts"] = launch.width, launch.parts
    problem["chunk"] = launch.chunk * spread
    for name in ("eps", "slope", "masked"):
        problem[name] = getattr(plan, name)
    problem["activation"] = ACTIVATIONS[plan.activation]
    problem["parameters"] = own
    return problem[()]


@functools.lru_cache(maxsize=4096)
def _planned(
    layout: Layout, dtype: str, aligned: bool, slabs: int, limits: DeviceLimits, most: int
) -> NormalizationLaunch | None:
    return plan_normalization(layout, dtype, aligned, slabs, limits, most)


def covers(plan: NormalizationPlan, x: Any) -> bool:
    """Whether the kernels know this normalization: gamma along the last of the kept axes."""
    last = plan.axis[len(plan.axis) - len(plan.param_axis) :]
    return (
        plan.center
        and plan.ghost is None
        and plan.param_axis == last
        and x.dtype.char in NAMES
        and 0 not in x.shape
    )


class Call:
    """Arrays of the shape of x in x's memory order, parameters and weights, and the launch.

    Attributes:
        layout: the form in which the kernels see x.
        launch: how they are launched.
        data: x and its like, contiguous in the memory order of x.
        stat: the dtype of statistics.
    """

    def __init__(self, B: Any, plan: NormalizationPlan, layout: Layout, data: list[Any]) -> None:
        self.B = B
        self.plan = plan
        self.layout = layout
        self.data = data
        self.shape: tuple[int, ...] = ()
        dtype = data[0].dtype
        self.stat = B.native("float32") if dtype.char == "e" else dtype
        self.strides: Strides = (0, 0, 0, 0)

    @classmethod
    def of(cls, B: Any, plan: NormalizationPlan, x: Any, *like: Any) -> Call | None:
        """The call for x and arrays of its shape (or None); None if it is the reference's.

        What does not lie in memory as x does is copied.
        """
        if not covers(plan, x) or any(a is not None and a.dtype != x.dtype for a in like):
            return None
        natural = tuple(range(x.ndim))
        order = natural if x.flags.c_contiguous else memory_order(x.shape, x.strides)
        layout = layout_of(x.shape, order, plan)
        if layout is None or not x.transpose(order).flags.c_contiguous:
            layout = layout_of(x.shape, natural, plan)
        if layout is None:
            return None
        call = cls(B, plan, layout, [_in_order(B, a, layout) for a in (x, *like)])
        call.shape = x.shape
        return call

    def plan_launch(self, slabs: int, most: int = MOST_THREADS) -> NormalizationLaunch | None:
        """The launch that keeps `slabs` arrays of a tile in shared memory (0: none is kept), with
        at most so many threads in a block."""
        address = self.B.address
        aligned = all(a is None or address(a) % VECTOR_BYTES == 0 for a in self.data)
        name = NAMES[self.data[0].dtype.char]
        return _planned(self.layout, name, aligned, slabs, self.B.limits, most)

    def start(
        self,
        source: str,
        kernel: str,
        launch: NormalizationLaunch,
        *arguments: Any,
        slab: bool = False,
        applies: bool = False,
        grid: tuple[int, int, int] | None = None,
    ) -> None:
        """Launch a kernel with these arguments and the problem.

        With `slab` it keeps elements in shared memory; if it `applies` what was found, a block
        works on several parts.
        """
        own = math.prod([self.shape[a] for a in self.plan.param_axis])
        spread = launch.spread if applies else 1
        problem = problem_of(self.layout, launch, self.plan, self.strides, own, spread)
        grid = grid or (launch.applying_grid if applies else launch.grid)
        shared = launch.shared if slab else launch.head
        name = kernel + launch.arguments
        self.B.launch(
            Launch(source, name, grid, launch.block, shared, launch.cluster), *arguments, problem
        )

    # ---------------------------------------------------------------------------- arguments

    def parameter(self, a: Any) -> Any:
        """A statistic or parameter in the dtype of the statistics, contiguous."""
        if a is None:
            return None
        return contiguous(self.B.xp, self.B._as(a, self.stat))

    def weights(self, weights: Any) -> Any:
        """The weights in the dtype of the statistics; notes their strides.

        They repeat along a whole group of axes (stride 0) or are written out along it.
        """
        if weights is None:
            return None
        layout, xp = self.layout, self.B.xp
        shape = [1] * len(self.shape)
        form = []
        for group in layout.groups:
            repeats = all(weights.shape[a] == 1 for a in group)
            for a in group:
                shape[a] = 1 if repeats else self.shape[a]
            form.append(math.prod([shape[a] for a in group]))
        wide = xp.broadcast_to(weights, tuple(shape)).transpose(layout.order)
        _, rows, channels, length = form
        steps = (rows * channels * length, channels * length, length, 1)
        own = [step if n > 1 else 0 for step, n in zip(steps, form, strict=True)]
        self.strides = (own[0], own[1], own[2], own[3])
        return contiguous(xp, self.B._as(wide, self.stat))

    # ------------------------------------------------------------------------------ results

    def empty(self) -> Any:
        """Room for a result of the shape of x, in the memory order of x."""
        return self.B.empty(self.data[0].shape, dtype=self.data[0].dtype)

    def original(self, result: Any) -> Any:
        """Such a result with its axes as those of x."""
        order = self.layout.order
        if self.layout.in_order:
            return result
        return result.transpose([order.index(a) for a in range(len(order))])

    def folded(self, a: Any) -> Any:
        """A sum for each statistic, added over those that share a gamma."""
        folded = self.plan.folded
        return self.B._as(self.B._sum(a, folded), self.stat) if folded else a

    def partials(self, launch: NormalizationLaunch, numbers: int) -> Any:
        """Room for so many numbers of each part of each statistic."""
        return self.B.empty((launch.parts, numbers, self.layout.statistics), dtype=np.dtype("f8"))

    def statistic(self) -> Any:
        """Room for a statistic."""
        return self.B.empty(self.plan.kept(self.shape), dtype=self.stat)


def _in_order(B: Any, a: Any, layout: Layout) -> Any:
    """An array permuted to the layout's memory order, a copy if it is not contiguous then."""
    if a is None:
        return None
    if not layout.in_order:
        a = a.transpose(layout.order)
    return contiguous(B.xp, a)
