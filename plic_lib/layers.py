"""The building blocks of encoder and generator (paper, Figure 2).

GDN and the attention module come from CompressAI; here are the 5x5 convolutions
that halve the resolution, the deconvolutions that double it, with and without the
pooling of section 3.1, and the initialisation.
"""

import math

import torch
import torch.nn.functional as F
from compressai.layers import GDN, AttentionBlock
from torch import Tensor, nn

__all__ = ["GDN", "AttentionBlock", "PooledDeconvolution", "affine", "convolution", "deconvolution", "kaiming_", "phases"]


def convolution(inputs: int, outputs: int, kernel: int = 5, stride: int = 2) -> nn.Conv2d:
    """``Conv{outputs}-{kernel}x{kernel} s{stride}`` of the paper: (B, C, H, W) -> (B, C', H/s, W/s)."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)


class PooledDeconvolution(nn.Module):
    """Deconvolution and a 2x2 average at stride 1: doubles the resolution without a checkerboard.

    A stride-2 deconvolution answers a constant with values that alternate from pixel
    to pixel. The 2x2 box averages exactly one of each kind, so the alternation is gone
    (Sugawara et al. 2018; a 3x3 box would leave a third of it). The deconvolution is
    cut to 2n+1 pixels, so that the average over neighbours leaves 2n with no shift
    and no invented border. Paper, section 3.1, second item; low rates only.

    Input (B, C, H, W), output (B, C', 2H, 2W).
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.deconvolution = nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.deconvolution(x), 2, stride=1)


def deconvolution(inputs: int, outputs: int, pooled: bool = False) -> nn.Module:
    """``DeConv{outputs}-5x5 s2`` of the paper: (B, C, H, W) -> (B, C', 2H, 2W)."""
    if pooled:
        return PooledDeconvolution(inputs, outputs)
    return nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)


def phases(kernel: Tensor) -> Tensor:
    """A stride-2 deconvolution as a convolution that makes the 2x2 block of pixels around each input.

    Along one axis, output 2q sees inputs q-1, q, q+1 through the kernel's taps 4, 2, 0, and
    output 2q+1 through taps 5, 3, 1; tap 5 of a 5x5 kernel is zero.

    Args:
        kernel: (C, C', 6, 6), the weight of a ``ConvTranspose2d`` with padding 2.

    Returns:
        (4 C', C, 3, 3), the weight of a ``Conv2d`` with padding 1 to be followed by ``pixel_shuffle(2)``.
    """
    taps = torch.tensor([[4, 2, 0], [5, 3, 1]])
    blocks = kernel[:, :, taps[:, None, :, None], taps[None, :, None, :]]
    return blocks.permute(1, 2, 3, 0, 4, 5).flatten(0, 2)


def affine(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution or deconvolution that has both."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor) and isinstance(bias, Tensor)
    return weight, bias


def kaiming_(module: nn.Module) -> nn.Module:
    """Kaiming's normal initialisation of every (de)convolution inside ``module``; biases zero.

    An output pixel of a stride-s deconvolution sees only 1/s² of the kernel, so its
    fan-in is ``inputs * kernel² / s²`` (torch's own helper would take the outputs).
    Returns ``module``. Paper, section 3.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            fan_in = layer.in_channels * math.prod(layer.kernel_size)
            if isinstance(layer, nn.ConvTranspose2d):
                fan_in /= math.prod(layer.stride)
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_in))
            nn.init.zeros_(affine(layer)[1])
    return module
