"""The command that serves the page."""

from __future__ import annotations

import click

from chipwise.cli.inputs import Whole

__all__ = ["COMMANDS"]


@click.command(
    short_help="The page: questions and answers in a browser.",
    epilog="\b\nExample:\n  chipwise web --port 8000",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=Whole(0, 65535), default=8000, show_default=True, help="0 takes any.")
@click.option(
    "--token",
    envvar="CHIPWISE_TOKEN",
    help="What a caller must know, of 16 letters at least; needed beyond this machine. "
    "The variable CHIPWISE_TOKEN gives it unseen.",
)
def web(host: str, port: int, token: str | None) -> None:
    """Serve the page until interrupted: plans, comparisons, simulations, the catalog.

    It listens on this machine alone unless told otherwise, and asks nothing of any other.
    """
    from chipwise.web import serve

    serve(host, port, token)


COMMANDS = (web,)
