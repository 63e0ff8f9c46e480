"""Answers → standard output and files."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chipwise.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console

    from chipwise.tables import Cell, Sheet

__all__ = [
    "HAND",
    "REPORT",
    "SAVE",
    "asking",
    "bar",
    "check_path",
    "keep",
    "progress",
    "reply",
    "say_out",
    "write",
    "write_folder",
]

# What is to be done with an answer besides printing it, as the context of a command keeps it: a
# study's name and day, a report's path, or a list to which kind and answer go in place of printing.
SAVE, REPORT, HAND = "chipwise.save", "chipwise.report", "chipwise.hand"
# Options that say where an answer goes, not what is asked.
_WHITHER = ("--save", "--report", "--out", "--format", "--lang")

# Text of a table may be broken at so many columns, where room is scarce.
_PHRASE = 18
_GAP = 2
# Names of up to so many columns are not broken.
_NAME = 28
_PIPED = (100, 50)


def reply(kind: str, form: str, lang: str, answer: Any) -> None:
    """Give out an answer in the form asked for, and nothing else.

    Parameters
    ----------
    kind : str
        A key of `chipwise.tables.kinds.KINDS`.
    form, lang : str
        ``table``, ``json`` or ``csv``; ``en`` or ``zh``.
    answer : dict or list
        Of `chipwise.answers`.
    """
    from chipwise.tables.written import as_csv, as_json

    context = click.get_current_context()
    if HAND in context.meta:
        context.meta[HAND].append((kind, answer))
        return
    keep(kind, lang, answer)
    if form == "json":
        say_out(as_json(answer) + "\n")
        return
    from chipwise.tables.kinds import KINDS

    if form == "csv":
        say_out(as_csv(KINDS[kind].rows(answer)))
    else:
        say_out(_drawn(KINDS[kind].document(answer, lang)))


def keep(kind: str, lang: str, answer: Any) -> None:
    """Save an answer under a name and write its report, where that was asked for."""
    context = click.get_current_context()
    if REPORT in context.meta:
        from chipwise import report

        command = f"chipwise {shlex.join(asking(context.obj))}"
        write(context.meta[REPORT], report.html(kind, answer, lang, command=command))
    if SAVE in context.meta:
        from chipwise import studies

        name, day = context.meta[SAVE]
        studies.save(name, kind, asking(context.obj), answer, day=day)


def asking(arguments: Sequence[str]) -> list[str]:
    """Arguments of a command that say what is asked, without those that say where answers go."""
    kept: list[str] = []
    given = iter(arguments)
    for each in given:
        if each in _WHITHER:
            next(given, None)
        elif not each.startswith(tuple(f"{option}=" for option in _WHITHER)):
            kept.append(each)
    return kept


def say_out(text: str) -> None:
    """Write to standard output; where its reader has gone, end quietly."""
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        # Nothing more may reach the closed pipe when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(0) from None


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    width = shutil.get_terminal_size(_PIPED).columns
    return Console(stderr=stderr, width=width, highlight=False, emoji=False, markup=False)


def _drawn(document: Sequence[Any]) -> str:
    """Tables and lines as wide as the terminal."""
    console, drawn = _console(), ""
    # Drawn as a whole and then written: rich would end the program where a pipe is closed.
    with console.capture() as whole:
        for part in document:
            if isinstance(part, str):
                if drawn == "table":
                    console.print()
                console.print(part)
                drawn = "line"
                continue
            for sheet, wide in _fitted(part, console.width):
                if drawn:
                    console.print()
                if sheet.title:
                    console.print(sheet.title, style="bold")
                console.print(_table(sheet, wide=wide))
                drawn = "table"
    return whole.get()


def _fitted(sheet: Sheet, width: int) -> Iterator[tuple[Sheet, bool]]:
    """A table that fits: bounds beside values, beneath them, or some columns below the others."""
    for wide in (True, False):
        needed = [_needed(sheet, at, wide=wide) for at in range(len(sheet.headings))]
        if sum(needed) + _GAP * len(needed) <= width or (not sheet.keys and not wide):
            yield sheet, wide
            return
    room = width - sum(needed[: sheet.keys]) - _GAP * (sheet.keys + 1)
    for at, columns in enumerate(_groups(needed, sheet.keys, room)):
        taken = [*range(sheet.keys), *columns]
        right = frozenset(k for k, column in enumerate(taken) if column in sheet.numbers)
        yield (
            replace(
                sheet,
                title="" if at else sheet.title,
                headings=tuple(sheet.headings[k] for k in taken),
                rows=tuple(tuple(row[k] for k in taken) for row in sheet.rows),
                numbers=right,
            ),
            False,
        )


def _groups(needed: Sequence[int], keys: int, room: int) -> list[list[int]]:
    """Columns after the keys, as many together as there is room for."""
    groups: list[list[int]] = [[]]
    left = room
    for at in range(keys, len(needed)):
        if groups[-1] and needed[at] > left:
            groups.append([])
            left = room
        groups[-1].append(at)
        left -= needed[at] + _GAP
    return groups


def _needed(sheet: Sheet, at: int, *, wide: bool) -> int:
    """Columns of a terminal that a column takes; plain text may be broken between words."""
    from rich.cells import cell_len

    cells = [_spelt(row[at], wide=wide) for row in sheet.rows]
    if at in sheet.numbers or at < sheet.keys:
        cells.append(sheet.headings[at] if wide else "")
    pieces = [line for text in cells for line in text.splitlines()]
    if at not in sheet.numbers and at >= sheet.keys:
        pieces = [word for line in pieces for word in _broken(line, wide=wide)]
    heading = max(map(cell_len, sheet.headings[at].split()))
    return max([heading, *map(cell_len, pieces)])


def _name(sheet: Sheet) -> int | None:
    """Width of a first column whose names are short enough not to be broken."""
    from rich.cells import cell_len

    longest = max((cell_len(row[0].text) for row in sheet.rows), default=0)
    return max(longest, cell_len(sheet.headings[0])) if longest <= _NAME else None


def _broken(line: str, *, wide: bool) -> list[str]:
    """A line of plain text as it may be broken: at `_PHRASE` columns, where room is scarce."""
    from textwrap import wrap

    return [line] if wide else wrap(line, _PHRASE)


def _spelt(cell: Cell, *, wide: bool) -> str:
    if not cell.beside:
        return cell.text
    return f"{cell.text} ({cell.beside})" if wide else f"{cell.text}\n{cell.beside}"


def _table(sheet: Sheet, *, wide: bool) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for at, heading in enumerate(sheet.headings):
        side: Any = "right" if at in sheet.numbers else "left"
        fixed = _needed(sheet, at, wide=wide) if at in sheet.numbers or at < sheet.keys else None
        if at == 0 and not sheet.keys:
            fixed = _name(sheet)
        table.add_column(Text(heading), justify=side, overflow="fold", width=fixed)
    for row in sheet.rows:
        table.add_row(*(Text(_spelt(cell, wide=wide)) for cell in row))
    return table


def check_path(path: Path | None) -> None:
    """Refuse, before the work, a file that could not be written after it."""
    if path is None:
        return
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; name a file to write")
    above = next(p for p in (*path.absolute().parents,) if p.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise BadInput(f"{path}: cannot be written: {above} is no folder that one may write to")


def write(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all; a `private` one is the user's alone to read.

    Raises
    ------
    BadInput
        If it cannot be written; what stood there before still stands.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
            part.chmod(0o600 if private else 0o666 & ~_mask())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None


def write_folder(path: Path, files: Mapping[str, str], *, force: bool) -> None:
    """Write a folder of files whole or not at all; scripts may be run.

    Raises
    ------
    BadInput
        If it cannot be written, or is not empty and `force` does not say to replace it.
    """
    full = path.is_dir() and any(path.iterdir())
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path}: is a file; name a folder to make")
    if full and not force:
        raise BadInput(f"{path}: is not empty; name another folder, or replace it with --force")
    check_path(path / "README.md")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            for name, text in files.items():
                file = part / name
                file.write_text(text, encoding="utf-8", newline="")
                file.chmod((0o777 if name.endswith(".sh") else 0o666) & ~_mask())
            part.chmod(0o777 & ~_mask())
            _swap(part, path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None


def _swap(part: Path, path: Path) -> None:
    """Put a finished folder in the place of another, which stands until then."""
    if not path.exists():
        part.rename(path)
        return
    former = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    path.replace(former)
    try:
        part.rename(path)
    except OSError:
        former.replace(path)
        raise
    shutil.rmtree(former)


def _mask() -> int:
    """The permissions that new files lack."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Told how much is done and how much there is; on a terminal it shows that."""
    if not sys.stderr.isatty():
        yield lambda done, whole: None
        return
    from rich.progress import Progress

    with Progress(console=_console(stderr=True), transient=True) as shown:
        task = shown.add_task(label, total=None)
        yield lambda done, whole: shown.update(task, completed=done, total=whole)


@contextmanager
def progress(label: str) -> Iterator[Callable[..., Iterable[Any]]]:
    """A `map` for work that takes more than a second; on a terminal it shows how far it is."""
    with bar(label) as tell:

        def run(function: Callable[..., Any], items: Iterable[Any]) -> Iterator[Any]:
            found = list(items)
            for done, item in enumerate(found):
                tell(done, len(found))
                yield function(item)

        yield run
