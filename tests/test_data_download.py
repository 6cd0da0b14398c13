"""Downloads against a local server that does all that servers do wrong."""

import hashlib
import io
import json
import random
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from cifarnet.cli.data import data as data_command
from cifarnet.data import download as room
from cifarnet.data import release
from cifarnet.data.download import download
from cifarnet.data.formats import PYTHON
from cifarnet.errors import DataError

FILES = {name: random.Random(name).randbytes(40_000) for name in PYTHON.files}


def archive():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"{PYTHON.folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


class Handler(BaseHTTPRequestHandler):
    """GET /<what to do>; ranges are honoured except by `whole`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        getattr(self, "do_" + self.path.strip("/"))()

    def send(self, content, *, status=200, promised=None, headers=()):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if promised is None else promised))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def part(self, content, cut=None):
        """The range that is asked for, or only `cut` bytes of it before the connection closes."""
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if start >= len(content):
            return self.send(b"", status=416)
        rest = content[start:]
        range_ = [("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")]
        self.send(rest[:cut], status=206, promised=len(rest), headers=range_)
        self.close_connection = cut is not None
        return None

    def do_good(self):
        self.part(self.server.content)

    def do_whole(self):
        self.send(self.server.content)

    def do_drops(self):
        self.part(self.server.content, 50_000)

    def do_always(self):
        self.part(self.server.content, 0)

    def do_stalls(self):
        self.part(self.server.content, 100)
        self.close_connection = False
        self.server.released.wait(5)

    def do_flipped(self):
        content = bytearray(self.server.content)
        content[len(content) // 2] ^= 1
        self.part(bytes(content))

    def do_page(self):
        self.send(b"<html>please log in</html>")

    def do_longer(self):
        self.send(self.server.content + b"x")

    def do_endless(self):
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        for _ in range(1000):
            self.wfile.write(bytes(100_000))

    def do_missing(self):
        self.send(b"no", status=404)

    def do_broken(self):
        self.send(b"no", status=500)

    def do_loop(self):
        self.send(b"", status=302, headers=[("Location", "/loop")])

    def do_moved(self):
        self.send(b"", status=302, headers=[("Location", "/good")])


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *args: None
    server.requests, server.released = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    server.url = lambda *names: [f"http://127.0.0.1:{server.server_port}/{name}" for name in names]
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path, server):
    """A small archive that counts as the official one, short time-outs, no proxy."""
    server.content = small_archive = archive()
    monkeypatch.setitem(PYTHON.md5, PYTHON.archive, hashlib.md5(small_archive).hexdigest())
    monkeypatch.setattr(room, "SIZE", len(small_archive))
    monkeypatch.setattr(room, "TIMEOUT", (1, 0.3))
    monkeypatch.setattr(room, "PIECE", 10_000)
    monkeypatch.setattr(release, "cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("CIFARNET_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


def arrived(place):
    """All the files are there, and nothing else."""
    contents = {path.name: path.read_bytes() for path in (place / PYTHON.folder).iterdir()}
    return [path.name for path in place.iterdir()] == [PYTHON.folder] and contents == FILES


@pytest.mark.parametrize("mirror", ["good", "whole", "moved"])
def test_good_servers(server, tmp_path, mirror):
    """With or without ranges, or moved: the archive is fetched, checked, unpacked and gone."""
    seen = []
    found = download(tmp_path / "new" / "place", server.url(mirror), progress=lambda *state: seen.append(state))
    assert arrived(tmp_path / "new" / "place") and found.path == tmp_path / "new" / "place" / PYTHON.folder
    assert seen[-1] == (len(server.content), len(server.content))


BAD = ["drops", "always", "stalls", "flipped", "page", "longer", "endless", "missing", "broken", "loop"]


@pytest.mark.parametrize("mirror", BAD)
def test_bad_servers_lead_to_the_next(server, tmp_path, mirror):
    """After whatever a server does wrong the next mirror is asked, and what it sends is right."""
    said = []
    download(tmp_path, server.url(mirror, "good"), say=said.append)
    assert arrived(tmp_path)
    assert said and server.url(mirror)[0] in said[0]
    assert all(line.isprintable() and len(line) < 300 for line in said)


@pytest.mark.parametrize("mirror", [mirror for mirror in BAD if mirror != "drops"])
def test_only_bad_servers(server, tmp_path, mirror):
    """With no good mirror: an error with the cures, and nothing under the final names."""
    with pytest.raises(DataError, match=r"no mirror sent the official .* \(2 tried\).*--mirror URL"):
        download(tmp_path, server.url(mirror, mirror))
    assert {path.name for path in tmp_path.iterdir()} <= {PYTHON.archive + ".part"}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "ftp://127.0.0.1/x", "nonsense", "http://[", "", "http://no.invalid/"]
)
def test_bad_addresses(tmp_path, url):
    """An address where nothing answers, or that is none, is no crash."""
    with pytest.raises(DataError, match="no mirror"):
        download(tmp_path, [url])


def test_resumed_after_a_break(server, tmp_path):
    """What has arrived is not asked for again: by the next try, the next mirror, or the next call."""
    with pytest.raises(DataError):
        download(tmp_path, server.url("drops"))
    assert [start for _, start in server.requests] == ["bytes=0-", "bytes=50000-", "bytes=100000-"]
    download(tmp_path, server.url("good"))
    assert server.requests[-1] == ("/good", "bytes=150000-")
    assert arrived(tmp_path)


@pytest.mark.parametrize("size", [10, 100_000, 10_000_000])
def test_a_wrong_part_is_thrown_away(server, tmp_path, size):
    """A `.part` with other bytes, or too many, costs a second transfer from the same mirror and no more."""
    (tmp_path / (PYTHON.archive + ".part")).write_bytes(bytes(size))
    download(tmp_path, server.url("good"))
    assert arrived(tmp_path) and len(server.requests) == 2


def test_a_whole_part_needs_no_network(server, tmp_path):
    """Killed between the last byte and the renaming: nothing is fetched again."""
    (tmp_path / (PYTHON.archive + ".part")).write_bytes(server.content)
    download(tmp_path, server.url("good"))
    assert arrived(tmp_path) and server.requests == []


def test_what_is_there_is_kept(server, tmp_path):
    """A second download fetches nothing; with force everything is replaced, and other files are left alone."""
    download(tmp_path, server.url("good"))
    damaged, other = tmp_path / PYTHON.folder / "data_batch_1", tmp_path / PYTHON.folder / "mine"
    damaged.write_bytes(b"damaged")
    other.write_text("mine")
    download(tmp_path, server.url("good"))
    assert len(server.requests) == 1 and damaged.read_bytes() == b"damaged"
    download(tmp_path, server.url("good"), force=True)
    assert damaged.read_bytes() == FILES["data_batch_1"] and other.read_text() == "mine"


def test_force_that_fails_leaves_what_was_there(server, tmp_path):
    """--force replaces the files only when the new ones are whole and right."""
    download(tmp_path, server.url("good"))
    with pytest.raises(DataError):
        download(tmp_path, server.url("flipped", "drops"), force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / PYTHON.folder).iterdir()} == FILES


def test_unwritable_folder(server, tmp_path, monkeypatch):
    """A file in the folder's place, or a full disk, is an error that names the folder and the cure."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file cannot be written: .*--data-dir"):
        download(tmp_path / "file", server.url("good"))

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(release.Path, "write_bytes", full)
    with pytest.raises(DataError, match="No space left on device"):
        download(tmp_path / "new", server.url("good"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == [PYTHON.archive]


def test_goes_to_the_place_that_is_looked_at_first(server, tmp_path, monkeypatch):
    """Without --data-dir: to CIFARNET_DATA_DIR, even a folder that does not exist yet, else to the user's cache."""
    download(None, server.url("good"))
    assert arrived(tmp_path / "cache")
    monkeypatch.setenv("CIFARNET_DATA_DIR", str(tmp_path / "named"))
    download(None, server.url("good"))
    assert arrived(tmp_path / "named")


def test_command(server, tmp_path):
    """The command prints its result on stdout, one JSON object if asked; progress and mishaps on stderr."""
    options = ["download", "--data-dir", str(tmp_path)]
    for url in server.url("missing", "good"):
        options += ["--mirror", url]
    result = CliRunner().invoke(data_command, [*options, "--json"])
    assert json.loads(result.stdout) == {"folder": str(tmp_path / PYTHON.folder), "format": "python"}
    assert "404" in result.stderr and "0 of 0 MB" in result.stderr
    assert CliRunner().invoke(data_command, options).stdout == f"CIFAR-10 is in {tmp_path / PYTHON.folder}\n"
