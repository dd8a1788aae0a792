"""The building blocks of encoder and generator. As ``plic_lib.layers``, with CompressAI's GDN and attention.

Attributes are named as there, so that a parameter has the name that its weights have in a checkpoint.
"""

import math

import numpy as np
from mindspore import Parameter, Tensor, nn, ops


class LowerBound(nn.Cell):
    """``max(x, bound)``; at the bound the gradient still passes where it points back inside."""

    def __init__(self, bound: float):
        super().__init__()
        self.bound = bound

    def construct(self, x: Tensor) -> Tensor:
        return ops.clamp(x, min=self.bound)

    def bprop(self, x: Tensor, out: Tensor, gradient: Tensor) -> tuple[Tensor]:
        """What MindSpore calls for the gradient of ``construct``."""
        return (ops.where(ops.logical_or(x >= self.bound, gradient < 0), gradient, ops.zeros_like(gradient)),)


class GDN(nn.Cell):
    """Generalised divisive normalisation (Ballé et al. 2016), (B, C, h, w) -> the same: ``x / sqrt(beta + gamma x²)``.

    Args:
        inverse: multiply by the root instead.
    """

    PEDESTAL = 2.0**-36

    def __init__(self, channels: int, inverse: bool = False):
        super().__init__()
        self.inverse = inverse
        self.beta = Parameter(Tensor(np.sqrt(np.ones(channels, np.float32) + np.float32(self.PEDESTAL))), name="beta")
        self.gamma = Parameter(Tensor(np.sqrt(0.1 * np.eye(channels, dtype=np.float32) + np.float32(self.PEDESTAL))), name="gamma")
        # what is trained are roots, so that their squares are never negative
        self.beta_bound = LowerBound(math.sqrt(1e-6 + self.PEDESTAL))
        self.gamma_bound = LowerBound(math.sqrt(self.PEDESTAL))

    def construct(self, x: Tensor) -> Tensor:
        beta = self.beta_bound(self.beta) ** 2 - self.PEDESTAL
        gamma = self.gamma_bound(self.gamma) ** 2 - self.PEDESTAL
        norm = ops.conv2d(x * x, gamma.reshape(*gamma.shape, 1, 1), beta)
        return x * (ops.sqrt(norm) if self.inverse else ops.rsqrt(norm))


class ResidualUnit(nn.Cell):
    """``relu(x + f(x))``, f a bottleneck of three convolutions."""

    def __init__(self, N: int):
        super().__init__()
        self.conv = nn.SequentialCell(
            convolution(N, N // 2, kernel=1, stride=1),
            nn.ReLU(),
            convolution(N // 2, N // 2, kernel=3, stride=1),
            nn.ReLU(),
            convolution(N // 2, N, kernel=1, stride=1),
        )

    def construct(self, x: Tensor) -> Tensor:
        return ops.relu(x + self.conv(x))


class AttentionBlock(nn.Cell):
    """Cheng et al. 2020, simplified: ``x + a(x) * sigmoid(b(x))``, (B, N, h, w) -> the same."""

    def __init__(self, N: int):
        super().__init__()
        self.conv_a = nn.SequentialCell(*(ResidualUnit(N) for _ in range(3)))
        self.conv_b = nn.SequentialCell(*(ResidualUnit(N) for _ in range(3)), convolution(N, N, kernel=1, stride=1))

    def construct(self, x: Tensor) -> Tensor:
        return x + self.conv_a(x) * ops.sigmoid(self.conv_b(x))


def convolution(inputs: int, outputs: int, kernel: int = 5, stride: int = 2) -> nn.Conv2d:
    """``Conv{outputs}-{kernel}x{kernel} s{stride}`` of the paper: (B, C, H, W) -> (B, C', H/s, W/s)."""
    return nn.Conv2d(inputs, outputs, kernel, stride, pad_mode="pad", padding=kernel // 2, has_bias=True)


class PooledDeconvolution(nn.Cell):
    """Deconvolution and a 2x2 average at stride 1: doubles the resolution without a checkerboard (paper, section 3.1)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.deconvolution = nn.Conv2dTranspose(inputs, outputs, 5, stride=2, pad_mode="pad", padding=1, has_bias=True)

    def construct(self, x: Tensor) -> Tensor:
        return ops.avg_pool2d(self.deconvolution(x), 2, stride=1)


def deconvolution(inputs: int, outputs: int, pooled: bool = False) -> nn.Cell:
    """``DeConv{outputs}-5x5 s2`` of the paper: (B, C, H, W) -> (B, C', 2H, 2W).

    torch's ``padding=2, output_padding=1``: two rows are cut off at the top, and one at the bottom. ``pad_mode="same"``
    has the same size and cuts one at the top: every picture moves by a pixel.
    """
    if pooled:
        return PooledDeconvolution(inputs, outputs)
    return nn.Conv2dTranspose(inputs, outputs, 5, stride=2, pad_mode="pad", padding=(2, 1, 2, 1), has_bias=True)


def kaiming_(network: nn.Cell, random: np.random.Generator) -> nn.Cell:
    """Kaiming's normal initialisation of every (de)convolution inside ``network``; biases zero. Returns it."""
    for _, layer in network.cells_and_names():
        if isinstance(layer, (nn.Conv2d, nn.Conv2dTranspose)):
            fan_in = layer.in_channels * math.prod(layer.kernel_size)
            if isinstance(layer, nn.Conv2dTranspose):
                fan_in /= math.prod(layer.stride)  # an output pixel sees so much less of the kernel
            layer.weight.set_data(Tensor(random.normal(0, math.sqrt(2 / fan_in), layer.weight.shape).astype(np.float32)))
            layer.bias.set_data(ops.zeros_like(layer.bias))
    return network
