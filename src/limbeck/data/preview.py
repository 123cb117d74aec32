"""A picture of a synthetic set: one row per class, its first images from left to right."""

from io import BytesIO

import numpy as np
from PIL import Image

from limbeck.data.synthetic import SyntheticDataset

_TILE = 64  # pixels of a tile's longer side, at least: 8x8 digits stay visible
_GAP = 2
_MAX_ROWS = 100


def grid(synthetic: SyntheticDataset, columns: int = 10) -> Image.Image:
    """Up to ``columns`` images of each class (100 classes at most), enlarged by whole factors."""
    channels, height, width = synthetic.shape
    factor = max(1, -(-_TILE // max(height, width)))
    pixels = (synthetic.inputs.detach().cpu().clamp(0, 1) * 255).round().byte()
    if channels not in (1, 3):
        pixels = pixels[:, :1]
    tiles = pixels.permute(0, 2, 3, 1).numpy()
    tiles = tiles.repeat(factor, axis=1).repeat(factor, axis=2)
    labels = synthetic.labels.cpu().numpy()
    members = [np.flatnonzero(labels == c)[:columns] for c in range(len(synthetic.classes))]
    members = [m for m in members if len(m)][:_MAX_ROWS]
    step_y, step_x = height * factor + _GAP, width * factor + _GAP
    wide = max(map(len, members)) * step_x + _GAP
    canvas = np.full((len(members) * step_y + _GAP, wide, tiles.shape[3]), 255, np.uint8)
    for row, chosen in enumerate(members):
        for column, i in enumerate(chosen):
            y, x = _GAP + row * step_y, _GAP + column * step_x
            canvas[y : y + height * factor, x : x + width * factor] = tiles[i]
    return Image.fromarray(canvas[:, :, 0] if canvas.shape[2] == 1 else canvas)


def png(synthetic: SyntheticDataset, columns: int = 10) -> bytes:
    """The grid as the bytes of a PNG file."""
    buffer = BytesIO()
    grid(synthetic, columns).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
