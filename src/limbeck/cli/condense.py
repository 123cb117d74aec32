"""``limbeck condense``: private data in, release out."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.guarantee import (
    GuaranteeOptions,
    advise_on_classes,
    can_guarantee,
    number_of_records,
    origin,
)
from limbeck.cli.options import Common, DataOptions, method_options, shell
from limbeck.cli.outputs import require_folder
from limbeck.cli.private_accuracy import AccuracyOptions, accuracy_in_words
from limbeck.cli.spending import Spending
from limbeck.cli.tuning import TuningOptions, choose, sentence
from limbeck.errors import OptionError

if TYPE_CHECKING:
    import limbeck.data.dataset


def condense(
    *,
    source: Annotated[
        str, typer.Argument(metavar="DATA", help="A source by name, a file or a folder.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder that the release is written to.")
    ],
    method: Annotated[str, typer.Option(help="A synthesizer; see `limbeck methods`.")] = "dm-ridge",
    ipc: Annotated[
        int | None, typer.Option(min=1, help="Synthetic records per class, where it applies.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:VALUE]",
            help="What the records start from: noise, kaleidoscope:3 ...; see `limbeck methods`.",
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other option of the method."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Redraw preview.png in the output folder as it goes.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder in use.")] = False,
    guarantee: GuaranteeOptions,
    tuning: TuningOptions,
    accuracy: AccuracyOptions,
    data: DataOptions,
    common: Common,
) -> int:
    """Condense DATA into a small synthetic dataset.

    For example, ten images of each digit from a sample that comes with scikit-learn:

        limbeck condense digits --method dm --ipc 10 --init noise -o release/

    Condensing alone gives no formal guarantee; with --epsilon, methods that can give one do so
    (private-copula, dp-merf ...), and dm, dm-ridge and ncfm read their statistics with noise once.
    `limbeck audit` measures what a release leaks.

    Ctrl-C keeps the last state: it becomes the release, whose card says how far it had come.
    """
    require_folder(output, force)
    method, options = guarantee.form_of(method, options or [])

    from limbeck import recipe
    from limbeck.cli.progress import Bar
    from limbeck.cli.state import LastState
    from limbeck.data.release import PREVIEW
    from limbeck.mechanism.base import Release
    from limbeck.workers import keep_memory, one_thread

    keep_memory()
    given = {"ipc": ipc, "init": init, **guarantee.asked(options)}
    values = method_options(method, "synthesizer", options, given)
    settings = tuning.settings(values)
    if settings is not None and watch:
        raise OptionError("--watch: runs that are not chosen stay secret; leave --watch out")
    synthesizer = recipe.build(method, values, "synthesizer")
    device = common.torch_device()
    spending = Spending(
        "condense", source, synthesizer, data, accuracy, output, chosen=settings is not None
    )
    with spending.reading():
        private, held_out = data.load(source, guaranteed=can_guarantee(method, "synthesizer"))
        synthesizer.require_classes(private)
        accuracy.require(synthesizer, private, held_out)
        resolved = synthesizer.resolve(private)
        if watch and len(private.shape) != 3:
            raise OptionError(
                f"--watch: records of shape {private.shape} are no images; leave --watch out"
            )
    spending.confirm(resolved, private, held_out)
    preview = output / PREVIEW if watch else None
    if preview is not None:
        console.note(f"watch {preview}: redrawn every few seconds once there is a state")
    started = time.monotonic()
    interrupted: float | None = None
    # One thread, as in every run of an audit: the same sums, whatever the number of cores.
    with Bar(f"condensing {private.name}") as bar, one_thread(), spending.running():
        state = LastState(bar.update, preview)
        try:
            if settings is None:
                synthetic = resolved.synthesize(
                    private, seed=common.seed, device=device, progress=state.report
                )
            else:
                tuned = choose(
                    settings,
                    lambda setting: recipe.build(method, {**values, **setting}, "synthesizer"),
                    private,
                    tuning.tune_runs,
                    seed=common.seed,
                    device=device,
                )
                resolved, synthetic = tuned.synthesizer, tuned.synthetic
        except KeyboardInterrupt:
            if state.last is None:
                raise
            interrupted, synthetic = state.last
        # The number of runs is secret, and their time tells it.
        seconds = time.monotonic() - started if settings is None else None
        # Of an interrupted state, too, its own card says what may be claimed: a guarantee stands
        # there only where the state was made of a release that was noised already.
        added: dict[str, object] = {"interrupted": interrupted}
        if data.range() is not None:
            added["value_range"] = data.range()
        measured = None
        if interrupted is None:
            measured = accuracy.measured(
                Release(synthetic), held_out, synthetic.card, seed=common.seed, device=device
            )
        if measured is not None:
            added["private_accuracy"] = measured
        card = {**synthetic.card, **added}
        with _undisturbed():
            replace(synthetic, card=card).save(output)
            spending.done()

    claim = card.get("guarantee")
    guarantee.warn(claim, private)
    spending.tell()
    advise_on_classes(card)
    holds_real = resolved.holds_real_records
    if common.as_json:
        console.document(
            {
                "release": str(output),
                "recipe": recipe.recipe(resolved),
                "records": len(synthetic),
                "classes": list(synthetic.classes),
                "classes_from": private.classes_from,
                "private_records": number_of_records(claim, private),
                "seconds": seconds,
                "holds_real_records": holds_real,
                "guarantee": claim,
                "selection": card.get("selection"),
                "private_accuracy": measured,
                "interrupted": interrupted,
            }
        )
    if interrupted is not None:
        console.error(
            f"interrupted when {interrupted:.0%} was done; {output} holds the last state, and its "
            "card says so"
        )
        return Exit.INTERRUPTED
    if common.as_json:
        return Exit.OK
    same = ["--private", source, *data.flags()]
    console.facts(
        {
            "method": method,
            "from": origin(claim, private),
            "made": f"{len(synthetic)} synthetic records"
            + ("" if seconds is None else f" in {console.duration(seconds)}"),
            **({} if settings is None else {"chosen": sentence(card["selection"])}),
            "real records": "yes: the release contains, or starts from, private records"
            if holds_real
            else "no",
            "guarantee": "\n".join(card.get("in_words") or ["none"]),
            **({} if measured is None else {"accuracy": accuracy_in_words(measured)}),
            "release": str(output),
            "next": shell("limbeck", "evaluate", output, *same, *_other("--network", private)),
            "and": shell(
                "limbeck",
                "audit",
                output,
                *same,
                *_other("--trainer", private),
                "-o",
                "audit/",
            ),
        }
    )
    return Exit.OK


def _other(flag: str, private: "limbeck.data.dataset.LabeledDataset") -> list[str]:
    """The words that name a network fit for these records, where the usual one is not."""
    from limbeck.data.card import evaluation

    network = evaluation(private.shape)["network"]
    return [] if network == "convnet3" else [flag, network]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C while the release is written: a second one would lose what the first kept."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
