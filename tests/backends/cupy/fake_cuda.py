"""The pretend `cupy.cuda`: devices, streams, events, pools, graphs and modules of kernels."""

from __future__ import annotations

import contextlib
import threading
import types
import weakref

from tests.backends.cupy.fake_memory import (
    CompileException,
    CUDARuntimeError,
    OutOfMemoryError,
    Pool,
    RawModule,
)


class Cuda(types.SimpleNamespace):
    """The namespace `cupy.cuda`.

    Attributes:
        synchronisations: how often the host has waited for the device.
        compiled: the name expressions compiled so far.
    """

    def __init__(self, module, devices, driver, built, memory):
        super().__init__()
        self._module = module
        self._local = threading.local()
        self.synchronisations = 0
        self.linalg = "ignore"
        self.devices = devices
        self.compiled = []
        self.compile_error = None
        self.launch_error = None
        self.launches = []
        self.runtime = Runtime(self, devices, driver, built, memory)
        self.pool = Pool(self, memory)
        self.pinned = types.SimpleNamespace(n_free_blocks=lambda: 0)
        self.memory = types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
        self.compiler = types.SimpleNamespace(CompileException=CompileException)
        self.nvrtc = types.SimpleNamespace(getVersion=lambda: (13, 0))
        self.driver = types.SimpleNamespace(CUDADriverError=CUDARuntimeError)
        self.raw = Pool(self, memory)
        self._allocator = self.pool.malloc
        self.Device = lambda i=None: Device(self, self.runtime.getDevice() if i is None else i)
        self.Stream = lambda **flags: Stream(self, **flags)
        self.Event = lambda **flags: Event(self)
        self.MemoryPool = lambda: Pool(self, memory)
        self.null = Stream(self, null=True)

    # ------------------------------------------------------------------------- per thread

    @property
    def here(self):
        """This thread's device, streams by device, and allocator."""
        if not hasattr(self._local, "device"):
            self._local.device = 0
            self._local.streams = {}
            self._local.allocator = None
        return self._local

    def get_current_stream(self, device_id=-1):
        """The stream of this thread on the current device."""
        here = self.here
        return here.streams.get(here.device, self.null)

    def check_here(self, *arrays):
        """Operations work on arrays of the current device only."""
        for a in arrays:
            if a._device_id != self.here.device:
                raise ValueError(
                    f"Array device must be same as the current device: array device = "
                    f"{a._device_id} while current = {self.here.device}"
                )

    # ------------------------------------------------------------------------- capture

    def refuse_while_capturing(self, what):
        """What CUDA or CuPy refuses on a capturing stream."""
        if self.get_current_stream().operations is not None:
            raise RuntimeError(f"{what} is not permitted during stream capture")

    def record(self, compute, result):
        """Keep an operation of a capturing stream, with the arrays that its results go to."""
        operations = self.get_current_stream().operations
        if operations is None:
            return
        outputs = result if isinstance(result, tuple) else (result,)
        hosts = [None if o is None or o.base is not None else o._host for o in outputs]
        operations.append((compute, hosts))

    # ------------------------------------------------------------------------- memory

    def get_allocator(self):
        """The allocator of the process."""
        return self.here.allocator or self._allocator

    def set_allocator(self, allocator=None):
        """Set the allocator of the process; None is that of CUDA, without a pool."""
        self._allocator = allocator or self.raw.malloc

    @contextlib.contextmanager
    def using_allocator(self, allocator):
        """Set the allocator of this thread."""
        before, self.here.allocator = self.here.allocator, allocator
        try:
            yield
        finally:
            self.here.allocator = before

    def allocate(self, host):
        """Count the memory of an array as long as it lives."""
        if host.nbytes:
            weakref.finalize(host, self.get_allocator()(host.nbytes).free)

    def alloc_pinned_memory(self, size):
        """Page-locked memory."""
        return bytearray(size)

    def raw_module(
        self,
        *,
        code=None,
        path=None,
        options=(),
        backend="nvrtc",
        name_expressions=None,
        jitify=False,
        **other,
    ):
        """A module of kernels."""
        assert isinstance(options, tuple)
        return RawModule(self, code, name_expressions)


