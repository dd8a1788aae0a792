"""Gain units: one model, any rate (paper, section 2.1.3). As ``plic_lib.gain``."""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from numpy import ndarray


class GainUnits(nn.Cell):
    """The pair of gain matrices, stored as logarithms; between two levels a gain is their weighted geometric mean.

    Args:
        channels: channels of y.
        levels: number of trained gain vectors; level 0 is the one with the fewest bits.
    """

    def __init__(self, channels: int, levels: int = 3):
        super().__init__()
        self.levels = levels
        self.theta = Parameter(Tensor(np.zeros((levels, channels), np.float32)), name="theta")
        self.theta_inverse = Parameter(Tensor(np.zeros((levels, channels), np.float32)), name="theta_inverse")

    def gain(self, level: ndarray) -> Tensor:
        """Gains (channels, h, w), to be multiplied with y, for a map (h, w) of levels, or (1, 1) for one level everywhere.

        Raises ValueError for a level outside [0, n-1].
        """
        return ops.exp(self._interpolate(self.theta, level))

    def inverse_gain(self, level: ndarray) -> Tensor:
        """Inverse gains, to be multiplied with y_hat. As ``gain``."""
        return ops.exp(self._interpolate(self.theta_inverse, level))

    def _interpolate(self, theta: Parameter, level: ndarray) -> Tensor:
        top = self.levels - 1
        if level.size and not (0 <= level.min() and level.max() <= top):
            raise ValueError(f"a level lies between 0 (fewest bits) and {top}; this one is {level.min():g} … {level.max():g}")
        lower = np.floor(level).astype(np.int32)
        fraction = Tensor((level - lower).astype(np.float32)[..., None])
        rows = [ops.gather(theta, Tensor(index), 0) for index in (lower, np.minimum(lower + 1, top))]
        return ops.transpose((1 - fraction) * rows[0] + fraction * rows[1], (2, 0, 1))
