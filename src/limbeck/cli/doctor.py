"""``limbeck doctor``: whether this installation is healthy."""

import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli import console
from limbeck.cli.exits import Exit
from limbeck.cli.options import Common
from limbeck.errors import LimbeckError

OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One line of the examination; ``needed`` when limbeck cannot do without."""

    name: str
    healthy: bool
    detail: str
    needed: bool = True


def doctor(
    *,
    store: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where audits would be written.")
    ] = Path(),
    common: Common,
) -> int:
    """Examine this installation; exit code 1 when something needed is missing.

    For example:

        limbeck doctor --store audit/
    """
    findings = [
        _python(),
        *_packages(),
        _guarded("threads", _threads),
        _guarded("memory", _memory),
        _guarded("device", lambda: common.torch_device()),
        _guarded("store", lambda: _store(store)),
        _guarded("self-check", lambda: _self_check(common.seed)),
    ]
    healthy = all(f.healthy for f in findings if f.needed)
    if common.as_json:
        console.document({"healthy": healthy, "findings": [asdict(f) for f in findings]})
    else:
        marks = {(True, True): "ok", (True, False): "ok", (False, True): "MISSING"}
        console.table(
            ["", "what", "found"],
            [[marks.get((f.healthy, f.needed), "absent"), f.name, f.detail] for f in findings],
        )
        console.note("healthy" if healthy else "something needed is missing: see the lines above")
    return Exit.OK if healthy else Exit.EXCEEDED


def _python() -> Finding:
    return Finding("python", sys.version_info >= OLDEST_PYTHON, platform.python_version())


def _packages() -> list[Finding]:
    """What the distribution itself says it requires; that of an extra is optional."""
    from importlib import metadata

    findings = []
    for requirement in metadata.requires("limbeck") or []:
        wanted, _, condition = requirement.partition(";")
        name = re.split(r"[^\w.-]", wanted.strip(), maxsplit=1)[0]
        optional = "extra ==" in condition
        if name == "limbeck" or "dev" in condition:
            continue
        try:
            findings.append(Finding(name, True, metadata.version(name), not optional))
        except metadata.PackageNotFoundError:
            detail = f"not installed ({condition.strip() or 'required'})"
            findings.append(Finding(name, False, detail, not optional))
    return findings


def _guarded(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except (LimbeckError, OSError, ImportError, ValueError, RuntimeError) as error:
        return Finding(name, False, f"{type(error).__name__}: {error}")


def _threads() -> str:
    import torch

    return f"{torch.get_num_threads()} of {os.cpu_count()} processors"


def _memory() -> str:
    size = os.sysconf("SC_PAGE_SIZE") / 2**30
    free, total = os.sysconf("SC_AVPHYS_PAGES") * size, os.sysconf("SC_PHYS_PAGES") * size
    return f"{free:.1f} of {total:.1f} GiB free"


def _store(folder: Path) -> str:
    nearest = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    with tempfile.TemporaryFile(dir=nearest):
        return f"{nearest.absolute()} is writable"


def _self_check(seed: int) -> str:
    """Condense 40 random records twice: the same seed must give the same set."""
    import torch

    from limbeck import recipe
    from limbeck.coins import generator
    from limbeck.data.dataset import LabeledDataset

    inputs = torch.rand(40, 1, 8, 8, generator=generator(seed, "doctor"))
    private = LabeledDataset(inputs, torch.arange(40) % 2, ("a", "b"), name="self-check")
    synthesizer = recipe.build("random-subset", {"ipc": 2}, "synthesizer").resolve(private)
    first, second = (synthesizer.synthesize(private, seed=seed).inputs for _ in range(2))
    if not torch.equal(first, second):
        raise RuntimeError("the same seed gave two different synthetic sets")
    return "the same seed gives the same synthetic set"
