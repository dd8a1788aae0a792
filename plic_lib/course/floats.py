"""The codec that everybody would build first: the networks behind its probabilities compute in float32.

For notebook 05, which shows what becomes of its files; the codec itself uses ``integer.IntegerNetworks``.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from plic_lib.asymmetric import SCALE_MIN
from plic_lib.model import Plic
from plic_lib.quantise import GRID
from plic_lib.tables import LOG_SCALE_STEP, SCALES


class FloatNetworks:
    """Hyper-decoder, context and gather in float32, for ``coding.encode`` and ``coding.decode``.

    ``seen`` collects the places of each front before they are rounded, (3, cells, M): 64 * mean, and where left and right
    scale lie among the codec's 128. 34.2 is rounded to 34, 34.7 to 35, and 34.5 is at the edge of two.

    Args:
        networks: of a trained model.
        order: in which the 4M inputs of gather are added, a permutation. It changes nothing but last bits.
    """

    device = "cpu"

    def __init__(self, networks: Plic, order: Tensor | None = None):
        self.networks, self.M, self.seen = networks, networks.widths.M, []
        self.order = torch.arange(4 * self.M) if order is None else order
        self.gather, self.matrix = copy.deepcopy(networks.gather), networks.context.matrix()
        self.gather.layers[0].weight.data = networks.gather.layers[0].weight[:, self.order]  # pyright: ignore[reportIndexIssue]

    @torch.no_grad()
    def features(self, z: Tensor) -> Tensor:
        """(h w, 2M) from 64 * z_hat, whole numbers (N, h/4, w/4); what ``parameters`` takes, a row a cell."""
        return self.networks.hyper_decoder((z / GRID).float()[None])[0].flatten(1).T

    @torch.no_grad()
    def parameters(self, features: Tensor, neighbours: Tensor) -> tuple[Tensor, ...]:
        """64 * means, numbers of left and right table, (n, M) each, from n rows of features and 64 * y_hat at ``TAPS``, (n, 12M)."""
        about = F.linear((neighbours / GRID).float(), self.matrix, self.networks.context.bias)
        joined = torch.cat([features, about], dim=1)[:, self.order]
        means, *scales = self.gather.layers(joined.T[None, ..., None])[0, ..., 0].T.chunk(3, dim=1)  # scales: their logarithms
        numbers = [((s - math.log(SCALE_MIN)) / LOG_SCALE_STEP).clamp(0, SCALES - 1) for s in scales]
        self.seen.append(torch.stack([GRID * means, *numbers]))
        return tuple(torch.round(self.seen[-1]).double())


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of torch inside, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
