"""The paper's own data where it is within reach, else what stands in for it, said so."""

from collections.abc import Sequence

from limbeck.data import available, load
from limbeck.data.dataset import LabeledDataset

_TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}


def open_data(
    wanted: Sequence[str],
    *,
    paper: str | None,
    given: str | None,
    limit: int | None,
    size: int | None = None,
    at_least: int | None = None,
) -> tuple[LabeledDataset, LabeledDataset, str]:
    """(private, test, remark): the first of ``wanted`` that this machine has, or ``given``.

    paper: the paper's data, None where they are not known. limit: private records to keep. size:
    pixels of a side to which images are reduced, None for their own. at_least: those to which the
    8x8 digits are enlarged, for networks that need more than 8.
    """
    reachable = {status.name for status in available() if status.reachable}
    chosen = given or next((name for name in wanted if name in reachable), "digits")
    resized = at_least if chosen == "digits" else size
    private, test = load(chosen, limit=limit, size=resized)
    said = f"{len(private):,} records of {_TITLES.get(chosen, chosen)}"
    if resized:
        said += f", resized to {resized}x{resized} pixels"
    if paper is None:
        return private, test, f"The private data: {said}."
    own = _TITLES.get(paper, paper)
    if chosen == paper:
        return private, test, f"The private data: {said}, as in the paper."
    why = "not on this machine" if paper in wanted and not given else "as chosen for this run"
    remark = (
        f"The private data: {said}, in place of the paper's {own} ({why}): accuracies are not "
        "comparable with the published ones."
    )
    return private, test, remark
