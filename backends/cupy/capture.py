"""Recording what a step enqueues as a CUDA graph, and launching it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tinygrad_bn.backend.tape import Step

from .cublaslt import Products
from .place import Place


class GraphRecorder:
    """One CUDA graph of one device; see `Backend.recorder`.

    Arrays that are made while recording lie in a pool of the graph's own, which no other work can
    be given memory from: a launch writes to the same addresses again.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._cupy = cupy = backend.xp
        self._place: Place = backend.place
        self._inputs: list[Any] = []
        self._state: list[Any] = []
        self._outputs: list[Any] = []
        self._pool = cupy.cuda.MemoryPool()
        self._graph: Any = None
        self._place.enter()
        self._place.forbid_capture("capture")
        self._products = Products(cupy)  # with a workspace of its own: graphs may run side by side

    @contextmanager
    def rehearsing(self) -> Iterator[None]:
        """Inside the block everything runs, with products planned and kernels compiled for a
        recording."""
        self._place.enter()
        with self._place.multiplying_by(self._products):
            yield

    def record(self, step: Step, inputs: list[Any], state: list[Any]) -> None:
        """Make the step a graph, which reads copies of the inputs and leaves the new state where
        the old one lies; nothing runs."""
        copies = [self._backend.copy(a) for a in inputs]
        with self._recording():
            outputs, after = step(self._backend, copies, state)
            for old, new in zip(state, after, strict=True):
                if new is not old:
                    self._backend.write(old, ..., new)
        self._inputs, self._state, self._outputs = copies, state, outputs

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Inside the block nothing runs: it becomes the graph."""
        self._place.enter()
        stream = self._cupy.cuda.Stream(non_blocking=True)
        with (
            self._cupy.cuda.using_allocator(self._pool.malloc),
            stream,
            self._place.multiplying_by(self._products),
        ):
            stream.begin_capture()
            self._place.capturing = True
            try:
                yield
            except BaseException:
                self._abandon(stream)
                raise
            finally:
                self._place.capturing = False
            self._graph = stream.end_capture()

    def _abandon(self, stream: Any) -> None:
        """End a capture whose graph is of no use; what spoilt it is told by another error."""
        self._place.capturing = False
        try:
            stream.end_capture()
        except self._cupy.cuda.runtime.CUDARuntimeError:
            return

    def launch(self, inputs: list[Any], state: list[Any]) -> tuple[list[Any], list[Any]]:
        """Put the graph on this thread's stream, inputs and what is new of the state where it
        reads them; its outputs and its state, the same arrays each time."""
        self._place.enter()
        places, given = [*self._inputs, *self._state], [*inputs, *state]
        for place, array in zip(places, given, strict=True):
            if place is not array:
                self._backend.write(place, ..., array)
        self._graph.launch()
        return self._outputs, self._state
