"""How far a long task is, on stderr."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from limbeck.cli.console import duration, note

_ROUNDING = 1e-9  # of shares that were added up, of which the last must be seen to reach the whole


class Bar:
    """A task's finished share: a bar with the time left on a terminal, elsewhere ten lines."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._tenths = 0
        console = Console(stderr=True)
        self._drawn = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("gone,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=not self._drawn,
        )
        self._task = self._progress.add_task(title, total=1.0)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, share: float, title: str | None = None) -> None:
        """Show that ``share`` of the work, in [0, 1], is done, and what is being done."""
        shown = title or self._title
        share = min(share + _ROUNDING, 1.0)
        self._progress.update(self._task, completed=share, description=shown)
        if not self._drawn and int(share * 10) > self._tenths:
            self._tenths = int(share * 10)
            spent = time.monotonic() - self._started
            note(f"{shown}: {self._tenths * 10}%, {duration(spent / share - spent)} left")
