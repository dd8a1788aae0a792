"""How far the decoded pictures of a set are from the originals, the two taken as sets: KID and FID."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from plic_lib import metrics
from plic_lib.study.measure import mean

#: What is measured, on which network's features. Of these KID on SqueezeNet's alone is neither trained on nor large.
NETS = {"kid_alexnet": "alex", "kid_squeeze": "squeeze", "kid": "inception", "fid": "inception"}

Pairs = list[list[float | None]]  #: row i: pictures i + 1, i + 2, … with picture i


class SetQuality:
    """KID and FID of a set of pictures, gathered picture by picture, where the networks' weights are there."""

    def __init__(self):
        kinds: dict[str, Callable[[Tensor], Tensor]] = {
            net: functools.partial(metrics.lpips_patch_features, net=net) for net in ("alex", "squeeze")
        }
        kinds["inception"] = metrics.inception_patch_features
        self.kinds = {net: features for net, features in kinds.items() if not metrics.weights_fault(net)}
        self.originals = {net: [] for net in self.kinds}
        self.decoded = {net: [] for net in self.kinds}

    def add(self, x: Tensor, x_hat: Tensor) -> None:
        """One picture (3, H, W) in [0, 1] and its decoding."""
        for net, features in self.kinds.items():
            self.originals[net].append(features(x))
            self.decoded[net].append(features(x_hat))

    def figures(self) -> dict[str, float | int | None]:
        """``patches``, their number, and the distances; None where weights are missing or there are fewer than two patches.

        ``kid_squeeze`` is the mean over ``squeeze_pairs``, the others are those of ``metrics``.
        """
        sets = {net: (torch.cat(self.originals[net]), torch.cat(self.decoded[net])) for net in self.kinds}
        sets = {net: pair for net, pair in sets.items() if len(pair[0]) > 1}
        row: dict[str, float | int | None] = {"patches": max((len(a) for a, _ in sets.values()), default=0)}
        distances = {"kid_alexnet": metrics.kid, "kid": metrics.kid, "fid": metrics.fid}
        row |= {name: distance(*sets[NETS[name]]) if NETS[name] in sets else None for name, distance in distances.items()}
        return row | {"kid_squeeze": mean(value for pairs in self.squeeze_pairs() or [] for value in pairs)}

    def squeeze_pairs(self) -> Pairs | None:
        """What each pair of pictures adds to KID on SqueezeNet features; None without its weights.

        Of pictures with patches x, decoded x′, and others with y, y′ it is the mean of k(x, y) + k(x′, y′) − k(x, y′) − k(x′, y). The mean
        over all pairs of *different* pictures is the unbiased KID of two sets that belong together picture by picture, and any
        choice of pictures, as a bootstrap makes, has its KID in this table. None for a picture without a patch.
        """
        if "squeeze" not in self.kinds:
            return None
        both = [(a.double(), b.double()) for a, b in zip(self.originals["squeeze"], self.decoded["squeeze"])]
        return [[_of_a_pair(*one, *other) for other in both[i + 1 :]] for i, one in enumerate(both)]


def _of_a_pair(x: Tensor, x_hat: Tensor, y: Tensor, y_hat: Tensor) -> float | None:
    k = metrics.kid_kernel
    if not len(x) or not len(y):
        return None
    return float(f"{float((k(x, y) + k(x_hat, y_hat) - k(x, y_hat) - k(x_hat, y)).mean()):.6g}")
