"""What every test has: no network but loopback, and the figures of a few chips and models."""

from __future__ import annotations

import socket

import pytest

from chipwise import catalog
from chipwise.types import Calibration, Chip, Model

_connect = socket.socket.connect


def _only_loopback(self: socket.socket, address: object) -> object:
    host = address[0] if isinstance(address, tuple) else ""
    if host not in ("127.0.0.1", "::1", "localhost", ""):
        raise AssertionError(f"a test reached for the network: {address}")
    return _connect(self, address)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _only_loopback)


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
