"""The command line put together: its commands, and what becomes of every error.

Exit codes: 0 done; 1 done, and something is wrong (a finding, a failed lesson); 2 bad input; 130 Ctrl-C.
"""

import os
import sys
from typing import Annotated

import typer

from hemokit import __version__
from hemokit.checks import HemokitError, problem
from hemokit.cli import data
from hemokit.cli.course import doctor, phantom, run
from hemokit.cli.demo import demo
from hemokit.cli.deploy import export
from hemokit.cli.interrupts import Interrupted, Stop, refuse
from hemokit.cli.models import evaluate, predict, train
from hemokit.cli.options import PLAIN, help_without_command

app = typer.Typer(**PLAIN)
for command in (doctor, phantom, run, train, predict, evaluate, export, demo):
    app.command()(command)
app.add_typer(data.app, name="data")


def main(arguments=None):
    """Run the command line and return its exit code; an error of the user's is one sentence, never a traceback."""
    stop = Stop()
    try:
        _check_once(sys.argv[1:] if arguments is None else arguments)
        code = app(arguments, prog_name="hemokit", standalone_mode=False)
        sys.stdout.flush()
    except HemokitError as error:
        return stop.refuse() if stop.asked else refuse(str(error))  # a reader may have stumbled over Ctrl-C
    except typer.TyperException as error:
        return refuse(_sentence(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return stop.refuse()
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone: nobody is left to tell, and Python must not try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return stop.refuse() if stop.asked else refuse(_system_error(error))
    except Interrupted as error:
        return stop.refuse(f"; {error}")
    except Exception:
        if not stop.asked:
            raise
        return stop.refuse()  # a library stumbled over Ctrl-C
    return stop.refuse() if code == 130 else code or 0  # 130 is what typer makes of Ctrl-C


def _check_once(arguments):
    """Refuse an option of one value that came twice, or with its opposite: typer would take the last in silence."""
    command, given = typer.main.get_command(app), []
    for one in arguments:
        if one == "--":
            break
        command = getattr(command, "commands", {}).get(one, command)
        given.append(one.partition("=")[0])
    for own in command.params:
        names = [name for name in (*own.opts, *own.secondary_opts) if name.startswith("--")]
        came = [name for name in given if name in names]
        if len(came) > 1 and not own.multiple:
            same = len(set(came)) == 1
            told = f"{came[0]} came {len(came)} times" if same else f"{' and '.join(came)} came together"
            remedy = "Run the command once for each, or leave the others out."
            raise problem(told, "once" if same else "one of them", remedy)


def _show_version(wanted: bool):
    if wanted:
        print(f"hemokit {__version__}")
        raise typer.Exit


@app.callback()
def hemokit(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
):
    """Deep learning on head CT, hands-on. For education only; not a medical device."""
    help_without_command(context)


def _system_error(error):
    """What the system says (no permission, a file where a folder should be, a full disk), as one sentence."""
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}, but expected a path that can be used. Check it, or choose another."


def _sentence(error):
    """What typer says of a wrong call; of a wrong command also which ones there are."""
    said, context = error.format_message(), getattr(error, "ctx", None)
    if said.startswith("No such command") and context is not None:
        return f"{said} The commands are: {', '.join(context.command.list_commands(context))}."
    return said
