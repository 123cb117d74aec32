"""The state of a condensation as it goes: kept for Ctrl-C, and drawn where that is asked for."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from limbeck.cli.console import note
from limbeck.data.preview import png
from limbeck.data.synthetic import SyntheticDataset
from limbeck.files import write_bytes

_PAUSE = 2.0  # seconds from one picture to the next, at least
_SHARE = 0.05  # of the time, at most, goes into pictures: those of 100 classes take a second each


class LastState:
    """Receives the progress of a synthesizer and keeps the last state that it reported.

    show: called with every finished share. preview: the PNG file that is redrawn, or None.
    last: the last state with the share that was finished then, or None when there was none yet.
    """

    def __init__(self, show: Callable[[float], None], preview: Path | None = None) -> None:
        self.last: tuple[float, SyntheticDataset] | None = None
        self._show = show
        self._preview = preview
        self._not_before = 0.0

    def report(self, share: float, state: SyntheticDataset | None) -> None:
        """Take note of the finished share in [0, 1] and of the state, where there is one."""
        if state is not None:
            # One assignment, so that an interruption finds the share and the state of one moment.
            self.last = (round(share, 4), _copied(state))
            if self._preview is not None:
                self._draw(self._preview, self.last[1])
        self._show(share)

    def _draw(self, path: Path, state: SyntheticDataset) -> None:
        started = time.monotonic()
        if started < self._not_before:
            return
        try:
            write_bytes(path, png(state))
        except OSError as error:
            # Hours of condensing are not given up for a picture.
            note(f"{path} cannot be drawn ({error.strerror}); condensing goes on without pictures")
            self._preview = None
        now = time.monotonic()
        self._not_before = now + max(_PAUSE, (now - started) / _SHARE)


def _copied(state: SyntheticDataset) -> SyntheticDataset:
    """The state on its own: optimisers move tensors in place, and may be interrupted half-way."""
    soft = state.soft_labels
    return replace(
        state,
        inputs=state.inputs.detach().clone(),
        soft_labels=None if soft is None else soft.detach().clone(),
    )
