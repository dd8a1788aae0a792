"""The training objective (paper, section 2.2). As ``plic_lib.training.losses``.

L = alpha * rate + lambda_1 * L1 + lambda_2 * LPIPS + lambda_3 * L_G, the rate in bits per pixel, L1 on 0-255.
"""

from typing import NamedTuple

from mindspore import Tensor, ops

from plic_mindspore.model import Output


class Terms(NamedTuple):
    """Five numbers, one a term: the losses of a step, or their weights."""

    rate: Tensor | float
    l1: Tensor | float
    lpips: Tensor | float
    gan: Tensor | float
    mse: Tensor | float = 0.0


def objective(weights: Terms, losses: Terms) -> Tensor:
    """The weighted sum. A term of weight zero need not have been computed: leave it 0."""
    return sum(weight * loss for weight, loss in zip(weights, losses))


def rate(output: Output) -> Tensor:
    """Estimated bits per pixel of a batch, y and z together."""
    batch, _, height, width = output.x_hat.shape
    return (output.y_bits.sum() + output.z_bits.sum()) / (batch * height * width)


def l1(x: Tensor, x_hat: Tensor) -> Tensor:
    """Mean absolute error in grey levels (pictures in [0, 1], result on 0-255)."""
    return 255 * ops.abs(x - x_hat).mean()


def mse(x: Tensor, x_hat: Tensor) -> Tensor:
    """Mean squared error in grey levels squared (pictures in [0, 1], result on 0-255²)."""
    return 255**2 * ((x - x_hat) ** 2).mean()
