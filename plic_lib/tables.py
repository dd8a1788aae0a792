"""Coding tables: from the two scales of a latent to the frequencies that rANS uses.

A residual r of a latent, an asymmetric Gaussian integer, is split without loss into::

    is it zero?          probability depends on both scales
    which side?          probability depends on both scales
    how large is |r|?    given the side, depends on that side's scale alone

so three small sets of one-dimensional tables replace one table for each pair of
scales. Scales come as indices on a log grid of ``SCALES`` values. The tables are made
once, in float64, and travel inside the checkpoint: nothing about them is computed
where a file is decoded.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from compressai._CXX import pmf_to_quantized_cdf
from torch import Tensor

from plic_lib.asymmetric import SCALE_MIN, survival
from plic_lib.hyperprior import FactorisedPrior
from plic_lib.quantise import GRID

PRECISION = 16  #: frequencies add up to 2**16
SCALES = 128  #: values of a scale, log-spaced from 0.11 to 64
#: ln 0.11, and the step of the log grid, ln(64 / 0.11) / 127. Written out, because integers of every model follow from
#: them (``integer._heads``), and not all systems compute a logarithm to the same last bit.
LOG_SCALE_MIN, LOG_SCALE_STEP = float.fromhex("-0x1.1a87fbfeb72dfp+1"), float.fromhex("0x1.9aa46ac8a79d7p-5")
ZERO_CLASSES, SIDE_CLASSES, MAGNITUDE_CLASSES = 96, 33, 64
TAIL = 2.0**-15  #: mass beyond the last magnitude of a table, coded by the escape symbol


@dataclass(frozen=True)
class Tables:
    """All integers. A cdf row is ``[0, ..., 2**16]``, padded with zeros behind its length;
    its last symbol is the coder's escape."""

    zero_class: Tensor  #: (128, 128) uint8: class of the zero flag for (left, right) scale index
    zero_cdf: Tensor  #: (96, 4) int32: symbols r == 0, r != 0, escape (never used)
    side_class: Tensor  #: (128, 128) uint8
    side_cdf: Tensor  #: (33, 4) int32: symbols r < 0, r > 0, escape (never used)
    magnitude_class: Tensor  #: (128,) uint8: class for the scale index of r's side
    magnitude_cdf: Tensor  #: (64, L) int32: symbols abs(r) - 1 = 0, 1, ..., escape
    magnitude_length: Tensor  #: (64,) int32
    z_cdf: Tensor  #: (N, L) int32
    z_length: Tensor  #: (N,) int32
    z_offset: Tensor  #: (N,) int32: the symbol of the first frequency
    z_median: Tensor  #: (N,) int32, in units of 1/64

    def __post_init__(self):
        """Raises ValueError for tables that the coder, which trusts them, must not see."""
        for name, tensor in self.tensors().items():
            if tensor.dtype != (kind := torch.uint8 if name.endswith("_class") else torch.int32):
                raise ValueError(f"{name} holds {tensor.dtype} in place of {kind}")
        lengths = {"magnitude": self.magnitude_length, "z": self.z_length}
        for name, shape in {"zero": (SCALES, SCALES), "side": (SCALES, SCALES), "magnitude": (SCALES,), "z": None}.items():
            cdf = getattr(self, f"{name}_cdf")
            length = lengths.get(name, torch.full((len(cdf),), cdf.shape[1]))
            if not _are_frequencies(cdf, length):
                raise ValueError(f"the tables {name}_cdf are no frequencies that add up to 2^{PRECISION}")
            if shape and (getattr(self, f"{name}_class").shape != shape or getattr(self, f"{name}_class").max() >= len(cdf)):
                raise ValueError(f"{name}_class does not fit its tables")
        if not self.z_length.shape == self.z_offset.shape == self.z_median.shape:
            raise ValueError("the tables of z do not fit its channels")

    def tensors(self) -> dict[str, Tensor]:
        """All fields by name, as a checkpoint stores them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def scale_grid() -> Tensor:
    """The 128 scales, float64."""
    return SCALE_MIN * torch.exp(LOG_SCALE_STEP * torch.arange(SCALES, dtype=torch.float64))


def build(prior: FactorisedPrior, survival: Callable[..., Tensor] = survival) -> Tables:
    """Tables for y, the same for every model of one density, and for the z of this model's prior.

    Args:
        survival: of one half of the density of y, as ``asymmetric.survival``.
    """
    scales = scale_grid()
    # mass of one side beyond the zero bin, before normalisation by the sum of the scales
    outside = scales * survival(0.5, scales)
    inside = scales - outside
    p_zero = (inside[:, None] + inside) / (scales[:, None] + scales)
    p_right = outside[None, :] / (outside[:, None] + outside)

    zero_logits = torch.linspace(float(torch.logit(p_zero.min())), float(torch.logit(p_zero.max())), ZERO_CLASSES, dtype=torch.float64)
    # fine around one half, where the two sides usually are; the middle class is exactly one half
    side_logits = torch.sinh(torch.linspace(-math.asinh(8), math.asinh(8), SIDE_CLASSES, dtype=torch.float64))
    side_logits[SIDE_CLASSES // 2] = 0

    magnitude_class = torch.arange(SCALES) * MAGNITUDE_CLASSES // SCALES
    rows = [_magnitude_cdf(scales[magnitude_class == c].log().mean().exp(), survival) for c in range(MAGNITUDE_CLASSES)]
    return Tables(
        zero_class=_nearest(torch.logit(p_zero), zero_logits),
        zero_cdf=_flag_cdf(torch.sigmoid(zero_logits)),
        side_class=_nearest(torch.logit(p_right), side_logits),
        side_cdf=_flag_cdf(torch.sigmoid(-side_logits)),
        magnitude_class=magnitude_class.to(torch.uint8),
        magnitude_cdf=_padded(rows),
        magnitude_length=torch.tensor([len(row) for row in rows], dtype=torch.int32),
        **_z_tables(prior),
    )


def _are_frequencies(cdf: Tensor, length: Tensor) -> bool:
    """Whether each row rises from 0 to 2^16 within its length."""
    if length.shape != cdf.shape[:1] or not (2 <= int(length.min()) and int(length.max()) <= cdf.shape[1]):
        return False
    last = cdf.gather(1, length[:, None].long() - 1)
    rising = (cdf.diff(dim=1) > 0) | (torch.arange(1, cdf.shape[1]) >= length[:, None])
    return bool((cdf[:, 0] == 0).all() and (last == 2**PRECISION).all() and rising.all())


def _nearest(values: Tensor, centres: Tensor) -> Tensor:
    """Index of the nearest centre (ascending) for each value, uint8."""
    return torch.bucketize(values, (centres[1:] + centres[:-1]) / 2).to(torch.uint8)


def _flag_cdf(p_first: Tensor) -> Tensor:
    """Rows [0, f, 2^16 - 1, 2^16] of a two-valued symbol; one count is left to the escape."""
    total = 2**PRECISION
    first = (p_first * (total - 1)).round().clamp(1, total - 2)
    row = [torch.zeros_like(first), first, torch.full_like(first, total - 1), torch.full_like(first, total)]
    return torch.stack(row, dim=1).to(torch.int32)


def _magnitude_cdf(scale: Tensor, survival: Callable[..., Tensor]) -> list[int]:
    """Frequencies of abs(r) = 1, 2, ... of one half of the density, until only ``TAIL`` is left."""
    edges = survival((torch.arange(1, 20 * int(scale + 1)) - 0.5).double(), scale)
    edges = edges / edges[0]
    edges = edges[: max(2, int((edges > TAIL).sum()) + 1)]
    return list(pmf_to_quantized_cdf((edges[:-1] - edges[1:]).tolist() + [float(edges[-1])], PRECISION))


def _z_tables(prior: FactorisedPrior) -> dict[str, Tensor]:
    """CompressAI's tables of the factorised prior, about medians on the 1/64 grid."""
    prior = copy.deepcopy(prior).cpu()
    medians = prior.medians.flatten()
    with torch.no_grad():
        prior._update_quantiles()  # exact tails by bisection: the auxiliary loss may not have converged
        prior.quantiles[:, 0, 1] = medians
        prior.update(force=True)
    return {
        "z_cdf": prior._quantized_cdf.clone(),
        "z_length": prior._cdf_length.clone(),
        "z_offset": prior._offset.clone(),
        "z_median": (medians * GRID).round().to(torch.int32),
    }


def _padded(rows: list[list[int]]) -> Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.int32)
