"""What the commands take: kinds of values, and the options that several share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from chipwise.cli.output import REPORT, SAVE, check_path

__all__ = [
    "DEGREE",
    "FILE",
    "LENGTH",
    "POSITIVE",
    "SHARE",
    "Country",
    "Day",
    "Names",
    "Number",
    "Rate",
    "Whole",
    "Wholes",
    "config_option",
    "degree_options",
    "engine_options",
    "grid",
    "law_options",
    "money_options",
    "output_options",
    "report_option",
    "roofline_option",
    "target_options",
    "together",
]

_F = TypeVar("_F", bound=Callable[..., Any])
ROUTES = ("sale", "reexport", "subsidiary-abroad", "rent-abroad", "rent-in-country")
_MOST = 10**9


class Whole(click.ParamType[int]):
    """A whole number within bounds."""

    name = "integer"

    def __init__(self, least: int = 1, most: int = _MOST) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """The number, or what would be one."""
        try:
            found = int(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if type(found) is not int or not self.least <= found <= self.most:
            span = f"{self.least:,} to {self.most:,}"
            self.fail(f"{_spelt(value)} is not a whole number of {span}", param, ctx)
        return found


class Number(click.ParamType[float]):
    """A finite number within bounds; `open_low` leaves the lower one out, `open_high` the upper."""

    name = "number"

    def __init__(
        self,
        least: float = 0.0,
        most: float = 1e12,
        *,
        open_low: bool = False,
        open_high: bool = False,
    ) -> None:
        self.least, self.most, self.open_low, self.open_high = least, most, open_low, open_high

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The number, or what would be one."""
        try:
            found = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            found = math.nan
        above = found > self.least if self.open_low else found >= self.least
        below = found < self.most if self.open_high else found <= self.most
        if not (above and below):
            low = f"above {self.least:g}" if self.open_low else f"of at least {self.least:g}"
            high = f"below {self.most:g}" if self.open_high else f"at most {self.most:g}"
            self.fail(f"{_spelt(value)} is not a number {low} and {high}", param, ctx)
        return found


class _File(click.Path):
    """A file, named as text that a system takes."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The path; whether it is there is for who opens it."""
        if "\0" in str(value):
            self.fail(f"{_spelt(value)} names no file: it has a NUL in it", param, ctx)
        return super().convert(value, param, ctx)


FILE = _File(path_type=Path)


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them."""

    name = "a,b,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        """The names, none of them empty."""
        found = value.split(",") if isinstance(value, str) else value
        if not isinstance(found, (list, tuple)) or not all(isinstance(n, str) for n in found):
            self.fail(f"{_spelt(value)} is not a list of names", param, ctx)
        names = tuple(n.strip() for n in found)
        if not names or not all(names):
            self.fail(f"{_spelt(value)} has an empty name; write a,b,c", param, ctx)
        return names


class Wholes(click.ParamType[tuple[int, ...]]):
    """Whole numbers with commas between them."""

    name = "1,2,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """The numbers, each within bounds."""
        found = value.split(",") if isinstance(value, str) else value
        found = found if isinstance(found, (list, tuple)) else [found]
        return tuple(DEGREE.convert(n, param, ctx) for n in found)


class Day(click.ParamType[date]):
    """A day, or `today`: the only place that asks the clock."""

    name = "day"

    def convert(self, value: Any, param: Any, ctx: Any) -> date:
        """The day."""
        # A time of day, which TOML has too, is a date to Python and compares with none.
        if type(value) is date:
            return value
        if value == "today":
            return datetime.now().astimezone().date()
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            self.fail(f"{_spelt(value)} is not a day such as 2026-11-23, or today", param, ctx)


class Country(click.ParamType[str]):
    """A country by its code of two letters."""

    name = "code"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """The code in capitals."""
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]{2}", value):
            self.fail(
                f"{_spelt(value)} is not a country's code of two letters, such as CN", param, ctx
            )
        return value.upper()


class Rate(click.ParamType[float]):
    """A rate of a link with its unit, in byte/s."""

    name = "rate"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The rate in base units."""
        from chipwise.errors import UnitError
        from chipwise.units import to_base

        text = str(value).strip()
        unit = text.lstrip("0123456789.eE+- ")
        try:
            rate = to_base(float(text.removesuffix(unit)), unit, "B/s")
        except (ValueError, UnitError):
            rate = math.nan
        if not 0 < rate < math.inf:
            message = f"{_spelt(value)} is not a rate with its unit, such as 400Gbit/s or 50GB/s"
            self.fail(message, param, ctx)
        return rate


