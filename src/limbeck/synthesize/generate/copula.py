"""A Gaussian copula of each class: marginals of every pixel, correlations of all, from noisy sums.

Two releases. The first counts, for each class and pixel, the records in a few bins of brightness.
The second, made once the first is known, sums the products of normal scores: where a pixel's value
stands among its class, as a standard normal number. Samples are correlated normals, each turned
into the brightness that stands where it stands: outlines are crisp, since black is a value of its
own with its own chance.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from limbeck.privacy.budget import Budget
from limbeck.privacy.queries import Query
from limbeck.privacy.records import Bound
from limbeck.synthesize.form import Form

# Chosen on training records of Fashion-MNIST, like those of the ridge teacher.
MARGINALS = 0.2
"""Of the share for both releases, what the marginals get."""
EDGES = (0.0, 0.004, 1 / 7, 2 / 7, 3 / 7, 4 / 7, 5 / 7, 6 / 7, 1.0)
"""Bins of brightness; the first is black."""
DIRECTIONS = 196
"""Directions of normal scores whose correlations are released: the lowest frequencies."""
LONGEST = 0.72
"""Norm that a record's scores are cut to, times the root of the number of pixels."""
DOUBT = 2.5
"""Bins with fewer records than so many deviations of what noise is left are taken as empty."""
LOOSE = 0.05
"""Variance of each pixel's score that is its own; the released directions carry the rest."""
_BINS = len(EDGES) - 1


@dataclass(frozen=True, eq=False)
class Copula:
    """The model of each class's records, of shape ``shape``.

    chances: of each pixel's bins. factors: of the normal scores, one unit row a pixel; a row is 0
    where nothing rose above the noise, and such a pixel follows nobody.
    """

    chances: Float[Tensor, "classes pixels bins"]
    factors: Float[Tensor, "classes pixels r"]
    shape: tuple[int, ...]

    def draw(self, per_class: int, generator: torch.Generator) -> Float[Tensor, "n ..."]:
        """``per_class`` records of each class, class by class, values in [0, 1]."""
        edges = torch.tensor(EDGES)
        drawn = []
        for chances, factors in zip(self.chances, self.factors, strict=True):
            shared = factors @ torch.randn(factors.shape[1], per_class, generator=generator)
            own = torch.randn(len(factors), per_class, generator=generator)
            loose = (1 - (1 - LOOSE) * factors.square().sum(1, keepdim=True)).clamp(min=0).sqrt()
            place = torch.special.ndtr((1 - LOOSE) ** 0.5 * shared + loose * own)
            upto = chances.cumsum(1)
            # Chances add up to 1 but for rounding: no place lies beyond the last bin with one.
            k = torch.searchsorted(upto, place.minimum(upto[:, -1:]))
            within = (place - (upto - chances).gather(1, k)) / chances.gather(1, k).clamp(min=1e-6)
            low, high = edges[k], edges[k + 1]
            bright = torch.where(k == 0, 0.0, low + within.clamp(0, 1) * (high - low))
            drawn.append(bright.mT.reshape(per_class, *self.shape))
        return torch.cat(drawn)


def queries(share: float) -> tuple[Query, Query]:
    """The two sums that ``fit`` asks for."""
    return (
        Query("brightness of pixels by class", share * MARGINALS),
        Query("products of normal scores by class", share * (1 - MARGINALS), products=True),
    )


def fit(budget: Budget, form: Form, share: float, *, device: str = "cpu") -> Copula:
    """The copula that ``share`` of the budget buys, in two releases."""
    pixels, classes = math.prod(form.shape), len(form.classes)
    first, second = queries(share)
    counted = budget.release(
        first.name,
        lambda x, _: F.one_hot(bins(x), _BINS).flatten(1).float(),
        Bound.of(pixels**0.5),
        first.share,
        by_class=True,
        device=device,
    )
    counts = counted.values.reshape(classes, pixels, _BINS)
    chances = distributions(counts, counted.noise, form)
    table, basis = normal_scores(chances).to(device), frequencies(form).to(device)

    def latent(inputs: Tensor, labels: Tensor) -> Tensor:
        scores = table[labels].gather(2, bins(inputs)[..., None])[..., 0]
        found: Tensor = scores @ basis / (LONGEST * pixels**0.5)
        return found

    products = budget.products(
        second.name,
        latent,
        1.0,
        second.share,
        by_class=True,
        device=device,
    )
    sizes = counts.sum(2).mean(1).clamp(min=1)
    covariances = denoised(products.values, products.noise, sizes / sizes.sum())
    values, vectors = torch.linalg.eigh(covariances)
    factors = basis.cpu().double() @ (vectors * values.clamp(min=0).sqrt()[:, None])
    lengths = factors.norm(dim=2, keepdim=True)
    factors = torch.where(lengths > 1e-9, factors / lengths.clamp(min=1e-9), 0.0)
    return Copula(chances.float(), factors.float(), form.shape)


