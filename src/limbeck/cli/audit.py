"""``limbeck audit``: attack a release or what made it, and hold it to limits."""

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.audit_options import Effort, Limits, Machines, Place, Subject
from limbeck.cli.options import Common, DataOptions
from limbeck.cli.outputs import require_folder_name
from limbeck.errors import OptionError


def audit(
    *,
    release: Annotated[
        Path | None,
        typer.Argument(metavar="[RELEASE]", help="A folder that `limbeck condense` wrote."),
    ] = None,
    private: Annotated[
        str | None, typer.Option(metavar="DATA", help="The private data that was condensed.")
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Real test data; the part kept out if not given."),
    ] = None,
    synthetic: Annotated[
        Path | None,
        typer.Option(
            metavar="SET",
            help="A finished set (release, .npz, image folder) whose maker is not at hand.",
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="With --synthetic: like private data, but not in it."),
    ] = None,
    signals: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An .npz of signals that were measured elsewhere."),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also try this attack (quantile-regression, shokri ...), or all; repeatable.",
        ),
    ] = None,
    place: Place,
    effort: Effort,
    limits: Limits,
    subject: Subject,
    machines: Machines,
    data: DataOptions,
    common: Common,
) -> int:
    """Repeat the mechanism behind RELEASE on random subsets, and attack what comes out.

    For example:

        limbeck audit release/ --private digits --preset quick -o audit/
        limbeck audit --method none --private digits -o undefended/

    The recipe is read from the card of RELEASE; give the data options that it was condensed with.
    Without RELEASE, --method and its options say what to audit. What limbeck did not make:

        limbeck audit --command "python make.py {input} {output}" --private digits -o audit/
        limbeck audit --synthetic set.npz --private members/ --control others/ -o audit/
        limbeck audit --signals scores.npz -o audit/

    Exit code: 0 the limits given hold, 1 they do not, 2 bad input or usage, 3 too weak to tell.
    """
    require_folder_name(place.output)
    routes = {
        "a RELEASE folder": release,
        "--method": subject.method,
        "--command": subject.command,
        "--synthetic": synthetic,
        "--signals": signals,
    }
    given = [name for name, value in routes.items() if value is not None]
    if len(given) != 1:
        known = ", ".join(routes)
        said = f", and not both {' and '.join(given)}" if given else ""
        raise OptionError(f"give one of {known}{said}")
    foreign = synthetic is not None or signals is not None
    if foreign and (effort, subject, machines) != (Effort(), Subject(), Machines()):
        raise OptionError(
            f"{given[0]} runs nothing: leave out the options of presets, methods, trainers and "
            "workers"
        )
    if signals is not None:
        if (private, test, control, data) != (None, None, None, DataOptions()):
            raise OptionError("--signals holds all there is: leave out the options of data")
        from limbeck.cli.audit_foreign import audit_signals

        return audit_signals(signals, place, limits, attack or (), common)
    if private is None:
        raise OptionError("give the private data with --private DATA")
    if synthetic is not None:
        if attack is not None:
            raise OptionError("--attack is for audits with shadow runs; --synthetic tries its own")
        if control is None or test is not None:
            raise OptionError("--synthetic needs --control DATA to compare with, and no --test")
        from limbeck.cli.audit_foreign import audit_set

        return audit_set(synthetic, private, control, place, limits, data, common)
    if control is not None:
        raise OptionError(
            "--control is for --synthetic; a mechanism is judged against its own runs"
        )
    from limbeck.cli.audit_mechanism import audit_mechanism

    return audit_mechanism(
        release,
        private,
        test,
        attack or (),
        place,
        effort,
        limits,
        subject,
        machines,
        data,
        common,
    )
