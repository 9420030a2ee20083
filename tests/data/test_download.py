"""Downloads, from a web server on this machine: verified, whole or not at all."""

import gzip
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from tinygrad_bn import data
from tinygrad_bn.data import digits
from tinygrad_bn.data.download import write_atomically

NAMES = [file.name for pair in digits.FULL.values() for file in pair]


class Handler(BaseHTTPRequestHandler):
    """Serves the dictionary ``server.files`` by path and records what was asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)
        content, promised = self.server.files.get(self.path, (None, 0))
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *args):
        """Say nothing."""


@pytest.fixture
def server(small):
    """A web server on this machine that has the small set under /mirror/."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        packed = {f"/mirror/{name}.gz": gzip.compress(raw) for name, raw in small.raw.items()}
        running.files = {path: (content, len(content)) for path, content in packed.items()}
        running.asked = []
        running.url = f"http://127.0.0.1:{running.server_port}/mirror"
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("slash", ["", "/"])
def test_download_fetches_all_then_nothing(small, server, tmp_path, slash):
    root = tmp_path / "new" / "folder"
    first = digits.load(root, small.files, download_url=server.url + slash)
    assert server.asked == [f"/mirror/{name}.gz" for name in NAMES]
    assert sorted(path.name for path in root.iterdir()) == sorted(f"{n}.gz" for n in NAMES)
    again = digits.load(root, small.files, download_url=server.url)
    assert len(server.asked) == 4
    np.testing.assert_array_equal(first[0].pixels, again[0].pixels)


def test_download_fetches_only_what_is_missing(small, server, tmp_path):
    small.fill(tmp_path / "mnist", leave_out=[NAMES[1]])
    digits.load(tmp_path, small.files, download_url=server.url)
    assert server.asked == [f"/mirror/{NAMES[1]}.gz"]


def test_a_download_that_is_not_mnist_is_refused_and_leaves_nothing(server, tmp_path):
    url = f"{server.url}/{NAMES[0]}.gz"
    message = f"{url}: wrong shape in the IDX header: expected (60000, 28, 28), got (6, 4, 5)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        data.mnist(tmp_path / "new", download_url=server.url)
    assert not (tmp_path / "new").exists()


def test_a_download_with_another_checksum_is_refused_and_leaves_nothing(small, server, tmp_path):
    content = bytearray(small.raw[NAMES[1]])
    content[-1] ^= 1
    server.files[f"/mirror/{NAMES[1]}.gz"] = (bytes(content), len(content))
    with pytest.raises(ValueError, match=rf"{NAMES[1]}.gz: corrupt content: expected SHA-256 "):
        digits.load(tmp_path, small.files, download_url=server.url)
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAMES[0]}.gz"]


def test_a_lost_connection(small, server, tmp_path):
    path = f"/mirror/{NAMES[0]}.gz"
    content, length = server.files[path]
    server.files[path] = (content[:50], length)
    with pytest.raises(OSError, match=rf"was cut short: expected {length} bytes, got 50$"):
        digits.load(tmp_path, small.files, download_url=server.url)
    assert not list(tmp_path.iterdir())


def test_a_file_that_the_server_does_not_have(small, server, tmp_path):
    with pytest.raises(
        OSError, match=rf"{server.url}/sub/{NAMES[0]}.gz could not be fetched: .*404"
    ):
        digits.load(tmp_path, small.files, download_url=f"{server.url}/sub")


def test_no_server(small, server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match=r"could not be fetched: .*refused"):
        digits.load(tmp_path, small.files, download_url=server.url)


def test_an_endless_answer_is_cut_off(small, server, tmp_path, monkeypatch):
    monkeypatch.setattr("tinygrad_bn.data.download._LARGEST", 60)
    with pytest.raises(ValueError, match=r"must be at most 60 bytes, got more$"):
        digits.load(tmp_path, small.files, download_url=server.url)


@pytest.mark.parametrize("url", ["file:///etc", "ftp://host/x", "mirror"])
def test_other_schemes_are_refused(tmp_path, url):
    message = f"download: url must begin with http:// or https://, got '{url}/{NAMES[0]}.gz'"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        data.mnist(tmp_path, download_url=url)


def test_a_write_that_fails_leaves_no_part(tmp_path, monkeypatch):
    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "file", b"content")
    assert not list(tmp_path.iterdir())
