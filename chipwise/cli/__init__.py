"""The command line: one function a command; it reads, asks `chipwise.api`, and prints.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from itertools import pairwise

import click

from chipwise.cli import (
    catalog,
    fidelity,
    fleet,
    kept,
    law,
    links,
    local,
    plot,
    serve,
    simulate,
    sweep,
    train,
    web,
)
from chipwise.errors import ChipwiseError, UnknownName

__all__ = ["app", "main"]

_INTERRUPTED = 130
_CODES: dict[type[BaseException], int] = {KeyboardInterrupt: _INTERRUPTED, MemoryError: 1}
_EPILOG = "A chip or model is named by its id or a usual short name: h200, 910c, llama-2-70b."


class _Commands(click.Group):
    """A group that suggests the nearest command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise UnknownName("command", args[0], self.commands)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="chipwise", message="%(prog)s %(version)s")
def app() -> None:
    """From a chip's datasheet to tokens per second, dollars and licence status."""


for _command in (
    *serve.COMMANDS,
    *simulate.COMMANDS,
    *links.COMMANDS,
    *train.COMMANDS,
    *fleet.COMMANDS,
    *sweep.COMMANDS,
    *law.COMMANDS,
    *catalog.COMMANDS,
    *fidelity.COMMANDS,
    *local.COMMANDS,
    *plot.COMMANDS,
    *kept.COMMANDS,
    *web.COMMANDS,
):
    app.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands after `chipwise`; by default that of this process.

    Returns
    -------
    int
        0 done; 1 a well-formed question without a solution; 2 wrong input.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app.main(given, prog_name="chipwise", standalone_mode=False, obj=given)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except (ChipwiseError, click.ClickException, click.Abort) as error:
        return _refuse(given, _message(error), getattr(error, "exit_code", _INTERRUPTED))
    except (KeyboardInterrupt, MemoryError, OSError) as error:
        return _refuse(given, _message(error), _CODES.get(type(error), 2))
    return code if isinstance(code, int) else 0


def _message(error: BaseException) -> str:
    """What went wrong, in one line."""
    match error:
        case click.UsageError(ctx=click.Context(command_path=path)):
            return f"{error.format_message().removesuffix('.')}. See `{path} --help`."
        case click.ClickException():
            return error.format_message()
        case ChipwiseError():
            return str(error)
        case MemoryError():
            return "not enough memory for a question of this size"
        case OSError(filename=name, strerror=reason):
            return f"{name}: {reason}" if name else str(reason or error)
    return "interrupted"


def _refuse(given: Sequence[str], message: str, code: int) -> int:
    """One line on standard error."""
    from chipwise.words import say, told

    chinese = "--lang=zh" in given or ("--lang", "zh") in pairwise(given)
    lang = "zh" if chinese else "en"
    line = " ".join(told(lang, message).split())
    click.echo(say(lang, "line.error", message=line), err=True)
    return code
