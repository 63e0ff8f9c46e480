"""The wheel holds all that the sources hold, and answers where no sources are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

# Import CPU is told beside what an interpreter costs that imports nothing; the share of a machine
# that is busy with other work does not count in either.
_IMPORTED = """
import resource, sys
def spent():
    told = resource.getrusage(resource.RUSAGE_SELF)
    return told.ru_utime + told.ru_stime
before = spent()
import chipwise
print(chipwise.__file__, spent() - before, *{name.partition(".")[0] for name in sys.modules})
"""


def sources():
    """Files that a wheel must hold, by their path in the repository."""
    files = (path for path in (ROOT / "chipwise").rglob("*") if path.is_file())
    return {
        path.relative_to(ROOT).as_posix() for path in files if path.parent.name != "__pycache__"
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built from a copy of the sources with the setuptools that is installed."""
    copy, made = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("made")
    shutil.copytree(
        ROOT / "chipwise", copy / "chipwise", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    line = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(made), str(copy)]
    subprocess.run(line, check=True, cwd=copy, capture_output=True)
    (found,) = made.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel's content in a folder; what runs with it finds no other chipwise."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    return folder


def run(installed, folder, *line):
    """What a program prints, with the wheel's chipwise, in another folder."""
    where = {**os.environ, "PYTHONPATH": str(installed), "CHIPWISE_HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, *line], cwd=folder, env=where, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_every_source_is_in_it_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    assert {name for name in names if ".dist-info/" not in name} == sources()


def test_its_extras_are_those_of_the_readers_page(wheel):
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (each for each in packed.namelist() if each.endswith("/METADATA"))
        told = packed.read(name).decode().splitlines()
    extras = {line.split(": ")[1] for line in told if line.startswith("Provides-Extra")} - {"dev"}
    page = (ROOT / "docs/install.md").read_text("utf-8")
    assert extras == {each for each in extras if f"`{each}`" in page}


def test_import_is_light(installed, tmp_path):
    where, spent, *modules = run(installed, tmp_path, "-c", _IMPORTED).split()
    assert Path(where).is_relative_to(installed)
    assert not {"numpy", "numba", "click", "scipy", "matplotlib", "starlette"} & set(modules)
    assert float(spent) <= 0.3


def test_it_answers_as_the_sources_do(installed, tmp_path, capsys):
    from chipwise.cli import main

    line = "estimate llama-2-70b --chip h200 --tp 2 --batch 8 --isl 2048 --osl 128 --format json"
    call = "import sys; from chipwise.cli import main; sys.exit(main())"
    found = json.loads(run(installed, tmp_path, "-c", call, *line.split()))
    assert main(line.split()) == 0
    assert found == json.loads(capsys.readouterr().out)
    assert not list(tmp_path.iterdir())


def test_its_page_is_drawn(installed, tmp_path):
    """Templates, words, style and vendored script come along."""
    asking = str(ROOT / "tests" / "web" / "asking.py")
    paths = ("/catalog/chips", "/static/style.css", "/static/vendor/echarts.common.min.js")
    told = [line.split() for line in run(installed, tmp_path, asking, *paths).splitlines()]
    assert [code for code, *_ in told] == ["200"] * len(paths)
    assert [kind for _, kind, _ in told] == ["text/html", "text/css", "text/javascript"]
    assert all(int(length) > 1000 for *_, length in told)
