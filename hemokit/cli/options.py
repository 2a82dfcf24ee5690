"""What several commands share: how typer is set up, and options that say what came when it is wrong."""

import math
import re
from pathlib import Path

import typer

PLAIN = {
    "add_completion": False,
    "invoke_without_command": True,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}


def whole_number(low, high):
    """A parser of whole numbers from low to high, which says what came."""

    def parse(text):
        if not re.fullmatch(r"-?[0-9]{1,18}", str(text)) or not low <= int(text) <= high:
            raise typer.BadParameter(f"{text!r} came, but expected a whole number from {low} to {high}.")
        return int(text)

    return parse


def decimal(text):
    """A parser of finite numbers."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise typer.BadParameter(f"{str(text)!r} came, but expected a number such as 0.001.")
    return value


def numbers(text):
    """A parser of numbers with commas between them: whole numbers stay whole."""
    parts = [part.strip() for part in str(text).split(",")]
    if not all(re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,9})?", part) for part in parts):
        raise typer.BadParameter(f"{str(text)!r} came, but expected numbers with commas between them.")
    return tuple(float(part) if "." in part else int(part) for part in parts)


def path(text):
    """A parser of paths: an empty one, as an unset variable of the shell leaves it, is not the current folder."""
    if not str(text).strip():
        raise typer.BadParameter(f"{str(text)!r} came, but expected a path. The current folder is '.'")
    return Path(text)


SEED = {"parser": whole_number(0, 2**32 - 1), "metavar": "N"}
FOLDER = {"parser": path, "metavar": "FOLDER"}
FILE = {"parser": path, "metavar": "FILE"}


def help_without_command(context):
    """A group's name alone shows its commands."""
    if context.invoked_subcommand is None:
        print(context.get_help())