def bins(inputs: Float[Tensor, "n ..."]) -> Int64[Tensor, "n pixels"]:
    """The bin of every pixel's brightness."""
    inner = torch.tensor(EDGES[1:-1], device=inputs.device)
    return torch.bucketize(inputs.flatten(1), inner, right=True)


def distributions(
    counts: Float[Tensor, "classes pixels bins"], noise: float, form: Form
) -> Float[Tensor, "classes pixels bins"]:
    """Chances of the bins: noisy counts smoothed as far as their noise asks for, none negative.

    For images a Wiener filter over spatial frequencies, whose gains follow from the counts' power
    at each frequency, averaged over classes, channels and bins, and the noise's, which is known.
    """
    if noise > 0 and form.is_images:
        height, width = form.shape[1:]
        rows, columns = cosines(height).to(counts), cosines(width).to(counts)
        maps = counts.mT.reshape(-1, height, width)
        waves = rows @ maps @ columns.mT
        power = waves.square().mean(0)
        gain = ((power - noise**2) / power.clamp(min=1e-12)).clamp(min=0)
        smooth = rows.mT @ (waves * gain) @ columns
        counts = smooth.reshape(len(counts), _BINS, -1).mT
        noise = noise * float(gain.square().mean().sqrt())
    kept = torch.where(counts < DOUBT * noise, 0.0, counts.clamp(min=0))
    # A pixel of a class too small for any bin to stand out gets its fullest one.
    fullest = F.one_hot(counts.argmax(2), _BINS).to(counts)
    kept = torch.where(kept.sum(2, keepdim=True) > 0, kept, fullest)
    shares: Tensor = kept / kept.sum(2, keepdim=True)
    return shares


def normal_scores(
    chances: Float[Tensor, "classes pixels bins"],
) -> Float[Tensor, "classes pixels bins"]:
    """The normal score of each bin's middle rank."""
    middle = chances.cumsum(2) - chances / 2
    scores: Tensor = torch.special.ndtri(middle.clamp(1e-3, 1 - 1e-3)).float()
    return scores


def frequencies(form: Form) -> Float[Tensor, "pixels d"]:
    """Orthonormal directions of records: the lowest cosines of images, else the entries."""
    if not form.is_images:
        return torch.eye(math.prod(form.shape))[:, :DIRECTIONS]
    channels, height, width = form.shape
    side = max(1, int((DIRECTIONS / channels) ** 0.5))
    rows, columns = cosines(height)[:side], cosines(width)[:side]
    lowest: Tensor = torch.kron(torch.eye(channels), torch.kron(rows, columns)).mT.contiguous()
    return lowest


def cosines(size: int) -> Float[Tensor, "size size"]:
    """The orthonormal discrete cosine transform (DCT-II), one frequency a row."""
    k, x = torch.arange(size)[:, None], torch.arange(size)[None]
    rows: Tensor = (math.pi / size * (x + 0.5) * k).cos() * (2 / size) ** 0.5
    rows[0] /= 2**0.5
    return rows


def denoised(
    sums: Float[Tensor, "classes d d"], noise: float, shares: Float[Tensor, " classes"]
) -> Float[Tensor, "classes d d"]:
    """What rises above the noise of sums of products: that of all classes, and each one's own.

    shares: of the records that are in each class. The sum over classes is freed of noise first;
    what a class has beyond its share of that is freed of noise by itself.
    """
    classes, d = sums.shape[:2]
    # Entries above the diagonal have noise smaller by sqrt 2: a spectrum of radius s sqrt(2 d).
    unit = noise * (d / 2) ** 0.5
    common = above_noise(sums.sum(0), unit * classes**0.5)
    expected = shares[:, None, None].to(sums) * common
    freed: Tensor = expected + above_noise(sums - expected, unit)
    return freed


def above_noise(matrix: Float[Tensor, "*n d d"], unit: float) -> Float[Tensor, "*n d d"]:
    """Symmetric matrices with noise of spectral radius 2 ``unit`` taken out of their eigenvalues.

    An eigenvalue e above 2 u is the image of l = (e + sqrt(e^2 - 4 u^2)) / 2, and its direction
    holds a share of 1 - u^2 / l^2 of the true one's: l less u^2 / l is the best weight for it in
    Frobenius norm [Benaych-Georges and Nadakuditi 2011, arXiv:0910.2120; Gavish and Donoho 2017,
    arXiv:1405.7511]. Smaller ones cannot be told from noise, and become 0.
    """
    values, vectors = torch.linalg.eigh(matrix)
    size = values.abs()
    root = (size.square() - 4 * unit**2).clamp(min=0).sqrt()
    true = (size + root) / 2
    weight = torch.where(size > 2 * unit, true - unit**2 / true.clamp(min=1e-12), 0.0)
    kept: Tensor = (vectors * (weight * values.sign())[..., None, :]) @ vectors.mT
    return kept
