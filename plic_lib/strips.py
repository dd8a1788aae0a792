"""Large pictures in strips, so that memory does not grow with the picture.

Encoder and generator are convolutional, so each output depends on a bounded
neighbourhood of inputs: six latent cells at most. A strip with a halo of eight cells
therefore gives the same values as the whole picture, and is cut to its own part.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm.auto import tqdm

from plic_lib.grid import CELL

HALO = 8  #: cells
#: pixels of a strip, halo apart
STRIP_PIXELS = 2**22


def in_strips(network: Callable[[Tensor], Tensor], x: Tensor, scale_in: int, scale_out: int) -> Tensor:
    """``network(x)``, evaluated in strips across the longer side.

    Args:
        network: maps (1, C, h * scale_in, w * scale_in) to (1, C', h * scale_out, w * scale_out).
        scale_in: samples of ``x`` a cell: 16 for a picture, 1 for latents.
        scale_out: the same of the result.
    """
    axis = 3 if x.shape[3] >= x.shape[2] else 2
    cells, across = x.shape[axis] // scale_in, x.shape[5 - axis] // scale_in
    length = max(HALO, STRIP_PIXELS // (across * CELL**2))
    if length + HALO >= cells:
        return network(x)
    parts = []
    for start in tqdm(range(0, cells, length), desc="strips", delay=2, leave=False):
        end = min(start + length, cells)
        first, last = max(0, start - HALO), min(cells, end + HALO)
        part = network(x.narrow(axis, first * scale_in, (last - first) * scale_in))
        parts.append(part.narrow(axis, (start - first) * scale_out, (end - start) * scale_out))
    return torch.cat(parts, dim=axis)
