"""The two directions of diffusion, by ``diffusers``: noise onto images, and images out of noise."""

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from jaxtyping import Float, Int64
from torch import Tensor

from limbeck.nn.denoiser import Denoiser

TIMES = 1000  # of the whole process, T in the papers; counted from 0 by diffusers
_FIRST, _LAST = 1e-4, 0.02  # beta, which rises linearly (Ho et al. 2020, section 4)


def forwards() -> DDPMScheduler:
    """The process that trains: ``add_noise`` takes images to sqrt(a_t) x + sqrt(1 - a_t) e."""
    return DDPMScheduler(num_train_timesteps=TIMES, beta_start=_FIRST, beta_end=_LAST)


def backwards(jumps: int, strength: float) -> DDIMScheduler:
    """The way back from ``strength`` of the times, in that share of ``jumps`` that go all the way.

    The process is the first part of the whole one and a process of its own, so that all jumps are
    equally long and the first begins where it ends. (``diffusers`` takes each jump to be as long as
    the division of times by jumps, rounded down.) So that they are, there may be some more of
    them, and less than one of them may be missing.
    """
    most = max(1, round(TIMES * strength))
    gap = max(1, most // max(1, round(jumps * strength)))
    steps = most // gap
    last = _FIRST + (_LAST - _FIRST) * (steps * gap - 1) / (TIMES - 1)
    process = DDIMScheduler(
        num_train_timesteps=steps * gap,
        beta_start=_FIRST,
        beta_end=last,
        timestep_spacing="trailing",
    )
    process.set_timesteps(steps)
    return process


@torch.no_grad()
def denoised(
    noise: Denoiser,
    process: DDIMScheduler,
    images: Float[Tensor, "n c h w"],
    known: Int64[Tensor, " n"],
) -> Float[Tensor, "n c h w"]:
    """Images of the process's last time taken to none, without noise of its own (eta = 0)."""
    for time in process.timesteps.tolist():
        found = noise(images, torch.full_like(known, time), known)
        # The record is cut to its range at each step; the noise is then what that leaves.
        step = process.step(found, time, images, use_clipped_model_output=True)
        images = step.prev_sample
    return images
