"""What `import tinygrad_bn` must not do."""

import subprocess
import sys


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_import_loads_no_optional_package():
    names = {
        "numba",
        "cupy",
        "rich",
        "matplotlib",
        "safetensors",
        "torch",
        "scipy",
        "tinygrad_bn.cli",
    }
    loaded = run("import sys, tinygrad_bn; print(*sys.modules)")
    assert "tinygrad_bn.tensor" in loaded
    assert names & set(loaded) == set()


def test_import_loads_no_backend():
    loaded = run("import sys, tinygrad_bn; print(*sys.modules)")
    assert not any(name.startswith("tinygrad_bn.backends.") for name in loaded)


def test_import_reads_no_file_but_modules():
    code = """
import sys
import numpy
opened = []
def hook(event, args):
    if event == "open" and isinstance(args[0], str) and not args[0].endswith((".py", ".pyc")):
        if ".pyc." not in args[0]:
            opened.append(args[0])
sys.addaudithook(hook)
import tinygrad_bn
print(*opened)
"""
    assert run(code) == []


def test_import_starts_no_process_and_no_thread():
    code = """
import sys, threading
import numpy
started = []
def hook(event, args):
    if event in ("subprocess.Popen", "os.system", "socket.connect", "_thread.start_new_thread"):
        started.append(event)
sys.addaudithook(hook)
import tinygrad_bn
print(*started)
assert threading.active_count() == 1
"""
    assert run(code) == []
