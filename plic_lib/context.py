"""Context and gather: the parameters of each latent from its decoded neighbours.

The context model is a 5x5 convolution that sees only what the decoder already has:
the rows above, and the cells to the left. Gather, a stack of 1x1 convolutions, joins
its output with the hyper-decoder's and gives the means and the two log-scales
(paper, Figure 2; Minnen et al. 2018).
"""

import functools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from compressai.ops import LowerBound
from torch import Tensor, nn

from plic_lib.asymmetric import SCALE_MAX, SCALE_MIN
from plic_lib.quantise import snap

#: The twelve cells before the centre of a 5x5 window in raster order, as (rows down, columns right).
TAPS = [(di, dj) for di in (-2, -1, 0) for dj in (-2, -1, 0, 1, 2) if (di, dj) < (0, 0)]

#: Slope of gather's LeakyReLU for negative inputs: Minnen's 0.01, as a power of two,
#: so that integer arithmetic applies it by a shift.
SLOPE = 1 / 128


class MaskedConvolution(nn.Conv2d):
    """5x5 convolution over the twelve cells that precede the centre (type A mask).

    Input (B, C, h, w), output (B, C', h, w). The mask multiplies the weight in the
    forward pass, so masked entries get no gradient; they are stored as zeros.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 5, padding=2)
        mask = torch.zeros(5, 5)
        for di, dj in TAPS:
            mask[2 + di, 2 + dj] = 1
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=2)  # pyright: ignore[reportOperatorIssue]

    def matrix(self) -> Tensor:
        """The weight as a matrix (C', 12 C) for the neighbours of one cell in the order of ``TAPS``."""
        di, dj = torch.tensor(TAPS).T
        return self.weight[:, :, 2 + di, 2 + dj].transpose(1, 2).flatten(1)


class Gather(nn.Module):
    """1x1 convolutions from 4M features to the parameters of M latents (Minnen et al. 2018).

    Args:
        M: channels of y.
        symmetric: one scale for both sides, which makes the entropy model the ordinary
            Gaussian: the twin that the asymmetric one is compared with.
    """

    def __init__(self, M: int, symmetric: bool = False):
        super().__init__()
        self.symmetric = symmetric
        self.layers = nn.Sequential(
            nn.Conv2d(M * 4, M * 10 // 3, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(M * 10 // 3, M * 8 // 3, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(M * 8 // 3, M * (2 if symmetric else 3), 1),
        )
        self.at_least_min = LowerBound(math.log(SCALE_MIN))
        self.at_least_minus_max = LowerBound(-math.log(SCALE_MAX))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, 4M, h, w) -> means on the 1/64 grid, scales_left, scales_right, each (B, M, h, w).

        The scales lie in 0.11 … 64. At a bound the gradient still passes where it
        points back inside; a plain clamp would leave such a latent stuck.
        """
        outputs = self.layers(features).chunk(2 if self.symmetric else 3, dim=1)
        scales = [torch.exp(-self.at_least_minus_max(-self.at_least_min(s))) for s in outputs[1:]]
        return snap(outputs[0]), scales[0], scales[-1]


def wavefront(height: int, width: int) -> list[Tensor]:
    """The cells that can be decoded together, step by step.

    A cell needs its row's left neighbours and, of the rows above, at most two cells to
    the right, so all cells with equal ``j + 3 i`` (row i, column j) are independent of each other, and
    everything they need has a smaller sum. A 32 x 48 grid takes 141 steps, not 1536.

    Returns:
        For each step the raster indices ``i * width + j`` of its cells, top to bottom.
    """
    i, j = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    step = (j + 3 * i).flatten()
    order = torch.argsort(step, stable=True)
    sizes = torch.bincount(step)
    return [cells for cells in order.split(sizes.tolist()) if len(cells)]


class Front(NamedTuple):
    """One step of the wavefront, as indices for a map with a border of zeros.

    The border has two rows above and two columns on either side, so each neighbour
    exists; rows of the bordered map are ``width + 4`` long.
    """

    cells: Tensor  #: (n,) raster indices in the map itself
    centres: Tensor  #: (n,) indices of the same cells in the bordered map
    neighbours: Tensor  #: (12 n,) indices of each cell's ``TAPS`` in the bordered map


@functools.lru_cache(maxsize=8)
def fronts(height: int, width: int, device: str | torch.device = "cpu") -> list[Front]:
    """``wavefront``, ready for gathering neighbours on a device."""
    stride = width + 4
    offsets = torch.tensor([di * stride + dj for di, dj in TAPS])
    steps = []
    for cells in wavefront(height, width):
        centres = (cells // width + 2) * stride + cells % width + 2
        steps.append(Front(*(index.to(device) for index in (cells, centres, (centres[:, None] + offsets).flatten()))))
    return steps
