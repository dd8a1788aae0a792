"""The training objective (paper, section 2.2).

    L = alpha * rate + lambda_1 * L1 + lambda_2 * LPIPS + lambda_3 * L_G

The rate is in bits per pixel, L1 on the 0-255 scale: only there does the paper's
lambda_1 = 0.01 weigh about as much as LPIPS. L_G is ``discriminator.generator_loss``.
A model for distortion alone replaces L1 and LPIPS by the squared error, a fifth term
that the paper does not have.
"""

from typing import NamedTuple

from torch import Tensor

from plic_lib.model import Output


class Terms(NamedTuple):
    """Five numbers, one a term: the losses of a step, or their weights."""

    rate: Tensor | float  #: weight: alpha
    l1: Tensor | float  #: weight: lambda_1, 0.01 in the paper, 0.04 at low rates
    lpips: Tensor | float  #: weight: lambda_2, 1 in the paper
    gan: Tensor | float  #: weight: lambda_3, 5e-4 in the paper
    mse: Tensor | float = 0.0  #: weight: 0 in the paper


def objective(weights: Terms, losses: Terms) -> Tensor:
    """The weighted sum. A term of weight zero need not have been computed: leave it 0."""
    return sum(weight * loss for weight, loss in zip(weights, losses))  # pyright: ignore[reportReturnType]


def rate(output: Output) -> Tensor:
    """Estimated bits per pixel of a batch, y and z together."""
    batch, _, height, width = output.x_hat.shape
    return (output.y_bits.sum() + output.z_bits.sum()) / (batch * height * width)


def l1(x: Tensor, x_hat: Tensor) -> Tensor:
    """Mean absolute error in grey levels (pictures in [0, 1], result on 0-255)."""
    return 255 * (x - x_hat).abs().mean()


def mse(x: Tensor, x_hat: Tensor) -> Tensor:
    """Mean squared error in grey levels squared (pictures in [0, 1], result on 0-255²)."""
    return 255**2 * ((x - x_hat) ** 2).mean()
