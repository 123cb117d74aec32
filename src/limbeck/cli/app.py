"""The ``limbeck`` program: its commands, and every way a command can end."""

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from limbeck.cli import budget, console
from limbeck.cli.audit import audit
from limbeck.cli.compare import compare
from limbeck.cli.condense import condense
from limbeck.cli.copying import copying
from limbeck.cli.data import data
from limbeck.cli.difference import difference
from limbeck.cli.doctor import doctor
from limbeck.cli.evaluate import evaluate
from limbeck.cli.exits import Exit
from limbeck.cli.export import export
from limbeck.cli.methods import methods
from limbeck.cli.options import expand
from limbeck.cli.predict import predict
from limbeck.cli.reconstruct import reconstruct
from limbeck.cli.report import report
from limbeck.cli.reproduce import reproduce
from limbeck.cli.train import train
from limbeck.errors import LimbeckError

app = typer.Typer(
    name="limbeck",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing boxes would double the time that --help takes
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        console.result(f"limbeck {version('limbeck')}")
        raise typer.Exit
    return wanted


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where limbeck itself failed (in any position).")
    ] = False,
) -> None:
    """Condense a private dataset into a small synthetic one, and audit what it leaks."""


def _help(command: Callable[..., int]) -> str:
    """The command's docstring, its indented examples marked to keep their lines."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(f"\b\n{p}" if p.startswith("    ") else p for p in paragraphs)


_COMMANDS = (
    condense,
    train,
    predict,
    evaluate,
    export,
    audit,
    compare,
    copying,
    reconstruct,
    difference,
    report,
    reproduce,
    methods,
    data,
    doctor,
)
for _command in _COMMANDS:
    app.command(name=_command.__name__, help=_help(_command))(expand(_command))

_budget = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What all private releases of a dataset cost together, and what they may.",
)
for _part in (budget.show, budget.set_, budget.history):
    _budget.command(name=_part.__name__.strip("_"), help=_help(_part))(expand(_part))
app.add_typer(_budget, name="budget")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Problems become one line on the error stream."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Looked for here, and not by the parser, so that it also works after the command's name.
    debug = "--debug" in given
    given = [a for a in given if a != "--debug"]
    try:
        code = app(args=given, prog_name="limbeck", standalone_mode=False)
        sys.stdout.flush()
        return int(code or Exit.OK)
    except LimbeckError as error:
        console.error(str(error))
    except typer.TyperException as error:
        path = getattr(getattr(error, "ctx", None), "command_path", "limbeck")
        console.error(f"{error.format_message()} (see `{path} --help`)")
    except BrokenPipeError:
        # The reader of our output has left (`limbeck methods | head`): not an error to report,
        # nor for the interpreter, which flushes stdout once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except OSError as error:
        console.error(f"{error.filename or 'input or output'}: {error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        goes_on = "what was finished is kept, and the rest done when run again"
        kept = (["audit"], ["compare"], ["reproduce"])
        rest = goes_on if given[:1] in kept else "nothing was written"
        console.error(f"interrupted; {rest}")
        return Exit.INTERRUPTED
    except Exception as error:
        if debug:
            raise
        console.error(
            f"this is a defect in limbeck ({type(error).__name__}: {error}); "
            "run again with --debug to see where"
        )
        return Exit.DEFECT
    return Exit.USAGE
