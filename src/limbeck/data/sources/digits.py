"""The 1,797 handwritten 8x8 digits that come with scikit-learn: always there, no download."""

from pathlib import Path

import numpy as np

from limbeck.data.sources.arrays import from_arrays
from limbeck.data.sources.base import Parts, Request, Source, SourceStatus


class Digits(Source):
    """Optical recognition of handwritten digits [Alpaydin & Kaynak 1998]: (1797, 1, 8, 8)."""

    name = "digits"
    summary = "1,797 handwritten digits, 1x8x8, 10 classes (scikit-learn)"
    named = True

    def claims(self, path: Path) -> bool:
        return False

    def status(self, root: Path | None) -> SourceStatus:
        return SourceStatus(self.name, self.summary, True, "comes with scikit-learn")

    def read(self, path: Path | None, request: Request) -> Parts:
        from sklearn.datasets import load_digits

        found = load_digits()
        images = found.images.astype(np.uint8)  # 4-bit grey: 0 to 16
        return Parts(
            from_arrays(
                images,
                found.target,
                where=self.name,
                request=request,
                classes=tuple("0123456789"),
                top=16.0,
            ),
            mirror=False,
        )
