"""How far many steps of different length are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from limbeck.audit.session import Progress


class Steps:
    """The finished share of all steps, each with the weight of its expected time."""

    def __init__(
        self,
        names: Sequence[str],
        expected: Mapping[str, float] | None,
        heard: Progress | None,
    ) -> None:
        known = dict.fromkeys(names, 1.0) if expected is None else expected
        self._weights = {name: known.get(name, 0.0) for name in names}
        self._total = sum(self._weights.values()) or 1.0
        self._heard, self._done = heard, 0.0

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[Callable[[float], None]]:
        """Within it, the share of this step can be told."""

        def tell(share: float) -> None:
            if self._heard is not None:
                done = self._done + share * self._weights[name]
                self._heard(min(1.0, done / self._total), title)

        tell(0.0)
        yield tell
        self._done += self._weights[name]

    def end(self) -> None:
        """All is done."""
        if self._heard is not None:
            self._heard(1.0, "done")
