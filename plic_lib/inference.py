"""Encoder and generator as they run on a CPU: the values of ``plic_lib.layers`` within rounding, with less work.

The generator takes half the time so, the encoder three quarters, and both a third of the memory.

One core spends most of a picture's time on moving activations. So each layer gets a form
that moves fewer of them:

- maps lie in memory pixel by pixel (``channels_last``), so a layer that looks at one pixel
  at a time is a product of the matrix (pixels, channels);
- what can be changed where it stands is changed there, and sums are added to by the product;
- steps that follow each other at a pixel do so piece by piece, and a piece stays in the
  processor's cache;
- a deconvolution to few channels, which the CPU computes badly, becomes a convolution to
  the four pixels that come of each;
- whatever depends on the weights alone is computed once.
"""

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plic_lib.layers import GDN, AttentionBlock, PooledDeconvolution, affine, phases

#: Values of a piece of a map: some of these and a layer's matrix fit into a core's second-level cache.
PIECE = 2**18
#: Deconvolutions to fewer channels than a vector register holds are computed by phases.
FEW = 16


def prepare(network: nn.Sequential, dtype: torch.dtype = torch.float32, exact: int = 0) -> nn.Module:
    """A copy of an encoder or a generator for inference; maps float32 to float32 as ``network`` does.

    On other devices than the CPU the layers stay as they are.

    Args:
        dtype: of weights and activations. ``torch.bfloat16`` halves the time again where the
            processor multiplies it (see ``fast_type``); it has three digits.
        exact: so many of the first layers compute in float32 nevertheless.
    """
    on_cpu = next(network.parameters()).device.type == "cpu"
    layers = [_FORMS.get(type(layer), copy.deepcopy)(layer) if on_cpu else copy.deepcopy(layer) for layer in network]
    types = [torch.float32] * exact + [dtype] * (len(layers) - exact)
    prepared = Prepared(*(layer.to(dtype=own) for layer, own in zip(layers, types))).requires_grad_(False)
    if on_cpu:
        prepared.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return prepared


def fast_type(device: str | torch.device = "cpu") -> torch.dtype:
    """bfloat16 where the device multiplies it, else float32."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    known = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
    return torch.bfloat16 if any(there and "bf16" in name for name, there in known.items()) else torch.float32


class Prepared(nn.Sequential):
    """Layers that compute each in the type of its weights."""

    def forward(self, input: Tensor) -> Tensor:
        x = input
        for layer in self:
            x = layer(x.to(next(layer.parameters()).dtype))
        return x.float()


def rows(x: Tensor) -> Tensor:
    """(B, C, h, w) as the matrix (B h w, C); the same memory if it is ``channels_last``."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def pieces(*maps: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The rows of some maps of equal size together, as many at a time as stay in the processor's cache."""
    return zip(*(rows(x).split(max(1, PIECE // maps[0].shape[1])) for x in maps))


class InPlaceGDN(nn.Module):
    """GDN or its inverse, written over its input."""

    def __init__(self, layer: GDN):
        super().__init__()
        self.beta = nn.Parameter(layer.beta_reparam(layer.beta).detach())
        self.gamma = nn.Parameter(layer.gamma_reparam(layer.gamma).detach().T.contiguous())
        self.inverse = layer.inverse

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        for (piece,) in pieces(x):
            norms = torch.mm(piece.square(), self.gamma).add_(self.beta).sqrt_()
            _ = piece.mul_(norms) if self.inverse else piece.div_(norms)
        return x


class Pointwise(nn.Module):
    """A 1x1 convolution as a matrix (inputs, outputs)."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        weight, bias = affine(layer)
        self.matrix, self.bias = nn.Parameter(weight.flatten(1).T.contiguous()), nn.Parameter(bias.detach().clone())


class ResidualUnit(nn.Module):
    """``relu(x + 1x1(relu(3x3(relu(1x1(x))))))``, written over its input."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        narrow, middle, wide = (layer.get_submodule(f"conv.{place}") for place in (0, 2, 4))
        self.narrow, self.middle, self.wide = Pointwise(narrow), copy.deepcopy(middle), Pointwise(wide)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.empty_like(x[:, : len(self.narrow.bias)], memory_format=torch.channels_last)
        for piece, out in pieces(x, inner):
            torch.mm(piece, self.narrow.matrix, out=out).add_(self.narrow.bias).relu_()
        for piece, addend in pieces(x, self.middle(inner)):
            piece.addmm_(addend.relu_(), self.wide.matrix).add_(self.wide.bias).relu_()
        return x


class Attention(nn.Module):
    """``AttentionBlock``: x + trunk(x) * sigmoid(mask(x)), of residual units both."""

    def __init__(self, layer: AttentionBlock):
        super().__init__()
        self.trunk = nn.Sequential(*map(ResidualUnit, layer.conv_a))
        self.mask = nn.Sequential(*map(ResidualUnit, layer.conv_b[:-1]))
        self.last = Pointwise(layer.conv_b[-1])

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        trunk, mask = self.trunk(x.clone()), self.mask(x.clone())
        for out, gate, piece in pieces(trunk, mask, x):
            gate = torch.mm(gate, self.last.matrix).add_(self.last.bias).sigmoid_()
            out.mul_(gate).add_(piece)
        return trunk


class Phases(nn.Module):
    """A deconvolution to few channels, as a convolution to the four pixels that come of each."""

    def __init__(self, layer: nn.ConvTranspose2d):
        super().__init__()
        self.weight, self.bias = nn.Parameter(phases(_six_taps(layer.weight))), nn.Parameter(affine(layer)[1].repeat_interleave(4))

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        blocks = F.conv2d(x, self.weight, self.bias, padding=1).permute(0, 2, 3, 1)
        blocks = blocks.reshape(batch, height, width, -1, 2, 2).permute(0, 3, 1, 4, 2, 5)
        return blocks.reshape(batch, -1, 2 * height, 2 * width)  # pixel_shuffle, but twice as fast from channels_last


def _six_taps(kernel: Tensor) -> Tensor:
    return F.pad(kernel, (0, 6 - kernel.shape[2], 0, 6 - kernel.shape[3]))


def _deconvolution(layer: nn.ConvTranspose2d) -> nn.Module:
    return Phases(layer) if layer.out_channels < FEW else copy.deepcopy(layer)


def _pooled(layer: PooledDeconvolution) -> nn.Module:
    """The average of four neighbours, folded into the kernel: 6x6 in place of 5x5."""
    plain = layer.deconvolution
    one = nn.ConvTranspose2d(plain.in_channels, plain.out_channels, 6, stride=2, padding=2)
    one.weight = nn.Parameter(F.avg_pool2d(F.pad(plain.weight, (1, 1, 1, 1)), 2, stride=1))
    one.bias = copy.deepcopy(plain.bias)
    return _deconvolution(one)


_FORMS = {GDN: InPlaceGDN, AttentionBlock: Attention, nn.ConvTranspose2d: _deconvolution, PooledDeconvolution: _pooled}
