"""The hyperprior: side information z that tells how large the latents are, and where.

Hyper-encoder and hyper-decoder after Ballé et al. 2018 and Minnen et al. 2018, with
ReLU; z is coded with a fully factorised density (paper, section 2.1.2).
"""

import torch
from compressai.entropy_models import EntropyBottleneck
from torch import Tensor, nn

from plic_lib.layers import convolution, deconvolution
from plic_lib.quantise import snap


class HyperEncoder(nn.Sequential):
    """Gained latents (B, M, h, w) -> z of shape (B, N, h/4, w/4)."""

    def __init__(self, N: int, M: int):
        super().__init__(
            convolution(M, N, kernel=3, stride=1),
            nn.ReLU(),
            convolution(N, N),
            nn.ReLU(),
            convolution(N, N),
        )


class HyperDecoder(nn.Sequential):
    """z_hat (B, N, h/4, w/4) -> features for the gather network, (B, 2M, h, w)."""

    def __init__(self, N: int, M: int):
        super().__init__(
            deconvolution(N, M),
            nn.ReLU(),
            deconvolution(M, M * 3 // 2),
            nn.ReLU(),
            convolution(M * 3 // 2, M * 2, kernel=3, stride=1),
        )


class FactorisedPrior(EntropyBottleneck):
    """CompressAI's factorised density, with medians on the 1/64 grid.

    z_hat is ``round(z - median) + median`` of its channel. ``loss()``, inherited, is the
    auxiliary loss that trains the medians and the tails of the coding tables.
    """

    @property
    def medians(self) -> Tensor:
        """(1, N, 1, 1), multiples of 1/64, without gradient."""
        return snap(self.quantiles[:, 0, 1].detach()).reshape(1, -1, 1, 1)

    def bits(self, z: Tensor) -> Tensor:
        """``-log2`` of the mass of the unit bin around each element of ``z``, (B, N, h, w)."""
        values = z.transpose(0, 1).flatten(1).unsqueeze(1)
        likelihood = self.likelihood_lower_bound(self._likelihood(values)[0])
        likelihood = likelihood.reshape(z.shape[1], z.shape[0], *z.shape[2:]).transpose(0, 1)
        return -torch.log2(likelihood)
