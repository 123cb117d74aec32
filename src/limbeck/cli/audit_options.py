"""The options of ``limbeck audit`` in groups: each route asks for the groups that it serves."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from limbeck.errors import OptionError


class Thoroughness(StrEnum):
    """Names of the presets."""

    quick = "quick"
    standard = "standard"
    thorough = "thorough"


class Canary(StrEnum):
    """Kinds of records planted to be exposed."""

    mislabelled = "mislabelled"
    out_of_distribution = "out-of-distribution"
    duplicates = "duplicates"


class Layout(StrEnum):
    """How a program of the user's is handed the records."""

    npz = "npz"
    folder = "folder"


@dataclass(frozen=True)
class Effort:
    """How much an audit of a mechanism does."""

    preset: Annotated[Thoroughness, typer.Option(help="How many runs and records.")] = (
        Thoroughness.standard
    )
    runs: Annotated[
        int | None, typer.Option(min=4, help="Shadow runs, instead of the preset's.")
    ] = None
    canaries: Annotated[
        int | None,
        typer.Option(min=1, help="Canaries, instead of the preset's; at most 5% of the records."),
    ] = None
    canary: Annotated[Canary, typer.Option(help="What is planted to be exposed.")] = (
        Canary.mislabelled
    )
    company: Annotated[
        bool, typer.Option(help="Also audit a random subset of the same size, and the full data.")
    ] = True
    stop_early: Annotated[
        bool,
        typer.Option(
            "--stop-early",
            help="Look after a quarter and half of the runs, and end there if a leak is shown.",
        ),
    ] = False
    strong: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Also attack N canaries knowing all other records: 64 more runs for each.",
        ),
    ] = None


@dataclass(frozen=True)
class Limits:
    """What the audited mechanism must keep."""

    max_tpr: Annotated[
        str | None,
        typer.Option(metavar="TPR@FPR", help="Limit: TPR on canaries, for example 0.01@0.001."),
    ] = None
    max_epsilon: Annotated[
        float | None, typer.Option(min=0.0, help="Limit: epsilon of the mechanism's guarantee.")
    ] = None

    def tpr(self) -> tuple[float, float] | None:
        """``--max-tpr 0.01@0.001`` as (tpr, fpr); OptionError where that FPR is not measured."""
        text = self.max_tpr
        if text is None:
            return None
        from limbeck.audit.inference.roc import NOMINAL_FPRS

        try:
            tpr, fpr = (float(part) for part in text.split("@"))
        except ValueError:
            tpr, fpr = -1.0, -1.0
        if not (0 < tpr <= 1 and 0 < fpr < 1):
            raise OptionError(
                f"--max-tpr {text}: write TPR@FPR as fractions, for example 0.01@0.001"
            )
        if fpr not in NOMINAL_FPRS:
            judged = ", ".join(f"{f:g}" for f in NOMINAL_FPRS)
            raise OptionError(
                f"--max-tpr {text}: no TPR is measured at this FPR; there are: {judged}"
            )
        return tpr, fpr


@dataclass(frozen=True)
class Subject:
    """What is audited where no release says it."""

    trainer: Annotated[
        str, typer.Option(help="Trained on the release: convnet3, mlp ..., or kernel-ridge.")
    ] = "convnet3"
    trainer_options: Annotated[
        list[str] | None,
        typer.Option("--trainer-set", metavar="NAME=VALUE", help="Any option of the trainer."),
    ] = None
    method: Annotated[
        str | None,
        typer.Option(
            help="Without RELEASE: a synthesizer, a mechanism, or none for the private data itself."
        ),
    ] = None
    command: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Without RELEASE: a program of your own, as 'python make.py --in {input} "
            "--out {output} --seed {seed}'.",
        ),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(min=0.1, help="With --command: seconds that a run may take; 600 if left out."),
    ] = None
    layout: Annotated[
        Layout | None,
        typer.Option(help="With --command: {input} is an .npz file (default) or image folders."),
    ] = None
    ipc: Annotated[
        int | None,
        typer.Option(min=1, help="With --method or --command: synthetic records per class."),
    ] = None
    init: Annotated[
        str | None, typer.Option(help="With --method: what synthetic records start from.")
    ] = None
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="With --method: any other option of it."),
    ] = None


@dataclass(frozen=True)
class Machines:
    """Where shadow runs are computed."""

    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one per core if not given.")
    ] = None
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory to stay under, for example 8GB.")
    ] = None
    cluster: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:PORT", help="A Dask scheduler to run on.")
    ] = None

    def bytes(self) -> int | None:
        """``--memory 8GB`` in bytes."""
        if self.memory is None:
            return None
        units = {"MB": 10**6, "GB": 10**9, "MIB": 2**20, "GIB": 2**30}
        parts = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([MG]I?B)", self.memory.upper())
        if parts is None:
            raise OptionError(f"--memory {self.memory}: write a size such as 8GB or 600MB")
        return int(float(parts[1]) * units[parts[2]])


@dataclass(frozen=True)
class Place:
    """The folder of the audit."""

    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder of the audit; a stopped audit goes on there."),
    ]
    force: Annotated[
        bool, typer.Option("--force", help="Replace the audit of another plan in that folder.")
    ] = False
