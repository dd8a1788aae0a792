"""Encoder and generator as they run on a CPU: the values of ``plic_lib.layers`` within rounding, in less than half the time.

One core spends most of a picture's time on moving activations. So each layer gets a form
that moves fewer of them:

- maps lie in memory pixel by pixel (``channels_last``), so a layer that looks at one pixel
  at a time is a product of the matrix (pixels, channels);
- what can be changed where it stands is changed there, and sums are added to by the product;
- GDN goes through its map in pieces that stay in the processor's cache;
- a deconvolution to few channels, which the CPU computes badly, becomes a convolution to
  the four pixels that come of each;
- whatever depends on the weights alone is computed once.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plic_lib.layers import GDN, AttentionBlock, PooledDeconvolution, affine, phases

#: Values of a piece of GDN's map: two of these and gamma fit into a core's second-level cache.
PIECE = 2**17
#: Deconvolutions to fewer channels than a vector register holds are computed by phases.
FEW = 16


def prepare(network: nn.Sequential, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A copy of an encoder or a generator for inference; maps float32 to float32 as ``network`` does.

    On other devices than the CPU the layers stay as they are.

    Args:
        dtype: of weights and activations. ``torch.bfloat16`` halves the time again where the
            processor multiplies it (see ``fast_type``); it has three digits.
    """
    on_cpu = next(network.parameters()).device.type == "cpu"
    layers = [_FORMS.get(type(layer), copy.deepcopy)(layer) if on_cpu else copy.deepcopy(layer) for layer in network]
    prepared = Prepared(*layers).to(dtype=dtype)
    return prepared.to(memory_format=torch.channels_last).requires_grad_(False)  # pyright: ignore[reportCallIssue]


def fast_type(device: str | torch.device = "cpu") -> torch.dtype:
    """bfloat16 where the device multiplies it, else float32."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    known = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
    return torch.bfloat16 if any(there and "bf16" in name for name, there in known.items()) else torch.float32


class Prepared(nn.Sequential):
    """Layers that compute in the type of their weights."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        dtype = next(self.parameters()).dtype
        return super().forward(x.to(dtype, memory_format=torch.channels_last)).float()


def rows(x: Tensor) -> Tensor:
    """(B, C, h, w) as the matrix (B h w, C); the same memory if it is ``channels_last``."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


class InPlaceGDN(nn.Module):
    """GDN or its inverse, written over its input."""

    def __init__(self, layer: GDN):
        super().__init__()
        self.beta = nn.Parameter(layer.beta_reparam(layer.beta).detach())
        self.gamma = nn.Parameter(layer.gamma_reparam(layer.gamma).detach().T.contiguous())
        self.inverse = layer.inverse

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        for piece in rows(x).split(max(1, PIECE // x.shape[1])):
            norms = torch.addmm(self.beta, piece.square(), self.gamma)
            piece.mul_(norms.sqrt_() if self.inverse else norms.rsqrt_())
        return x


class Attention(nn.Module):
    """CompressAI's ``AttentionBlock``: x + trunk(x) * sigmoid(mask(x))."""

    def __init__(self, layer: AttentionBlock):
        super().__init__()
        self.trunk, self.mask = (
            nn.ModuleList([copy.deepcopy(unit.get_submodule("conv")) for unit in units]) for units in (layer.conv_a, layer.conv_b[:-1])
        )
        self.last = copy.deepcopy(layer.conv_b[-1])

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        trunk, mask = self._units(self.trunk, x), self._units(self.mask, x)
        weight, bias = affine(self.last)
        mask = F.linear(rows(mask), weight.flatten(1), bias).sigmoid_()
        rows(trunk).mul_(mask).add_(rows(x))
        return trunk

    def _units(self, units: nn.ModuleList, x: Tensor) -> Tensor:
        """Residual units, x + 1x1 (3x3 (1x1 (x))) each; the first makes the copy that the others add to."""
        y = x
        for unit in units:
            narrow, middle, wide = (unit.get_submodule(place) for place in ("0", "2", "4"))
            weight, bias = affine(narrow)
            inner = F.linear(rows(y), weight.flatten(1), bias).relu_()
            inner = inner.reshape(x.shape[0], *x.shape[2:], -1).permute(0, 3, 1, 2)
            inner = rows(middle(inner).relu_())
            if y is x:
                y = x.clone(memory_format=torch.channels_last)
            weight, bias = affine(wide)
            rows(y).addmm_(inner, weight.flatten(1).T).add_(bias).relu_()
        return y


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
