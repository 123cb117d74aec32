"""Options of the commands that release something private: a choice among settings, an accuracy."""

import itertools
import json
import math
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck.cli import console
from limbeck.errors import OptionError

if TYPE_CHECKING:
    import limbeck.data.dataset
    import limbeck.mechanism.tuning

_PAID = ("epsilon", "delta", "adjacency", "unit", "multiplier")
"""Options that are the guarantee itself, or set it: the same for all settings."""


@dataclass(frozen=True)
class TuningOptions:
    """What is tried and chosen among under one guarantee; nothing where none is named."""

    tune: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=V1,V2 | FILE.toml",
            help="Choose among these values, or the settings of a file, within --epsilon.",
        ),
    ] = None
    tune_runs: Annotated[
        int | None,
        typer.Option(min=1, help="Expected runs of the choice (3 for each setting)."),
    ] = None

    def settings(self, fixed: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The options of every setting, as they differ; None where nothing is to be chosen.

        fixed: the options that all have. OptionError for what is no list of two settings or more,
        and where no guarantee is asked for.
        """
        if not self.tune:
            if self.tune_runs is not None:
                raise OptionError("--tune-runs: there is nothing to choose among without --tune")
            return None
        if fixed.get("epsilon") is None:
            raise OptionError(
                "--tune: say --epsilon, the guarantee of the choice and of what is chosen; "
                "without a guarantee, `limbeck compare` puts settings side by side"
            )
        listed = _from_file(self.tune) or _grid(self.tune)
        for setting in listed:
            for name in setting:
                if name in _PAID:
                    raise OptionError(
                        f"--tune {name}: the guarantee is the same for all settings; leave it out"
                    )
                if name in fixed:
                    raise OptionError(f"--tune {name}: given as a fixed option too; leave out one")
        if len(listed) < 2:
            raise OptionError("--tune: one setting leaves nothing to choose; give another value")
        for i, setting in enumerate(listed):
            if setting in listed[:i]:
                raise OptionError(f"--tune: {_words(setting)} is listed twice; leave one out")
        return listed


def choose(
    settings: Sequence[Mapping[str, Any]],
    build: Callable[[Mapping[str, Any]], Any],
    private: "limbeck.data.dataset.LabeledDataset",
    runs: int | None,
    *,
    seed: int,
    device: str,
) -> "limbeck.mechanism.tuning.Tuned":
    """Run the choice; what it costs is said before, how long it may take after the first run.

    build: the method with these options beside those that all settings have.
    """
    from limbeck.mechanism.tuning import Tuning
    from limbeck.privacy.digits import pair

    listed = [(build(setting), setting) for setting in settings]
    # One guarantee, which no setting can change, and which is now that of the choice.
    whole = {name: getattr(listed[0][0], name) for name in ("epsilon", "delta", "adjacency")}
    tuning = Tuning(listed, private, **whole, mean=runs)
    paid = tuning.selection
    most = math.ceil(math.log(0.05) / math.log1p(-1 / paid.mean)) if paid.mean > 1 else 1
    console.note(
        f"choosing among {len(settings)} settings: each run is "
        f"{pair(paid.run_epsilon, paid.run_delta)}-differentially private, the choice "
        f"{pair(whole['epsilon'], whole['delta'])}; {paid.mean} runs are expected, "
        f"more than {most} in 1 of 20 cases; how long it takes tells their number, which is secret"
    )
    started = time.monotonic()

    def forecast() -> None:
        each = time.monotonic() - started
        console.note(
            f"a run takes about {console.duration(each)}: "
            f"{console.duration(each * paid.mean)} expected, more than "
            f"{console.duration(each * most)} in 1 of 20 cases"
        )

    return tuning.run(seed=seed, device=device, after_first=forecast)


def sentence(selection: Mapping[str, Any]) -> str:
    """What was chosen among what, and what it cost, for the end of a command."""
    from limbeck.privacy.digits import up

    run = selection["run"]
    return (
        f"{_words(selection['chosen'])}, of {len(selection['tried'])} settings; each run has "
        f"epsilon {up(run['epsilon'])}, the rest pays for the choice"
    )


def _grid(words: Sequence[str]) -> list[dict[str, Any]]:
    """Every combination of ``NAME=V1,V2`` words; values are JSON, and plain words are text."""
    lists: dict[str, list[Any]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (equals and name.isidentifier()):
            raise OptionError(
                f"--tune {word}: write NAME=V1,V2, for example --tune features=300,500, or name "
                "one .toml file"
            )
        if name in lists:
            raise OptionError(f"--tune {name}: given twice")
        values = [value.strip() for value in text.split(",")]
        if not all(values):
            raise OptionError(f"--tune {word}: a value is empty; write NAME=V1,V2")
        lists[name] = [_value(value) for value in values]
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def _from_file(words: Sequence[str]) -> list[dict[str, Any]] | None:
    """The tables ``[[settings]]`` of the one file that is named; None where none is."""
    if not any(word.endswith(".toml") and "=" not in word for word in words):
        return None
    if len(words) > 1:
        raise OptionError("--tune: give either one file or NAME=V1,V2, and not both")
    path = Path(words[0])
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"--tune {path}: no TOML ({error}); correct it") from None
    listed = written.get("settings")
    fits = isinstance(listed, list) and all(isinstance(s, dict) and s for s in listed)
    if set(written) != {"settings"} or not listed or not fits:
        raise OptionError(
            f"--tune {path}: write tables [[settings]], each with the options of one setting, and "
            "nothing else"
        )
    return [dict(setting) for setting in listed]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _words(setting: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in setting.items())
