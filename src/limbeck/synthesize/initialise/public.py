"""Start from public images: a second dataset, which holds nothing of the private one."""

from functools import lru_cache
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from limbeck.data import sources
from limbeck.data.sources.base import Records
from limbeck.errors import OptionError
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import DataFree
from limbeck.synthesize.initialise.foreign import deal, fit


@register(
    "public",
    kind="initialisation",
    summary="Random images of a second, public dataset",
    paper="limbeck; out-of-distribution images as a start",
    access="none",
    cost="as long as it takes to list the public data",
)
@options
class Public(DataFree):
    """Random records of the training part of ``source``, resized and recoloured as needed.

    Where every class of the private data is also a class of the public data, each class starts
    from images of its own name; otherwise labels are ignored. Records that are no images must
    have the shape of the private ones.

    That the data is public is your word: nothing of it may come from the people whose records
    are protected. Data that goes by the name of the private data is refused.

    source: a named source (cifar10), or a path that ``limbeck condense`` reads without further
    options (photos/, with one sub-folder per class).
    """

    source: str

    def check(self, form: Form, per_class: int) -> None:
        name, records = self._listed(form)
        if name == form.name:
            raise OptionError(
                f"{self._where}: the private data is called {name!r} too; start from other data, "
                "or give its folder or file another name if it is"
            )
        fit(_images(name, records, records.everything()[:1]), form, self._where)
        deal(records.labels, records.classes, form, per_class, 0, self._where)

    def draw(self, form: Form, per_class: int, seed: int) -> Float[Tensor, "images ..."]:
        name, records = self._listed(form)
        chosen = deal(records.labels, records.classes, form, per_class, seed, self._where)
        return fit(_images(name, records, chosen), form, self._where)

    @property
    def _where(self) -> str:
        return f"init public:{self.source}"

    def _listed(self, form: Form) -> tuple[str, Records]:
        path = Path(self.source).expanduser()
        changed = path.stat().st_mtime_ns if path.exists() else 0
        if not form.is_images:
            return _listing(self.source, changed, None, None)
        # One size for all first: files of a folder may differ in theirs.
        return _listing(self.source, changed, max(form.shape[1:]), form.shape[0])


def _images(name: str, records: Records, index: Tensor) -> Tensor:
    """The chosen records, checked as those of every dataset are."""
    return records.take(index, name, mirror=False).inputs


@lru_cache(maxsize=1)
def _listing(
    source: str,
    changed: int,  # noqa: ARG001 (tells a file or folder from what it was before)
    size: int | None,
    channels: int | None,
) -> tuple[str, Records]:
    """``listed``, but once for all runs."""
    return sources.listed(source, size=size, channels=channels)
