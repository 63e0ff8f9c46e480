"""Answers kept under a name: kept whole, found again, safe between programs, clear when broken."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from datetime import date
from pathlib import Path

import pytest

from chipwise import studies
from chipwise.catalog import folder
from chipwise.cli import main
from chipwise.errors import BadInput, UnknownName

DAY = date(2026, 11, 24)
ANSWER = {
    "chipwise_version": "0.1.0",
    "catalog_as_of": "2026-11-23",
    "calibration_id": "general-2026-11-24",
    "chips": [
        {"chip": "a", "rate": {"value": 2.0, "low": 1.0, "high": 3.0}, "notes": ["芯片", "β"]},
        {"chip": "b", "rate": None, "fits": True},
    ],
}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    path = tmp_path / "within" / "studies.sqlite3"
    monkeypatch.setenv("CHIPWISE_STUDIES", str(path))
    return path


def save(name, answer=ANSWER, kind="plan", day=DAY):
    return studies.save(name, kind, ["plan", "llama 2", "--chips", "a,b"], answer, day=day)


def test_what_is_saved_is_found_again_whole():
    made = save("before")
    found = studies.show("before")
    assert found == made
    assert found.answer == ANSWER
    assert found.arguments == ("plan", "llama 2", "--chips", "a,b")
    assert (found.version, found.catalog, found.calibration) == (
        "0.1.0",
        "2026-11-23",
        "general-2026-11-24",
    )
    assert found.day == DAY


def test_the_list_has_the_newest_first_and_the_command_as_a_shell_takes_it():
    save("old", day=date(2026, 1, 1))
    save("new")
    save("newest")
    assert [one.name for one in studies.listed()] == ["newest", "new", "old"]
    assert studies.names() == ["new", "newest", "old"]
    told = studies.entry(studies.show("old"))
    assert told["command"] == "chipwise plan 'llama 2' --chips a,b"
    assert told["day"] == "2026-01-01"


def test_a_name_is_given_once_and_free_again_when_deleted():
    save("one")
    with pytest.raises(BadInput, match="named 'one' already"):
        save("one")
    with pytest.raises(BadInput, match="named 'one' already"):
        studies.check_new("one")
    studies.delete("one")
    studies.check_new("one")
    save("one")


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "-a", "../a", "a/b", "a" * 65, "a;b", "a\n", ".a"]
)
def test_what_can_be_no_name_is_refused(name, place):
    with pytest.raises(BadInput, match="cannot name a study"):
        save(name)
    with pytest.raises(BadInput, match="cannot name a study"):
        studies.check_new(name)


@pytest.mark.parametrize("name", ["a", "2026-11", "v1.2_b", "方案一", "a" * 64])
def test_letters_of_any_language_name_a_study(name):
    save(name)
    assert studies.show(name).name == name


def test_a_name_that_is_not_there_is_told_with_the_nearest():
    save("before")
    for act in (studies.show, studies.delete):
        with pytest.raises(UnknownName, match="unknown study 'befor'; the nearest are before"):
            act("befor")


@pytest.mark.parametrize("content", [b"not a database at all, but long enough" * 40, b"\0" * 5000])
def test_a_file_that_is_no_database_is_told_and_left_as_it_is(place, content):
    place.parent.mkdir()
    place.write_bytes(content)
    for act in (lambda: save("a"), studies.listed, lambda: studies.show("a")):
        with pytest.raises(BadInput, match="no file of studies, or a damaged one"):
            act()
    assert place.read_bytes() == content


def test_a_row_that_is_damaged_names_the_study(place):
    save("a")
    with sqlite3.connect(place) as kept:
        kept.execute("update studies set answer = '{'")
    kept.close()
    with pytest.raises(BadInput, match="study 'a' is damaged"):
        studies.show("a")


def test_a_database_of_something_else_is_told(place):
    place.parent.mkdir()
    with sqlite3.connect(place) as other:
        other.execute("create table studies (x)")
    other.close()
    with pytest.raises(BadInput, match=r"studies cannot be opened: .*no such column|has 1 columns"):
        save("a")


def test_a_folder_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHIPWISE_STUDIES", str(tmp_path / "file" / "studies.sqlite3"))
    with pytest.raises(BadInput, match="studies cannot be opened"):
        studies.listed()


def test_a_save_that_fails_leaves_nothing(place, monkeypatch):
    save("a")
    with pytest.raises(ValueError, match="not JSON compliant"):
        save("b", {"x": float("nan")})
    assert studies.names() == ["a"]


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {"XDG_DATA_HOME": "/x"}, "/x/chipwise/studies.sqlite3"),
        ("linux", {"XDG_DATA_HOME": "x"}, "/home/me/.local/share/chipwise/studies.sqlite3"),
        ("linux", {}, "/home/me/.local/share/chipwise/studies.sqlite3"),
        ("linux", {"CHIPWISE_HOME": "/own"}, "/own/studies.sqlite3"),
        ("darwin", {}, "/home/me/Library/Application Support/chipwise/studies.sqlite3"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/chipwise/studies.sqlite3"),
    ],
)
def test_the_folder_is_that_of_the_platform(monkeypatch, system, variables, expected):
    for name in ("CHIPWISE_STUDIES", "CHIPWISE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(folder.sys, "platform", system)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert studies.file() == Path(expected)


def _writer(path, worker, count):
    import os

    os.environ["CHIPWISE_STUDIES"] = path
    taken = 0
    for at in range(count):
        save(f"{worker}-{at}")
        try:
            save(f"shared-{at}", {"worker": worker})
        except BadInput:
            continue
        taken += 1
    return taken


def test_writers_in_several_processes_lose_nothing(place):
    """Each writes names of its own, and all race for the same ones: one wins each."""
    workers, count = 4, 5
    context = multiprocessing.get_context("fork")
    with context.Pool(workers) as pool:
        taken = pool.starmap(_writer, [(str(place), worker, count) for worker in range(workers)])
    assert sum(taken) == count
    assert len(studies.names()) == workers * count + count


def test_two_answers_side_by_side_tell_what_differs_and_by_how_much():
    other = json.loads(json.dumps(ANSWER))
    other["chips"][0]["rate"] = {"value": 3.0, "low": 2.0, "high": 4.0}
    other["chips"].append({"chip": "c", "fits": False})
    found = studies.compared(save("a"), save("b", other))
    fields = {one["field"]: one for one in found["fields"]}
    assert set(fields) == {"chips[a].rate", "chips[c].chip", "chips[c].fits"}
    rate = fields["chips[a].rate"]
    assert (rate["first"]["value"], rate["second"]["value"], rate["change"]) == (2.0, 3.0, 0.5)
    assert fields["chips[c].fits"] == {
        "field": "chips[c].fits",
        "first": None,
        "second": False,
        "change": None,
    }
    assert found["same"] == 8


def test_answers_of_two_kinds_are_not_compared():
    with pytest.raises(BadInput, match="'a' is an answer of plan, 'b' of fleet"):
        studies.compared(save("a"), save("b", kind="fleet"))


# -- the commands --------------------------------------------------------------------------------

ASK = ["estimate", "llama-2-70b", "--chip", "h200", "--weights", "fp8", "--isl", "128"]
ASK += ["--osl", "128", "--batch", "1"]


def run(capsys, *arguments):
    code = main(arguments)
    return code, *capsys.readouterr()


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_saved_answer_is_shown_as_it_was_given(capsys, form):
    first = run(capsys, *ASK, "--save", "one", "--format", form)
    assert run(capsys, "studies", "one", "--format", form) == first


def test_the_command_of_a_study_asks_the_same_again(capsys):
    run(capsys, *ASK, "--save=one", "--lang", "zh")
    arguments = studies.show("one").arguments
    assert arguments == tuple(ASK)
    _, again, _ = run(capsys, *arguments, "--format", "json")
    assert json.loads(again) == studies.show("one").answer


def test_a_name_that_is_taken_is_refused_before_the_work(capsys, monkeypatch):
    run(capsys, *ASK, "--save", "one")
    monkeypatch.setattr("chipwise.questions.estimate", lambda _: pytest.fail("it was computed"))
    code, out, err = run(capsys, *ASK, "--save", "one")
    assert (code, out) == (2, "")
    assert "named 'one' already" in err


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_studies_are_listed_compared_and_deleted(capsys, lang):
    code, out, _ = run(capsys, "studies", "--lang", lang)
    assert code == 0
    assert "--save NAME" in out
    run(capsys, *ASK, "--save", "one")
    run(capsys, *ASK[:-1], "2", "--save", "two")
    code, out, _ = run(capsys, "studies", "--lang", lang)
    assert "chipwise estimate llama-2-70b --chip h200" in " ".join(out.split())
    code, out, _ = run(capsys, "studies", "one", "two", "--lang", lang)
    assert code == 0
    assert "tpot_s" in out
    code, out, _ = run(capsys, "studies", "one", "one", "--lang", lang, "--format", "json")
    assert json.loads(out)["fields"] == []
    assert run(capsys, "studies", "one", "--delete", "--lang", lang)[0] == 0
    assert studies.names() == ["two"]


def test_delete_takes_one_name(capsys):
    for arguments in (["--delete"], ["a", "b", "--delete"]):
        code, _, err = run(capsys, "studies", *arguments)
        assert code == 2
        assert "--delete takes the name of one study" in err


def test_looking_makes_no_file(tmp_path, monkeypatch):
    path = tmp_path / "none" / "studies.sqlite3"
    monkeypatch.setenv("CHIPWISE_STUDIES", str(path))
    assert studies.listed() == studies.names() == []
    with pytest.raises(UnknownName):
        studies.show("one")
    assert not path.parent.exists()
