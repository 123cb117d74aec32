"""The query views of a record: how an attacker shows it to the model, several times."""

from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class View:
    """A left-right flip and a shift by whole pixels; pixels shifted in are zero."""

    flip: bool = False
    down: int = 0
    right: int = 0

    @property
    def name(self) -> str:
        """A name for plans and reports."""
        flipped = "mirrored " if self.flip else ""
        return (
            f"{flipped}{self.down:+d},{self.right:+d}"
            if self.down or self.right
            else (flipped.strip() or "as it is")
        )

    def __call__(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """The records as this view shows them."""
        seen = inputs.flip(-1) if self.flip else inputs
        if not (self.down or self.right):
            return seen
        seen = torch.roll(seen, (self.down, self.right), (-2, -1))
        if self.down:
            seen[..., _entered(self.down), :] = 0
        if self.right:
            seen[..., _entered(self.right)] = 0
        return seen


def _entered(shift: int) -> slice:
    return slice(0, shift) if shift > 0 else slice(shift, None)


def choose(count: int, shape: tuple[int, ...], *, mirror: bool) -> tuple[View, ...]:
    """Up to ``count`` views: the record itself, its mirror image where allowed, then shifts.

    Shifts are an eighth of the side (4 pixels of 32, as Aerni et al. 2024, arXiv 2404.17399, use:
    their 18 views are all of these). Records that are not images have one view.
    """
    if len(shape) != 3:
        return (View(),)
    rows, columns = (max(1, side // 8) for side in shape[-2:])
    flips = (False, True) if mirror else (False,)
    shifts = sorted(product((0, -rows, rows), (0, -columns, columns)), key=lambda s: s != (0, 0))
    every = [View(flip, *shift) for shift in shifts for flip in flips]
    return tuple(every[:count])
