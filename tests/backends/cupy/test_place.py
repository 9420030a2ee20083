"""Finding library, driver and device; devices and streams of threads; all on pretend ones."""

import re
import sys
import threading

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn.backend import BackendUnavailableError, available_backends, get_backend
from tinygrad_bn.commands.backends import describe, load


def refused(name="cupy"):
    """What `get_backend` says when it refuses."""
    with pytest.raises(BackendUnavailableError) as info:
        get_backend(name)
    return str(info.value)


def no_device(cupy):
    """As CUDA puts it."""
    return cupy.cuda.runtime.CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device")


# ------------------------------------------------------------------------------- what is missing


def test_the_package(pretend, monkeypatch):
    pretend()
    monkeypatch.setitem(sys.modules, "cupy", None)
    text = refused()
    assert "the package is missing: cupy could not be imported" in text
    assert "pip install 'tinygrad_bn[cupy-cuda13]' (driver for CUDA 13)" in text
    assert "'tinygrad_bn[cupy-cuda12]' (CUDA 12)" in text


def test_the_driver(pretend):
    pretend(driver=0)
    assert "the driver is missing: cupy is installed, but no NVIDIA driver is loaded" in refused()
    assert "`nvidia-smi` must list the GPU" in refused()


def test_a_driver_that_reports_an_error(pretend):
    cupy = pretend()
    cupy.cuda.runtime._driver = cupy.cuda.runtime.CUDARuntimeError("stub library")
    assert "the driver is missing" in refused()


def test_a_driver_that_is_too_old(pretend):
    pretend(driver=12040, built=13000)
    text = refused()
    assert "too old: it serves CUDA up to 12.4, the installed cupy is for CUDA 13.0" in text
    assert "'tinygrad_bn[cupy-cuda12]'" in text


def test_the_libraries_of_cuda(pretend, monkeypatch):
    """As in a folder with a driver and the bare package: cupy looks for NVRTC when it needs it."""
    cupy = pretend()

    class NotFoundError(RuntimeError):
        pass

    def missing():
        raise NotFoundError('Failure finding "libnvrtc.so"')

    monkeypatch.setattr(cupy.cuda.nvrtc, "getVersion", missing)
    text = refused()
    assert "CUDA's libraries are missing: the driver is loaded, but cupy finds no NVRTC" in text
    assert 'Failure finding "libnvrtc.so"' in text
    assert "'tinygrad_bn[cupy-cuda13]'" in text
    assert "a CUDA toolkit 13.x, with CUDA_PATH set to its folder" in text


def test_a_newer_driver_will_do(pretend):
    pretend(driver=13020, built=12090)
    assert get_backend("cupy").name == "cupy"


