"""The codec that everybody would build first: the networks behind its probabilities compute in float32.

For notebook 05, which shows what becomes of its files; the codec itself uses ``integer.IntegerNetworks``.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from plic_lib.asymmetric import SCALE_MIN
from plic_lib.model import Plic
from plic_lib.quantise import GRID
from plic_lib.tables import LOG_SCALE_STEP, SCALES


def place(scales: Tensor) -> Tensor:
    """Where scales lie among the codec's 128: 34.2 is nearest to number 34, and 34.5 is at the edge of two.

    >>> place(torch.tensor([0.11, 1.0, 64.0])).round(decimals=2)
    tensor([  0.0000,  44.0300, 127.0000])
    """
    return torch.log(scales / SCALE_MIN) / LOG_SCALE_STEP


class FloatNetworks:
    """Hyper-decoder, context and gather in float32, for ``coding.encode`` and ``coding.decode``.

    ``seen`` collects what was computed for each front: mean, left and right scale, (3, cells, M).

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
        means, *scales = (t[0, ..., 0].T for t in self.gather(joined.T[None, ..., None]))
        self.seen.append(torch.stack([means, *scales]))
        return (GRID * means).double(), *(torch.round(place(s)).clamp(0, SCALES - 1).double() for s in scales)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of torch inside, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
