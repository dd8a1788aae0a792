"""The hyperprior: side information z that tells how large the latents are, and where. As ``plic_lib.hyperprior``."""

import math

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from plic_mindspore.layers import LowerBound, convolution, deconvolution
from plic_mindspore.quantise import snap


class HyperEncoder(nn.SequentialCell):
    """Gained latents (B, M, h, w) -> z of shape (B, N, h/4, w/4)."""

    def __init__(self, N: int, M: int):
        super().__init__(
            convolution(M, N, kernel=3, stride=1),
            nn.ReLU(),
            convolution(N, N),
            nn.ReLU(),
            convolution(N, N),
        )


class HyperDecoder(nn.SequentialCell):
    """z_hat (B, N, h/4, w/4) -> features for the gather network, (B, 2M, h, w)."""

    def __init__(self, N: int, M: int):
        super().__init__(
            deconvolution(N, M),
            nn.ReLU(),
            deconvolution(M, M * 3 // 2),
            nn.ReLU(),
            convolution(M * 3 // 2, M * 2, kernel=3, stride=1),
        )


class FactorisedPrior(nn.Cell):
    """CompressAI's factorised density of z (Ballé et al. 2018), one for each channel, with medians on the 1/64 grid.

    Its distribution function is the sigmoid of a small network that can only rise: ``matrices`` are
    made positive, ``factors`` bend, ``biases`` shift.
    """

    FILTERS = (1, 3, 3, 3, 3, 1)
    TAIL_MASS, INIT_SCALE = 1e-9, 10.0

    def __init__(self, channels: int, random: np.random.Generator):
        super().__init__()
        matrices, biases, factors = [], [], []
        scale = self.INIT_SCALE ** (1 / (len(self.FILTERS) - 1))
        parameter = lambda kind, value: Parameter(Tensor(value.astype(np.float32)), name=f"{kind[0]}.{len(kind[1])}")
        for inputs, outputs in zip(self.FILTERS, self.FILTERS[1:]):
            start = np.log(np.expm1(1 / scale / outputs))
            matrices.append(parameter(("matrices", matrices), np.full((channels, outputs, inputs), start)))
            biases.append(parameter(("biases", biases), random.uniform(-0.5, 0.5, (channels, outputs, 1))))
            factors.append(parameter(("factors", factors), np.zeros((channels, outputs, 1))))
        self.matrices, self.biases, self.factors = ParameterTuple(matrices), ParameterTuple(biases), ParameterTuple(factors[:-1])
        quantiles = np.array([-self.INIT_SCALE, 0, self.INIT_SCALE], np.float32)
        self.quantiles = Parameter(Tensor(np.tile(quantiles, (channels, 1, 1))), name="quantiles")
        top = math.log(2 / self.TAIL_MASS - 1)
        self.target = Tensor(np.array([-top, 0, top], np.float32))
        self.likelihood_bound = LowerBound(1e-9)

    @property
    def medians(self) -> Tensor:
        """(1, N, 1, 1), multiples of 1/64, without gradient."""
        return snap(ops.stop_gradient(self.quantiles)[:, 0, 1]).reshape(1, -1, 1, 1)

    def bits(self, z: Tensor) -> Tensor:
        """``-log2`` of the mass of the unit bin around each element of ``z``, (B, N, h, w)."""
        B, N, h, w = z.shape
        values = ops.transpose(z, (1, 0, 2, 3)).reshape(N, 1, -1)
        weights = self.matrices, self.biases, self.factors
        mass = ops.sigmoid(_logits(values + 0.5, *weights)) - ops.sigmoid(_logits(values - 0.5, *weights))
        mass = ops.transpose(self.likelihood_bound(mass).reshape(N, B, h, w), (1, 0, 2, 3))
        return -ops.log(mass) / math.log(2)

    def loss(self) -> Tensor:
        """The auxiliary loss that trains the medians and the tails of the coding tables, and nothing else."""
        weights = ([ops.stop_gradient(p) for p in kind] for kind in (self.matrices, self.biases, self.factors))
        return ops.abs(_logits(self.quantiles, *weights) - self.target).sum()


def _logits(values: Tensor, matrices, biases, factors) -> Tensor:
    """Logits of the distribution function at ``values`` (N, 1, n)."""
    for number, (matrix, bias) in enumerate(zip(matrices, biases)):
        values = ops.matmul(ops.softplus(matrix), values) + bias
        if number < len(factors):
            values = values + ops.tanh(factors[number]) * ops.tanh(values)
    return values
