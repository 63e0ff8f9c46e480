"""The user's own folder of chips, calibrations and profiles: nothing in it leaves the machine.

It is where the system keeps a user's data, or where the variable CHIPWISE_HOME says.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from chipwise.errors import BadInput

__all__ = ["check_name", "own_calibrations", "own_path", "user_folder"]

VARIABLE = "CHIPWISE_HOME"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ENDS = {"calibrations": ".json", "chips": ".toml", "profiles": ".jsonl"}


def user_folder(environment: Mapping[str, str] | None = None) -> Path:
    """The folder, whether or not it is there.

    Parameters
    ----------
    environment : mapping, optional
        Variables; those of this process unless given.

    Examples
    --------
    >>> user_folder({"CHIPWISE_HOME": "/srv/chipwise"}).name
    'chipwise'
    """
    given = os.environ if environment is None else environment
    if own := given.get(VARIABLE):
        return Path(own).expanduser()
    if sys.platform == "win32":
        above = Path(given.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        above = Path.home() / "Library" / "Application Support"
    else:
        # The specification has relative paths ignored.
        named = Path(given.get("XDG_DATA_HOME") or "")
        above = named if named.is_absolute() else Path.home() / ".local" / "share"
    return above / "chipwise"


def check_name(name: str) -> str:
    """A name that a file of the folder can have.

    Raises
    ------
    BadInput
        If it cannot; says what would be right.
    """
    if not _NAME.fullmatch(name) or name == "general":
        raise BadInput(
            f"{name!r} cannot name a calibration of your own: letters, digits, dots, dashes and "
            "underscores, at most 64, beginning with a letter or digit, and not general"
        )
    return name


def own_path(kind: str, name: str) -> Path:
    """Where something of the user's own is kept: ``calibrations``, ``chips`` or ``profiles``."""
    return user_folder() / kind / f"{name}{_ENDS[kind]}"


def own_calibrations() -> tuple[str, ...]:
    """Names of the calibrations in the user's folder."""
    found = (user_folder() / "calibrations").glob("*.json")
    return tuple(sorted(path.stem for path in found))
