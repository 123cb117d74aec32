"""The gallery: released images beside the private records that look most like them.

It shows private records as they are, and stays where they may be seen.
"""

import base64
from html import escape

import torch

from limbeck.audit.images.copying import Copying
from limbeck.audit.images.embedders import Labelled
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.report.picture import strip_png

MOST = 100
"""Released images that are shown, those first that come nearest to a private record."""

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Nearest private records</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem }}
td, th {{ padding: .3rem .8rem; text-align: left; vertical-align: middle }}
img {{ image-rendering: pixelated; display: block }}
</style>
<h1>Nearest private records: keep inside</h1>
<p>Each row is an image of {release}: beside it the {k} private records nearest to it ({measure}
distance), and the nearest of the control records, which nothing was made from. Copying shows where
the second column is far more alike than the third. It is a description and no verdict: sets without
any image like a private record leak membership as well. {lpips}</p>
<table><tr><th>released</th><th>nearest private</th><th>nearest control</th></tr>
{rows}
</table></html>
"""


def gallery(
    release: Labelled, private: LabeledDataset, control: LabeledDataset, seen: Copying
) -> str:
    """One self-contained HTML page of what ``copying`` saw under its first measure.

    release, private and control are those that were given to ``copying``. OptionError where
    records are no images.
    """
    if not private.is_images or private.shape[0] not in (1, 3):
        raise OptionError(
            f"{private.name} has records of shape {private.shape}, which no gallery can show; it "
            "needs images of 1 or 3 channels"
        )
    shown = seen.measured[0]
    rows = []
    for at in torch.as_tensor(shown.private - shown.control).argsort()[:MOST].tolist():
        own = torch.as_tensor(shown.nearest[at].copy())
        labels = [private.classes[int(label)] for label in private.labels[own]]
        rows.append(
            _row(
                _cell(release.inputs[[at]], release.classes[int(release.labels[at])]),
                _cell(private.inputs[own], f"{shown.private[at]:.4f}: {', '.join(labels)}"),
                _cell(control.inputs[[int(shown.nearest_control[at])]], f"{shown.control[at]:.4f}"),
            )
        )
    return _PAGE.format(
        release=escape(release.name),
        k=shown.nearest.shape[1],
        measure=escape(shown.measure),
        lpips="LPIPS was measured too." if seen.lpips is None else f"LPIPS was {seen.lpips}.",
        rows="\n".join(rows),
    )


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _cell(images: torch.Tensor, words: str) -> str:
    picture = base64.b64encode(strip_png(images)).decode()
    return f'<img alt="" src="data:image/png;base64,{picture}">{escape(words)}'