def _spelt(value: object) -> str:
    """A value in a complaint; a long one cut short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


DEGREE = Whole(1, 65536)
LENGTH = Whole(1, 10_000_000)
POSITIVE = Number(0.0, 1e9, open_low=True)
SHARE = Number(0.0, 1.0, open_high=True)


def together(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    """Several options as one decorator, in the order in which help shows them."""

    def decorate(command: _F) -> _F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def degree_options(command: _F) -> _F:
    """--tp, --pp, --ep and --dp of one deployment."""
    return together(
        click.option("--tp", type=DEGREE, default=1, show_default=True, help="Tensor parallel."),
        click.option("--pp", type=DEGREE, default=1, show_default=True, help="Pipeline stages."),
        click.option("--ep", type=DEGREE, default=1, show_default=True, help="Expert parallel."),
        click.option(
            "--dp", type=DEGREE, default=1, show_default=True, help="Data-parallel attention."
        ),
    )(command)


def target_options(command: _F) -> _F:
    """--ttft, --tpot and the share of the requests that keep them."""
    return together(
        click.option("--ttft", type=POSITIVE, help="Limit of the time to the first token, in s."),
        click.option("--tpot", type=POSITIVE, help="Limit of the time per output token, in s."),
        click.option(
            "--percentile",
            type=Number(0.0, 100.0, open_low=True, open_high=True),
            default=99.0,
            show_default=True,
            help="Share of the requests that keep the limits, in %.",
        ),
    )(command)


def output_options(command: _F) -> _F:
    """--format and --lang, which every command has."""
    return together(
        click.option(
            "--format",
            "form",
            type=click.Choice(["table", "json", "csv"]),
            default="table",
            show_default=True,
            help="Form of the answer.",
        ),
        click.option(
            "--lang",
            type=click.Choice(["en", "zh"]),
            default="en",
            show_default=True,
            help="Language of the tables.",
        ),
        click.option(
            "--save",
            metavar="NAME",
            expose_value=False,
            callback=_to_save,
            help="Keep the answer under this name, for `chipwise studies`.",
        ),
    )(command)


def report_option(command: _F) -> _F:
    """--report: the answer as one HTML file."""
    return click.option(
        "--report",
        type=FILE,
        metavar="FILE.html",
        expose_value=False,
        # Before others: what a report shows, they ask for.
        is_eager=True,
        callback=_to_report,
        help="HTML file to write as well: one page that needs nothing else.",
    )(command)


def roofline_option(command: _F) -> _F:
    """--roofline: what each operator does in a step."""
    return click.option(
        "--roofline",
        is_flag=True,
        callback=lambda ctx, _, asked: asked or REPORT in ctx.meta,
        help="Tell what each operator does in a step, beside the roofline.  [default: in a report]",
    )(command)


def _to_save(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    if name is None:
        return
    from chipwise import studies

    studies.check_new(name)
    ctx.meta[SAVE] = (name, Day().convert("today", None, None))


def _to_report(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    check_path(path)
    ctx.meta[REPORT] = path


def law_options(command: _F) -> _F:
    """Where a chip goes, by which route, on which day."""
    return together(
        click.option(
            "--to", type=Country(), default="CN", show_default=True, help="Country of destination."
        ),
        click.option(
            "--on",
            type=Day(),
            help="Day whose rules and prices hold, or `today`.  [default: the catalog's]",
        ),
        click.option(
            "--route",
            type=click.Choice(ROUTES),
            default="sale",
            show_default=True,
            help="How the chip gets there.",
        ),
    )(command)


def money_options(command: _F) -> _F:
    """Whose cost, at which prices, where."""
    return together(
        click.option(
            "--cost",
            type=click.Choice(["own", "rent"]),
            default="own",
            show_default=True,
            help="Price of owning or of renting a chip.",
        ),
        click.option(
            "--price",
            "prices",
            multiple=True,
            metavar="CHIP=USD",
            help="Your price per chip and hour, for example h200=2.5; repeatable.",
        ),
        click.option(
            "--region",
            default="US",
            show_default=True,
            help="Where the electricity is bought.",
        ),
    )(command)


def engine_options(command: _F) -> _F:
    """Formats, engine, its token budget; which calibration."""
    return together(
        click.option(
            "--kv",
            default="auto",
            show_default=True,
            help="Format of the KV cache; auto is that of the activations.",
        ),
        click.option(
            "--backend",
            default="vllm",
            show_default=True,
            help="Engine: vllm, sglang or trtllm.",
        ),
        click.option(
            "--chunk",
            type=Whole(1, 10_000_000),
            help="Token budget of an iteration.  [default: the engine's]",
        ),
        click.option(
            "--calibration",
            default="general",
            show_default=True,
            help="Fitted factors: by name, or a file.",
        ),
    )(command)


def config_option(command: _F) -> _F:
    """--config: a TOML file with the same keys as the options, which win over it."""
    return click.option(
        "--config",
        type=FILE,
        is_eager=True,
        expose_value=False,
        callback=_from_file,
        help="TOML file with these options as keys; options win over it.",
    )(command)


def _from_file(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    from chipwise.catalog.files import read_toml

    ctx.default_map = {
        str(param.name): value for param, value in _options(ctx, path, read_toml(path))
    }


def _options(
    ctx: click.Context, path: Path, content: Mapping[str, Any]
) -> Iterator[tuple[click.Parameter, Any]]:
    """Options of a command with their values of a file, each as the option would take it."""
    from chipwise.errors import BadInput, UnknownName

    known = _keys(ctx.command)
    for key, value in content.items():
        spelt = key.replace("_", "-")
        if spelt not in known:
            raise BadInput(f"{path}: {UnknownName('key', key, known)}")
        param = known[spelt]
        given = _listed(value) if param.multiple else value
        yield param, _checked(ctx, path, key, param, given)


def grid(
    command: click.Command, path: Path, names: Collection[str]
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Options of a command that a file fixes, and those of its table ``grid``, all read.

    Parameters
    ----------
    command : click.Command
        Whose options the keys are.
    path : Path
        A TOML file.
    names : collection of str
        Options that it may have.

    Raises
    ------
    BadInput
        If a key or value is not an option's: file, line, what was expected.
    """
    from chipwise.catalog.files import read_toml, where
    from chipwise.errors import BadInput

    content = read_toml(path)
    axes = content.pop("grid", {})
    if not isinstance(axes, dict):
        raise BadInput(f"{where(path, 'grid')}: grid: a table of lists was expected")
    ctx = click.Context(command)
    within = click.Context(_limited(command, names))

    def read(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for param, value in _options(within, path, table):
            yield str(param.name), param.type_cast_value(ctx, value)

    found: dict[str, list[Any]] = {}
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise BadInput(f"{where(path, key)}: grid.{key}: a list of values was expected")
        for value in values:
            ((name, each),) = read({key: value})
            found.setdefault(name, []).append(each)
    fixed = dict(read(content))
    for name in sorted({*fixed} & {*found}):
        raise BadInput(f"{where(path, name)}: {name} stands outside of grid and in it; keep one")
    return fixed, found


def _limited(command: click.Command, names: Collection[str]) -> click.Command:
    """A command with some of its options."""
    return click.Command(command.name, params=[p for p in command.params if p.name in names])


def _keys(command: click.Command) -> Mapping[str, Any]:
    """Keys that a file may have: every option by its long name, every argument by its own."""
    keys: dict[str, click.Parameter] = {}
    for param in command.params:
        if param.name in ("config", "help"):
            continue
        if isinstance(param, click.Argument):
            keys[str(param.name)] = param
        else:
            keys[max(param.opts, key=len).removeprefix("--")] = param
    return keys


def _listed(value: Any) -> Any:
    """The values of a repeatable option: a table of h200 = 2.5 is read as h200=2.5."""
    if isinstance(value, dict):
        return [f"{name}={each}" for name, each in value.items()]
    return value if isinstance(value, list) else [value]


def _checked(ctx: click.Context, path: Path, key: str, param: click.Parameter, value: Any) -> Any:
    """A value as the option would take it; a wrong one is told with the file and its key."""
    from chipwise.catalog.files import where
    from chipwise.errors import BadInput

    flag = isinstance(param, click.Option) and param.is_flag
    if flag != isinstance(value, bool):
        raise BadInput(
            f"{where(path, key)}: {key}: {'true or false' if flag else 'no truth'} "
            f"was expected, not {_spelt(value)}"
        )
    texts = (click.types.StringParamType, click.Choice, click.Path)
    if isinstance(param.type, texts) and not param.multiple and not isinstance(value, str):
        message = f"text in quotes was expected, not {_spelt(value)}"
        raise BadInput(f"{where(path, key)}: {key}: {message}")
    try:
        param.type_cast_value(ctx, value)
    except click.BadParameter as error:
        raise BadInput(f"{where(path, key)}: {key}: {error.message}") from None
    return value
