"""Recording what a step enqueues as a CUDA graph, and launching it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .cublaslt import Products
from .place import Place


class GraphRecorder:
    """One CUDA graph of one device; see `Backend.recorder`.

    Arrays that are made while recording lie in a pool of the graph's own, which no other work can
    be given memory from: a launch writes to the same addresses again.
    """

    def __init__(self, cupy: Any, place: Place) -> None:
        self._cupy = cupy
        self._place = place
        self._pool = cupy.cuda.MemoryPool()
        self._graph: Any = None
        place.enter()
        place.forbid_capture("capture")
        self._products = Products(cupy)  # with a workspace of its own: graphs may run side by side

    @contextmanager
    def rehearsing(self) -> Iterator[None]:
        """Inside the block everything runs, with products planned and kernels compiled for a
        recording."""
        self._place.enter()
        with self._place.multiplying_by(self._products):
            yield

    @contextmanager
    def recording(self) -> Iterator[None]:
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

    def launch(self) -> None:
        """Put the graph on this thread's stream."""
        self._place.enter()
        self._graph.launch()