class Runtime(types.SimpleNamespace):
    """`cupy.cuda.runtime`."""

    CUDARuntimeError = CUDARuntimeError

    def __init__(self, cuda, devices, driver, built, memory):
        super().__init__(_cuda=cuda, _devices=devices, _driver=driver, _built=built, _memory=memory)

    def driverGetVersion(self):
        """0 without a driver."""
        if isinstance(self._driver, Exception):
            raise self._driver
        return self._driver

    def runtimeGetVersion(self):
        """What CuPy was built for."""
        return self._built

    def getDeviceCount(self):
        """How many devices are visible."""
        if isinstance(self._devices, Exception):
            raise self._devices
        return self._devices

    def getDevice(self):
        """The current one of this thread."""
        return self._cuda.here.device

    def getDeviceProperties(self, index):
        """Of a GPU of the Hopper generation."""
        return {"name": b"Pretend H100", "l2CacheSize": 50 << 20}

    def __getattr__(self, name):
        if not name.startswith("cudaDevAttr"):
            raise AttributeError(name)
        return name.removeprefix("cudaDevAttr")

    def deviceGetAttribute(self, attribute, device):
        """Of a GPU of the Hopper generation, but small: its kernels run as fibers here."""
        return {
            "MultiProcessorCount": 4,
            "MaxThreadsPerBlock": 64,
            "MaxSharedMemoryPerBlockOptin": 6144,
            "MaxSharedMemoryPerMultiprocessor": 16384,
            "MaxGridDimX": 2**31 - 1,
            "MaxGridDimY": 65535,
            "MaxGridDimZ": 65535,
        }[attribute]

    def memGetInfo(self):
        """(free, total)."""
        return self._memory - self._cuda.pool.total_bytes(), self._memory


class Device:
    """`cupy.cuda.Device`."""

    def __init__(self, cuda, index):
        self._cuda = cuda
        self.id = index
        self.compute_capability = "90"

    def use(self):
        """Make it this thread's."""
        self._cuda.here.device = self.id

    def synchronize(self):
        """Wait."""
        self._cuda.synchronisations += 1


class Stream:
    """`cupy.cuda.Stream`, which records while it captures."""

    count = 0

    def __init__(self, cuda, null=False, non_blocking=False, ptds=False, priority=None):
        self._cuda = cuda
        self.null = null
        self.non_blocking = non_blocking
        self.operations = None
        self._before = []
        Stream.count += 1
        self.ptr = 0 if null else Stream.count
        self.waited = []

    def use(self):
        """Make it this thread's on the current device."""
        here = self._cuda.here
        here.streams[here.device] = self
        return self

    def __enter__(self):
        self._before.append(self._cuda.get_current_stream())
        return self.use()

    def __exit__(self, *exc):
        self._before.pop().use()

    def record(self, event=None):
        """An event at this point."""
        return event or Event(self._cuda)

    def wait_event(self, event):
        """Wait for an event."""
        self.waited.append(event)

    def synchronize(self):
        """Wait."""
        self._cuda.synchronisations += 1

    def begin_capture(self, mode=None):
        """Record from now on."""
        if self.null:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.operations = []

    def end_capture(self):
        """The graph of what was recorded."""
        operations, self.operations = self.operations, None
        return Graph(operations)

    def is_capturing(self):
        """Whether it records."""
        return self.operations is not None


class Event:
    """`cupy.cuda.Event`: done at once."""

    done = True

    def __init__(self, cuda):
        self._cuda = cuda

    def record(self, stream=None):
        """At this point."""

    def synchronize(self):
        """Wait."""
        self._cuda.synchronisations += 1


class Graph:
    """`cupy.cuda.Graph`: carries the recorded operations out again, in their arrays."""

    def __init__(self, operations):
        self._operations = operations
        self.launches = 0

    def launch(self, stream=None):
        """Once."""
        self.launches += 1
        for compute, hosts in self._operations:
            results = compute()
            results = results if isinstance(results, tuple) else (results,)
            for host, result in zip(hosts, results, strict=True):
                if host is not None:
                    host[...] = result
