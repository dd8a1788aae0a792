"""Context and gather: the parameters of each latent from its decoded neighbours. As ``plic_lib.context``."""

import math
from collections.abc import Iterator

import numpy as np
from mindspore import Tensor, nn, ops
from numpy import ndarray

from plic_lib.reference_decoder import TAPS
from plic_mindspore.asymmetric import SCALE_MAX, SCALE_MIN
from plic_mindspore.layers import LowerBound, convolution
from plic_mindspore.quantise import snap

SLOPE = 1 / 128  #: of gather's LeakyReLU for negative inputs


class MaskedConvolution(nn.Conv2d):
    """5x5 convolution over the twelve cells that precede the centre (type A mask), (B, C, h, w) -> (B, C', h, w)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 5, pad_mode="pad", padding=2, has_bias=True)
        mask = np.zeros((5, 5), np.float32)
        for dy, dx in TAPS:
            mask[2 + dy, 2 + dx] = 1
        self.mask = Tensor(mask)

    def construct(self, x: Tensor) -> Tensor:
        return ops.conv2d(x, self.weight * self.mask, self.bias, 1, "pad", 2)

    def matrix(self) -> ndarray:
        """The weight as a matrix (C', 12 C) for the neighbours of one cell in the order of ``TAPS``."""
        weight = self.weight.asnumpy()
        return np.stack([weight[:, :, 2 + dy, 2 + dx] for dy, dx in TAPS], axis=1).reshape(len(weight), -1)


class Gather(nn.Cell):
    """1x1 convolutions from 4M features to the parameters of M latents.

    Args:
        M: channels of y.
        symmetric: one scale for both sides.
    """

    def __init__(self, M: int, symmetric: bool = False):
        super().__init__()
        self.symmetric = symmetric
        self.layers = nn.SequentialCell(
            convolution(M * 4, M * 10 // 3, kernel=1, stride=1),
            nn.LeakyReLU(SLOPE),
            convolution(M * 10 // 3, M * 8 // 3, kernel=1, stride=1),
            nn.LeakyReLU(SLOPE),
            convolution(M * 8 // 3, M * (2 if symmetric else 3), kernel=1, stride=1),
        )
        self.at_least_min = LowerBound(math.log(SCALE_MIN))
        self.at_least_minus_max = LowerBound(-math.log(SCALE_MAX))

    def construct(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, 4M, h, w) -> means on the 1/64 grid, scales_left, scales_right, each (B, M, h, w)."""
        outputs = ops.chunk(self.layers(features), 2 if self.symmetric else 3, 1)
        scales = [ops.exp(-self.at_least_minus_max(-self.at_least_min(s))) for s in outputs[1:]]
        return snap(outputs[0]), scales[0], scales[-1]


def fronts(height: int, width: int) -> Iterator[tuple[ndarray, ndarray]]:
    """Rows and columns of the cells that can be decoded together, step by step: those with equal ``j + 3 i`` (row i, column j)."""
    for step in range(width + 3 * height - 3):
        rows = np.arange(max(0, (step - width + 3) // 3), min(height - 1, step // 3) + 1)
        yield rows, step - 3 * rows
