"""Gain units: one model, any rate (paper, section 2.1.3; Cui et al. 2021).

Before rounding, channel c of the latent y is multiplied by a gain m_c; after decoding,
y_hat is multiplied by an inverse gain m'_c. A gain m is a quantisation step of 1/m: a
large gain keeps much and costs many bits. There are n trained pairs of gain vectors,
and every level between two of them by *exponential* interpolation

    m(level) = m_s^(1-l) * m_{s+1}^l       with s = floor(level), l = level - s,

which moves the step size by equal factors, and the rate in nearly equal steps.
"""

import torch
from torch import Tensor, nn


class GainUnits(nn.Module):
    """The pair of gain matrices, stored as logarithms.

    A gain is ``exp(theta)``, so it is positive whatever the optimiser does, starts at
    one (theta = 0, paper section 3), and exponential interpolation of gains is linear
    interpolation of theta.

    Args:
        channels: channels of y (c in the paper).
        levels: number of trained gain vectors (n, three in the paper). Level 0 is the
            one with the fewest bits, level n - 1 the one with the most.

    >>> units = GainUnits(channels=1)
    >>> with torch.no_grad():
    ...     units.theta += torch.tensor([[1.0], [4.0], [16.0]]).log()
    >>> units.gain(torch.tensor([[0.0, 0.5, 1.0, 2.0]])).detach()  # half-way between two gains is their geometric mean
    tensor([[[ 1.,  2.,  4., 16.]]])
    """

    def __init__(self, channels: int, levels: int = 3):
        super().__init__()
        self.levels = levels
        self.theta = nn.Parameter(torch.zeros(levels, channels))
        self.theta_inverse = nn.Parameter(torch.zeros(levels, channels))

    def gain(self, level: Tensor) -> Tensor:
        """Gains m for a level map.

        Args:
            level: (h, w) map of levels in [0, n-1], or (1, 1) for one level everywhere.

        Returns:
            (channels, h, w), to be multiplied with y.

        Raises:
            ValueError: a level outside [0, n-1].
        """
        return torch.exp(self._interpolate(self.theta, level))

    def inverse_gain(self, level: Tensor) -> Tensor:
        """Inverse gains m' for a level map, to be multiplied with y_hat. As ``gain``."""
        return torch.exp(self._interpolate(self.theta_inverse, level))

    def _interpolate(self, theta: Tensor, level: Tensor) -> Tensor:
        top = self.levels - 1
        if level.numel() and not (0 <= level.min() and level.max() <= top):
            raise ValueError(f"a level lies between 0 (fewest bits) and {top}; this one is {level.min():g} … {level.max():g}")
        lower = level.floor().long()
        fraction = (level - lower)[..., None]
        upper = (lower + 1).clamp(max=top)
        return ((1 - fraction) * theta[lower] + fraction * theta[upper]).movedim(-1, 0)
