"""What every test has: no network but loopback, and the figures of a few chips and models."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

from chipwise import catalog
from chipwise.types import Calibration, Chip, Model

# How long an example takes is the machine's affair, not what must hold. `make test` asks for the
# profile `whole`; every property draws by it (`tests/draws.py`).
hypothesis.settings.register_profile("whole", deadline=None, max_examples=100)
hypothesis.settings.register_profile("fast", deadline=None, max_examples=25)
hypothesis.settings.load_profile("fast")

_connect = socket.socket.connect


def _only_loopback(self: socket.socket, address: object) -> object:
    host = address[0] if isinstance(address, tuple) else ""
    if host not in ("127.0.0.1", "::1", "localhost", ""):
        raise AssertionError(f"a test reached for the network: {address}")
    return _connect(self, address)


def pytest_collection_finish() -> None:
    """What was imported and read by now stays: no collection of garbage walks it again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _offline() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _only_loopback)
        yield


@pytest.fixture(scope="session")
def general() -> Calibration:
    return catalog.calibration()


@pytest.fixture(scope="session")
def h100() -> Chip:
    return catalog.chip("h100")


@pytest.fixture(scope="session")
def h200() -> Chip:
    return catalog.chip("h200")


@pytest.fixture(scope="session")
def llama2() -> Model:
    return catalog.model("llama-2-70b")


@pytest.fixture(scope="session")
def deepseek() -> Model:
    return catalog.model("deepseek-r1")


@pytest.fixture(scope="session")
def gptoss() -> Model:
    return catalog.model("gpt-oss-120b")


@pytest.fixture(scope="session")
def short_fleet(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of the small fleet's first year, which is planned in a fraction of a second."""
    text = (Path(__file__).parent / "fleet" / "small.toml").read_text("utf-8")
    made = tmp_path_factory.mktemp("fleet") / "short.toml"
    made.write_text(text.replace('last = "2027-Q2"', 'last = "2026-Q4"'), "utf-8")
    return str(made)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page that is served by a process of its own; whatever it wrote, it says."""
    # What is compiled once after an installation is compiled here: a page gives a question a
    # minute, which a machine that compiles and tests at once may need.
    asked = ["plan", "llama-2-70b", "--chips", "h200,h20", "--isl", "2048", "--osl", "128"]
    program = Path(sys.executable).with_name("chipwise")
    subprocess.run([program, *asked], check=True, capture_output=True)
    folder = tmp_path_factory.mktemp("site")
    with served(folder) as (process, address):
        yield address
        assert process.poll() is None, "the server has ended"
    assert not list(folder.iterdir()), "the server wrote files"


@contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a folder, which it should leave as it is: its process and its address."""
    program = Path(sys.executable).with_name("chipwise")
    process = subprocess.Popen(
        [str(program), "web", "--port", "0", *options],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "CHIPWISE_STUDIES": str(folder.parent / "studies.db")},
    )
    assert process.stderr is not None
    with process.stderr:
        line = process.stderr.readline()
        assert line.startswith("chipwise: http://"), line + process.stderr.read()
        yield process, line.partition(" ")[2].strip().rstrip("/")
        process.terminate()
        process.wait(timeout=20)