def test_the_device(pretend, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    pretend(devices=0)
    text = refused()
    assert "the device is missing: the driver is loaded, but gives no GPU. `nvidia-smi` mus" in text


def test_a_device_that_is_hidden(pretend, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cupy = pretend()
    cupy.cuda.runtime._devices = no_device(cupy)
    text = refused()
    assert "gives no GPU (CUDA_VISIBLE_DEVICES is ''): cudaErrorNoDevice" in text
    assert "CUDA_VISIBLE_DEVICES must not hide it" in text


@pytest.mark.parametrize(("devices", "numbers"), [(1, "0"), (3, "0 to 2")])
def test_a_number_too_high(pretend, devices, numbers, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    pretend(devices=devices)
    expected = (
        f"backend 'cupy:3' (asked for by name): the device 3 is missing: there is {numbers} "
        "(CUDA_VISIBLE_DEVICES is '4,5,6'), counted among the visible ones"
    )
    assert refused("cupy:3") == expected


@pytest.mark.parametrize("device", ["x", "-1", "1.5", "²"])
def test_no_number(pretend, device):
    pretend()
    assert f"the device must be a number, as in 'cupy:1', not '{device}'" in refused(
        f"cupy:{device}"
    )


def test_nothing_else_is_affected(pretend):
    pretend(driver=0)
    assert "numpy" in available_backends()
    assert "cupy" not in available_backends()
    assert tg.zeros(2).backend == "numpy"


def test_the_command_shows_it(pretend):
    pretend(driver=0)
    backend, reason = load("cupy")
    assert backend is None
    assert "the driver is missing" in reason
    pretend()
    backend, _ = load("cupy")
    assert describe(backend) == ("cupy 14.2.0", "cuda:0 (Pretend H100)", "")


# ------------------------------------------------------------------------------------- devices


def test_names_of_devices(cupy):
    assert get_backend("cupy").place.index == 0
    assert get_backend("cupy:1").place.index == 1
    assert get_backend("cupy").place is get_backend("cupy:0").place
    assert tg.zeros(2, device="cupy:1").backend == "cupy:1"


def test_operations_run_where_their_arrays_are(cupy):
    """The pretend device refuses arrays of another one, as operators on raw arrays would."""
    x0 = tg.Tensor([1.0, 2.0], backend="cupy", requires_grad=True)
    x1 = tg.Tensor([3.0, 4.0], backend="cupy:1", requires_grad=True)
    y0, y1 = x0 * x0, x1 * x1
    z0, z1 = 1.0 / y0, 1.0 / y1
    assert (z0.array.device.id, z1.array.device.id) == (0, 1)
    total = tg.sum(z0) + tg.sum(z1.to("cupy"))
    total.backward()
    assert np.allclose(x0.grad.numpy(), -2 / np.array([1.0, 8.0]))
    assert np.allclose(x1.grad.numpy(), -2 / np.array([27.0, 64.0]))
    assert x1.grad.array.device.id == 1
    (1.0 / (x1 * x1)).sum().backward()
    assert x1.grad.array.device.id == 1


def test_second_order_across_devices(cupy):
    x = tg.Tensor([1.0, 2.0], backend="cupy:1", requires_grad=True)
    y = (x**3).to("cupy").sum()
    (g,) = tg.autograd.grad(y, [x], create_graph=True)
    tg.zeros(1, device="cupy")
    (h,) = tg.autograd.grad(g.sum(), [x])
    assert h.tolist() == [6.0, 12.0]
    assert h.array.device.id == 1


def test_an_array_of_another_device_is_copied(cupy):
    array = tg.Tensor([1.0, 2.0], backend="cupy:1").array
    x = tg.Tensor(array, backend="cupy")
    assert x.array.device.id == 0
    assert x.tolist() == [1.0, 2.0]


def test_the_current_device_is_looked_up(cupy):
    """Other code may change it in between."""
    x = tg.Tensor([1.0], backend="cupy")
    cupy.cuda.Device(1).use()
    assert (x * 2.0).tolist() == [2.0]
    assert cupy.cuda.runtime.getDevice() == 0


# ------------------------------------------------------------------------------------- threads


def in_thread(function):
    """The function's result in a new thread."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_a_stream_for_each_thread(cupy):
    x = tg.Tensor([1.0], backend="cupy")

    def work():
        y = x * 2.0
        z = y + x
        return cupy.cuda.get_current_stream(), z.tolist()

    main = cupy.cuda.get_current_stream()
    first, second = in_thread(work), in_thread(work)
    assert first[1] == second[1] == [3.0]
    assert main.null
    assert len({main.ptr, first[0].ptr, second[0].ptr}) == 3
    assert not first[0].non_blocking  # CUDA orders it with the main thread's


def test_a_thread_on_the_second_device(cupy):
    get_backend("cupy:1")

    def work():
        y = tg.Tensor([1.0], backend="cupy:1") * 2.0
        x = tg.Tensor([5.0], backend="cupy") * 2.0
        return y.array.device.id, x.array.device.id, y.tolist()

    assert in_thread(work) == (1, 0, [2.0])


def test_a_backward_pass_in_a_thread(cupy):
    x = tg.Tensor([1.0, 2.0], backend="cupy:1", requires_grad=True)
    y = (x * x).sum()
    in_thread(y.backward)
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_stream_of_the_users_own_is_kept(cupy):
    x = tg.Tensor([1.0], backend="cupy")
    with cupy.cuda.Stream() as stream:
        x * 2.0
        assert cupy.cuda.get_current_stream() is stream


def test_a_stream_of_the_users_own_is_kept_in_a_thread(cupy):
    """Ours comes when that one ends."""
    x = tg.Tensor([1.0], backend="cupy")

    def work():
        with cupy.cuda.Stream() as stream:
            x * 2.0
            kept = cupy.cuda.get_current_stream() is stream
        before = cupy.cuda.get_current_stream()
        x * 2.0
        own = cupy.cuda.get_current_stream()
        x * 2.0
        return kept, before.null, own.null, cupy.cuda.get_current_stream() is own

    assert in_thread(work) == (True, True, False, True)


def test_waiting_only_where_a_value_is_read(cupy):
    model = tg.nn.Sequential(tg.nn.Linear(4, 3), tg.nn.BatchNorm(3), tg.nn.ReLU())
    for p in model.parameters():
        assert p.backend == "numpy"
    with tg.use_backend("cupy"):
        model = tg.nn.Sequential(tg.nn.Linear(4, 3), tg.nn.BatchNorm(3), tg.nn.ReLU())
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        x = tg.ones((8, 4))
        before = cupy.cuda.synchronisations
        loss = tg.mean(model(x))
        loss.backward()
        optimizer.step()
        assert cupy.cuda.synchronisations == before
        float(loss)
    assert cupy.cuda.synchronisations == before + 1


def test_synchronize(cupy):
    before = cupy.cuda.synchronisations
    get_backend("cupy").synchronize()
    assert cupy.cuda.synchronisations == before + 1


def test_repr_names_the_device(cupy):
    assert re.fullmatch(r"cuda:1 \(Pretend H100\)", str(get_backend("cupy:1").place))
