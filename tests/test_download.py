"""Downloads, from a local server that does what servers do wrong."""

import hashlib
import random
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cifarnet.data import download
from cifarnet.data.cifar10 import Cifar10
from cifarnet.errors import DataError
from tests.batches import tar_with

FILES = {name: random.Random(name).randbytes(40_000) for name in Cifar10.files()}
PART = Cifar10.archive + ".part"


class Handler(BaseHTTPRequestHandler):
    """GET /<what to do>; ranges are honoured except by `all`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        content = self.server.content
        middle = len(content) // 2
        match self.path.strip("/"):
            case "good":
                self.part(content)
            case "all":
                self.send(content)
            case "drops":
                self.part(content, 50_000)
            case "stalls":
                self.part(content, 100)
                self.close_connection = False
                self.server.released.wait(5)
            case "flipped":
                self.part(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
            case "page":
                self.send(b"<html>please log in</html>")
            case "longer":
                self.send(content + b"x")
            case "missing":
                self.send(b"no", status=404)
            case "loop" | "moved" as name:
                self.send(b"", status=302, headers=[("Location", {"loop": "/loop", "moved": "/good"}[name])])

    def send(self, content, *, status=200, promised=None, headers=()):
        self.send_response(status)
        for name, value in [("Content-Length", str(promised or len(content))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def part(self, content, cut=None):
        """The range that is asked for, or only `cut` bytes of it before the connection closes."""
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        rest = content[start:]
        headers = [("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")]
        self.send(rest[:cut], status=206 if rest else 416, promised=len(rest), headers=headers)
        self.close_connection = cut is not None


@pytest.fixture
def server(monkeypatch):
    """The server, with a small archive that counts as the official one, short time-outs and no proxy."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.handle_error = True, lambda *args: None
    server.content = tar_with(*((f"{Cifar10.folder}/{name}", tarfile.REGTYPE, b) for name, b in FILES.items()))
    server.requests, server.released = [], threading.Event()
    server.url = lambda *names: [f"http://127.0.0.1:{server.server_port}/{name}" for name in names]
    monkeypatch.setitem(Cifar10.md5, Cifar10.archive, hashlib.md5(server.content).hexdigest())
    for name, value in {"SIZE": len(server.content), "TIMEOUT": (5, 0.3), "PIECE": 10_000}.items():
        monkeypatch.setattr(download, name, value)
    monkeypatch.setenv("NO_PROXY", "*")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def arrived(place):
    """All the files are there, and nothing else."""
    contents = {path.name: path.read_bytes() for path in (place / Cifar10.folder).iterdir()}
    return [path.name for path in place.iterdir()] == [Cifar10.folder] and contents == FILES


@pytest.mark.parametrize("mirror", ["good", "all", "moved"])
def test_a_download_is_checked_unpacked_and_its_archive_removed(server, tmp_path, monkeypatch, mirror):
    seen = []
    place = tmp_path / "new" / "place"
    monkeypatch.setenv("CIFARNET_DATA_DIR", str(place))
    found = download.download(None, server.url(mirror), progress=lambda *state: seen.append(state))
    assert arrived(place) and found.path == place / Cifar10.folder
    assert seen[-1] == (len(server.content), len(server.content))


@pytest.mark.parametrize(
    "mirror", ["drops", pytest.param("stalls", marks=pytest.mark.slow), "flipped", "page", "longer", "missing", "loop"]
)
def test_after_a_bad_mirror_the_next_is_asked_and_its_bytes_are_right(server, tmp_path, mirror):
    said = []
    if mirror != "drops":  # which sends everything in the end
        with pytest.raises(DataError, match=r"no mirror sent the official .* \(2 tried\).*--mirror URL"):
            download.download(tmp_path / "bad", server.url(mirror, mirror))
        assert {path.name for path in (tmp_path / "bad").iterdir()} <= {PART}
    download.download(tmp_path / "good", server.url(mirror, "good"), say=said.append)
    assert arrived(tmp_path / "good")
    assert said and all(server.url(mirror)[0] in line and line.isprintable() and len(line) < 300 for line in said)


def test_a_download_goes_on_where_it_stopped(server, tmp_path):
    """By the next try, the next mirror, or the next call; a complete `.part` needs no network."""
    with pytest.raises(DataError):
        download.download(tmp_path, server.url("drops"))
    assert [start for _, start in server.requests] == ["bytes=0-", "bytes=50000-", "bytes=100000-"]
    download.download(tmp_path, server.url("good"))
    assert server.requests[-1] == ("/good", "bytes=150000-") and arrived(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / PART).write_bytes(server.content)
    download.download(tmp_path / "other", server.url("good"))
    assert arrived(tmp_path / "other") and len(server.requests) == 4


@pytest.mark.parametrize("size", [10, 100_000, 10_000_000])
def test_a_part_of_something_else_is_thrown_away(server, tmp_path, size):
    (tmp_path / PART).write_bytes(bytes(size))
    download.download(tmp_path, server.url("good"))
    assert arrived(tmp_path) and ("/good", "bytes=0-") in server.requests and len(server.requests) <= 2


def test_offline_a_download_fails_once_in_one_line(tmp_path, monkeypatch):
    """No name is resolved: no address is shown, and no mirror is tried twice."""
    said, asked = [], []

    def resolve(host, *args, **kwargs):
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(
        DataError, match=r"^no mirror of CIFAR-10 can be reached \(Name or service not known\)"
    ) as caught:
        download.download(tmp_path, say=said.append)
    assert not said and len(asked) == len(set(asked)) == len(download.MIRRORS)
    assert "http" not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("proxy", "url"), [("", "http://127.0.0.1:1/x"), ("http://127.0.0.1:1", "https://no.invalid")])
def test_a_mirror_or_a_proxy_that_does_not_answer_is_as_offline(tmp_path, monkeypatch, proxy, url):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "" if proxy else "*")
    with pytest.raises(DataError, match=r"can be reached \(Connection refused\)"):
        download.download(tmp_path, [url, url], say=pytest.fail)


def test_only_force_replaces_what_is_there_and_only_by_what_is_right(server, tmp_path):
    download.download(tmp_path, server.url("good"))
    damaged, other = tmp_path / Cifar10.folder / "data_batch_1", tmp_path / Cifar10.folder / "mine"
    damaged.write_bytes(b"damaged")
    other.write_text("mine")
    download.download(tmp_path, server.url("good"))
    with pytest.raises(DataError):
        download.download(tmp_path, server.url("flipped", "missing"), force=True)
    assert damaged.read_bytes() == b"damaged"
    download.download(tmp_path, server.url("good"), force=True)
    assert damaged.read_bytes() == FILES["data_batch_1"] and other.read_text() == "mine"


def test_a_download_that_cannot_be_written_names_the_folder_and_the_cure(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file cannot be written: .*--data-dir"):
        download.download(tmp_path / "file", server.url("good"))

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)  # of what is unpacked; the archive itself is written by open
    with pytest.raises(DataError, match="No space left on device"):
        download.download(tmp_path / "new", server.url("good"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == [Cifar10.archive]
