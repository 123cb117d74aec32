"""All datasets of one owner: what each was spent, entered under a lock before anything is read."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import BudgetError, StoreError
from limbeck.owner.folder import default_folder, key, locked
from limbeck.owner.identity import content_hashes, place
from limbeck.owner.merged import merged
from limbeck.owner.sheet import Entry, SetTotal, Sheet, State, read
from limbeck.owner.spent import refusal
from limbeck.privacy.composition import Part
from limbeck.types import Unit


@dataclass(frozen=True)
class Book:
    """The budgets in ``folder``, one file a dataset; every change is made under one lock.

    StoreError, naming the file, where one of them is damaged or cannot be written.
    """

    folder: Path

    @classmethod
    def usual(cls) -> "Book":
        """The book of whoever runs this process (``$LIMBECK_BUDGETS``)."""
        return cls(default_folder())

    def sheets(self) -> list[Sheet]:
        """Every dataset that anything was entered for, in the order of their names."""
        found = [read(path) for path in sorted(self.folder.glob("*.json"))]
        return sorted(found, key=lambda sheet: sheet.title)

    def find(self, data: str | Path) -> Sheet | None:
        """The dataset of this name, or else of this source; None where nothing was entered."""
        sheets, where = self.sheets(), place(data)
        named = next((sheet for sheet in sheets if sheet.name == str(data)), None)
        return named or next((sheet for sheet in sheets if where in sheet.sources), None)

    def set_total(
        self,
        data: str | Path,
        total: SetTotal | None,
        *,
        name: str | None = None,
    ) -> Sheet:
        """Set what all releases of ``data`` may come to; what was spent before counts.

        name: what to call the dataset. Data that are given the name of another dataset are the same
        data as that one from now on, with one budget.
        """
        with locked(self.folder):
            sheet = self._joined(self.find(data) or _new(place(data)))
            if name is not None:
                other = next((s for s in self.sheets() if s.name == name), None)
                if other is not None and other.id != sheet.id:
                    sheet = self._merge(other, sheet)
                sheet = replace(sheet, name=name)
            if total is not None:
                sheet = replace(sheet, totals=(*sheet.totals, replace(total, time=_now())))
            sheet.save(self.folder)
        return sheet

    def reserve(
        self,
        data: str | Path,
        parts: Sequence[Part] | None,
        *,
        command: str,
        method: str,
        unit: Unit | None = None,
        limit: int | None = None,
        output: str | Path | None = None,
    ) -> "Reserved":
        """Enter a release before a record is read; BudgetError where it does not fit any more.

        parts: what it costs, each about the records that it is given; None: it has no guarantee.
        unit: what is protected, where that is known before the data are read; None: it is taken for
        that of the total, until ``Reserved.confirm``.
        """
        where = place(data)
        with locked(self.folder):
            # A name is no source: a file of the name of another dataset has its own place.
            sheet = self._joined(_new(where))
            if parts is not None and unit is None and sheet.total is not None:
                parts = [_of_unit(part, sheet.total.unit) for part in parts]
            entry = Entry(
                secrets.token_hex(8),
                _now(),
                command,
                method,
                where,
                None if parts is None else tuple(parts),
                limit,
                None if output is None else str(Path(output).resolve()),
            )
            _require(sheet, entry)
            replace(sheet, entries=(*sheet.entries, entry)).save(self.folder)
        return Reserved(self, entry)

    def holder(self, entry: Entry) -> Sheet:
        """The dataset that holds this entry; StoreError where none does."""
        found = next((s for s in self.sheets() for e in s.entries if e.id == entry.id), None)
        if found is None:
            raise StoreError(
                f"{self.folder}: the entry of this release is gone, removed by another program; "
                "nothing was released"
            )
        return found

    def recognised(self, sheet: Sheet, hashes: Sequence[str]) -> Sheet:
        """``sheet`` with these contents, and with every dataset that has one of them merged in.

        Call it under the lock.
        """
        found = tuple(dict.fromkeys((*sheet.contents, *hashes)))
        return self._joined(replace(sheet, contents=found))

    def _joined(self, sheet: Sheet) -> Sheet:
        """With every dataset of the same place or contents: the two of a merge that was cut off."""
        for other in [one for one in self.sheets() if one.id != sheet.id]:
            if {*other.sources, *other.contents} & {*sheet.sources, *sheet.contents}:
                sheet = self._merge(other, sheet)
        return sheet

    def _merge(self, kept: Sheet, gone: Sheet) -> Sheet:
        both = merged(kept, gone)
        # A crash in between leaves an entry in both, which the next merge counts once.
        both.save(self.folder)
        (self.folder / f"{gone.id}.json").unlink(missing_ok=True)
        return both


@dataclass
class Reserved:
    """A release that is entered, and what becomes of it."""

    book: Book
    entry: Entry
    confirmed: bool = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While the data are only read: an error takes the entry back, for nothing is spent."""
        try:
            yield
        except BaseException:
            self._withdraw()
            raise

    def confirm(
        self, parts: Sequence[Part] | None, data: Sequence[LabeledDataset], *, whole: bool
    ) -> Sheet:
        """Hold it to what is known now that the data are read, before any noisy answer.

        parts: with units and events as they are. data: all parts that were read; together all
        records, where ``whole``. A copy of data that were spent before is recognised here, and has
        their budget. BudgetError, and the entry is taken back, where the release does not fit.
        """
        book = self.book
        with self.reading(), locked(book.folder):
            sheet = book.holder(self.entry)
            secret = key(book.folder, first=not any(s.contents for s in book.sheets()))
            hashes = content_hashes(secret, self.entry.source, data, whole=whole)
            sheet = book.recognised(sheet, hashes).without(self.entry.id)
            sheet.save(book.folder)
            self.entry = replace(self.entry, parts=None if parts is None else tuple(parts))
            _require(sheet, self.entry)
            sheet = replace(sheet, entries=(*sheet.entries, self.entry))
            sheet.save(book.folder)
        self.confirmed = True
        return sheet

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the private values are used: a failure is noted, and stays spent."""
        assert self.confirmed, "entered before private values are used"
        try:
            yield
        except BaseException:
            with suppress(StoreError):  # what went wrong first is what is to be said
                self._become("failed")
            raise

    def done(self) -> Sheet:
        """The release is written; the dataset as it stands."""
        return self._become("done")

    def _become(self, state: State) -> Sheet:
        with locked(self.book.folder):
            sheet = self.book.holder(self.entry)
            entries = (
                replace(one, state=state) if one.id == self.entry.id else one
                for one in sheet.entries
            )
            sheet = replace(sheet, entries=tuple(entries))
            sheet.save(self.book.folder)
        return sheet

    def _withdraw(self) -> None:
        with suppress(StoreError), locked(self.book.folder):
            for sheet in self.book.sheets():
                if all(one.id != self.entry.id for one in sheet.entries):
                    continue
                rest = sheet.without(self.entry.id)
                if rest.entries or rest.totals or rest.name:
                    rest.save(self.book.folder)
                else:
                    (self.book.folder / f"{sheet.id}.json").unlink(missing_ok=True)


def _require(sheet: Sheet, entry: Entry) -> None:
    total = sheet.total
    reason = None if total is None else refusal(total, sheet.entries, entry)
    if reason is not None:
        raise BudgetError(
            f"{sheet.title}: this release is refused: {reason} (`limbeck budget show`)"
        )


def _new(where: str) -> Sheet:
    return Sheet(secrets.token_hex(8), sources=(where,))


def _of_unit(part: Part, unit: Unit) -> Part:
    return replace(part, guarantee=replace(part.guarantee, unit=unit))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
