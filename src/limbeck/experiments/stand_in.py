"""The paper's own data where it is within reach, else what stands in for it, said so."""

from collections.abc import Sequence

from limbeck.data import available, load
from limbeck.data.dataset import LabeledDataset

_TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}


def open_data(
    wanted: Sequence[str],
    *,
    given: str | None,
    limit: int | None,
    size: int | None = None,
    at_least: int | None = None,
) -> tuple[LabeledDataset, LabeledDataset, tuple[str, ...]]:
    """(private, test, remarks): the first of ``wanted`` that this machine has, or ``given``.

    wanted: the paper's data first. limit: private records to keep. size: pixels of a side to which
    images are reduced, None for their own. at_least: those to which the 8x8 digits are enlarged,
    for networks that need more than 8.
    """
    reachable = {status.name for status in available() if status.reachable}
    chosen = given or next((name for name in wanted if name in reachable), "digits")
    resized = at_least if chosen == "digits" else size
    private, test = load(chosen, limit=limit, size=resized)
    said = f"{len(private):,} records of {_TITLES.get(chosen, chosen)}"
    if resized:
        said += f", resized to {resized}x{resized} pixels"
    if chosen == wanted[0]:
        return private, test, (f"The private data: {said}, the paper's own.",)
    paper = _TITLES.get(wanted[0], wanted[0])
    why = "as was asked for" if given else "which is not on this machine"
    remark = (
        f"The private data: {said}, in place of {paper} ({why}): accuracies are not comparable "
        "with the published ones."
    )
    return private, test, (remark,)
