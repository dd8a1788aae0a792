"""How much was spent and how much was lost: bpp, PSNR, MS-SSIM, LPIPS, DISTS of a picture, KID and FID of a set.

Pictures are (B, 3, H, W) or (3, H, W) in [0, 1]. Report metrics on 8-bit pictures
(``images.to_image``), as a user sees them.
"""

import contextlib
import functools
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_msssim import ms_ssim as _ms_ssim
from torch import Tensor, nn

from plic_lib.errors import WeightsMissing


def bpp(n_bytes: int, height: int, width: int) -> float:
    """Bits per pixel of a file of ``n_bytes``, all of them counted."""
    return 8 * n_bytes / (height * width)


def psnr(x: Tensor, x_hat: Tensor) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures."""
    return float(-10 * torch.log10(((x - x_hat) ** 2).mean()))


def ms_ssim(x: Tensor, x_hat: Tensor) -> float:
    """Multi-scale structural similarity in [0, 1]; NaN where a side is 160 pixels or less.

    Five scales with an 11-pixel window need more than 160 pixels.
    """
    if min(x.shape[-2:]) <= 160:
        return float("nan")
    return float(_ms_ssim(_batched(x), _batched(x_hat), data_range=1.0))


def _batched(x: Tensor) -> Tensor:
    return x if x.ndim == 4 else x[None]


class LPIPS(nn.Module):
    """Learned perceptual distance (Zhang et al. 2018): 0 is equal, larger is worse.

    The networks and their calibration come from the ``lpips`` package. Its own forward
    divides by the norm of a feature vector, whose gradient is NaN where that is zero; here
    the tiny constant stands inside the root, so that value and gradient are finite everywhere.
    """

    def __init__(self, net: str = "alex"):
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of torchvision: lpips calls it in an older manner
            self.parts = _with_weights(net, lambda: _packaged(net)).requires_grad_(False)

    def train(self, mode: bool = True) -> "LPIPS":
        """Stays in evaluation mode: the package's dropout is not part of the metric."""
        return super().train(False)

    def features(self, x: Tensor) -> list[Tensor]:
        """Unit-length feature maps of a picture in [0, 1]; float32, whatever precision the network runs in."""
        outputs = [f.float() for f in self.parts.net.forward(self.parts.scaling_layer(2 * x - 1))]
        return [f * torch.rsqrt((f**2).sum(dim=1, keepdim=True) + 1e-10) for f in outputs]

    def forward(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Distances (B,) between two batches in [0, 1]; gradients reach ``x_hat`` only."""
        with torch.no_grad():
            reference = self.features(x)
        return self.distance(reference, x_hat)

    def distance(self, reference: list[Tensor], x_hat: Tensor) -> Tensor:
        """As ``forward``, from the ``features`` of the original."""
        return self.between(reference, self.features(x_hat))

    def between(self, reference: list[Tensor], features: list[Tensor]) -> Tensor:
        """As ``forward``, from the ``features`` of both pictures."""
        parts = (weigh((f - g) ** 2).mean(dim=(1, 2, 3)) for f, g, weigh in zip(reference, features, self.parts.lins))
        return functools.reduce(torch.add, parts)


#: The files that the feature networks are read from: torchvision's, and torch-fidelity's Inception.
WEIGHT_FILES = {
    "alex": "alexnet-owt-7be5be79.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
    "vgg": "vgg16-397923af.pth",
    "inception": "weights-inception-2015-12-05-6726825d.pth",
}
#: A layer that each of them has and the others do not.
OWN_LAYERS = {
    "alex": "features.8.bias",
    "squeeze": "features.12.squeeze.bias",
    "vgg": "features.28.bias",
    "inception": "Mixed_7c.branch_pool.conv.weight",
}
#: Pixels of a picture's side; of less, nothing is left in the last layers.
SMALLEST = {"alex": 31, "squeeze": 17, "vgg": 16}
#: What is left out without each of them.
NEEDED_FOR = {"alex": "LPIPS-alex and KID-AlexNet", "squeeze": "LPIPS-squeeze", "vgg": "LPIPS-vgg and DISTS", "inception": "FID and KID"}


def weights_path(net: str = "alex") -> Path:
    """Where torch keeps (or would keep) the weights of a feature network. Honours TORCH_HOME."""
    return Path(torch.hub.get_dir()) / "checkpoints" / WEIGHT_FILES[net]


def weights_fault(net: str = "alex") -> str | None:
    """Why the weights of a feature network cannot be used, or None where they can.

    Being there is not enough: an interrupted download, a page that a proxy sent instead, or
    the weights of another network lie under the right name as well.
    """
    path = weights_path(net)
    try:
        state = os.stat(path)
    except OSError:
        return "is not there"
    return _fault(net, path, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _fault(net: str, path: Path, *_state: int) -> str | None:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)  # which executes no code; the packages' own loading may
    except Exception as error:  # torch and pickle raise many kinds for a file that is not theirs
        return f"does not load ({type(error).__name__})"
    return None if isinstance(weights, dict) and OWN_LAYERS[net] in weights else "does not hold this network's weights"


def _with_weights(net: str, make: Callable[[], Any]) -> Any:
    """The network that a package makes of these weights. Raises WeightsMissing."""
    fault = weights_fault(net)
    if not fault:
        try:
            return make().eval()
        except ImportError as error:
            raise WeightsMissing(f"{NEEDED_FOR[net]}: {error.name} is not installed: pip install 'plic[train]'") from error
        except (RuntimeError, KeyError):
            fault = "holds only a part of this network's weights, or others"
    raise WeightsMissing(
        f"{NEEDED_FOR[net]}: {weights_path(net)} {fault}; "
        f"run `plic doctor --fetch {net}` once with a network, or set TORCH_HOME to a folder that has the weights"
    )


def _packaged(net: str) -> Any:
    import lpips  # imports torchvision, so only where it is needed

    return lpips.LPIPS(net=net, verbose=False)


@functools.cache
def _lpips(net: str) -> LPIPS:
    return LPIPS(net)


@functools.lru_cache(maxsize=3)
@torch.no_grad()
def _reference(net: str, x: Tensor, version: int) -> list[Tensor]:
    """Features of an original, kept while a slider compares one decoding after the other with it.
    ``version`` counts the changes in place of ``x``."""
    return _lpips(net).features(_batched(x))


@torch.no_grad()
def lpips(x: Tensor, x_hat: Tensor, net: str = "alex") -> float:
    """LPIPS of one picture. Raises WeightsMissing where the network's weights are not there."""
    # what was made in inference mode counts no changes, so nothing of it is kept
    reference = _lpips(net).features(_batched(x)) if x.is_inference() else _reference(net, x, x._version)
    return float(_lpips(net).distance(reference, _batched(x_hat)))


def lpips_or_none(x: Tensor, x_hat: Tensor, net: str = "alex") -> float | None:
    """``lpips``, or None where its weights are missing or the picture is too small for the network: for tables."""
    with contextlib.suppress(WeightsMissing):
        return lpips(x, x_hat, net) if min(x.shape[-2:]) >= SMALLEST[net] else None


@functools.cache
def _dists() -> nn.Module:
    from torchmetrics.functional.image.dists import DISTSNetwork

    return _with_weights("vgg", DISTSNetwork)


@torch.no_grad()
def dists(x: Tensor, x_hat: Tensor) -> float:
    """Structure and texture distance of one picture (Ding et al. 2020, through torchmetrics): 0 is equal.

    Forgives another grain of the same texture, which LPIPS does not. Raises WeightsMissing.
    """
    return float(_dists()(_batched(x), _batched(x_hat)))


def finite(value: float) -> float | None:
    """The value, or None for infinity and NaN, which JSON does not have."""
    return value if math.isfinite(value) else None


def quality(x: Tensor, x_hat: Tensor) -> dict[str, float | None]:
    """Every metric of one picture; None where its weights are missing, the picture is too small, or there is no number:
    the PSNR of equal pictures."""
    row = {"psnr": finite(psnr(x, x_hat)), "ms_ssim": finite(ms_ssim(x, x_hat))}
    row |= {name: lpips_or_none(x, x_hat, net) for name, net in (("lpips", "alex"), ("lpips_squeeze", "squeeze"), ("lpips_vgg", "vgg"))}
    row["dists"] = None if weights_fault("vgg") else dists(x, x_hat)
    return row


# ---------------------------------------------------------------- of a set of pictures


def patches(x: Tensor, size: int = 256) -> Tensor:
    """All whole patches of a picture, and those of the grid shifted by half a patch, (patches, 3, size, size).

    The protocol of FID/256 (Mentzer et al. 2020). None for a picture that is smaller than a patch.
    """
    x = _batched(x)
    grids = [x, x[..., size // 2 :, size // 2 :]]
    tiles = [g.unfold(2, size, size).unfold(3, size, size) for g in grids if min(g.shape[-2:]) >= size]
    found = [t.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, size, size) for t in tiles]
    return torch.cat(found) if found else x.new_zeros(0, 3, size, size)


@torch.no_grad()
def lpips_patch_features(x: Tensor, net: str = "alex", size: int = 256) -> Tensor:
    """The last convolutional features of a network of LPIPS, averaged over each of the ``patches``: (patches, 256), "squeeze" has 512.

    For ``kid``. Raises WeightsMissing where the weights are not there.
    """
    parts = _lpips(net).parts
    return torch.cat([parts.net(parts.scaling_layer(2 * p - 1))[-1].mean(dim=(2, 3)) for p in patches(x, size).split(64)])


@functools.cache
def _inception() -> nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = str(weights_path("inception"))
    return _with_weights("inception", lambda: FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=path))


@torch.no_grad()
def inception_patch_features(x: Tensor, size: int = 256) -> Tensor:
    """Inception's 2048 features of each of the ``patches``, for ``fid`` and ``kid``. Raises WeightsMissing."""
    eight_bit = (255 * patches(x, size)).round().to(torch.uint8)
    return torch.cat([_inception()(p)[0] for p in eight_bit.split(32)])


def fid(features: Tensor, others: Tensor) -> float:
    """Fréchet distance of two sets of Inception features (Heusel et al. 2017, through torch-fidelity).

    Biased: the fewer patches, the larger. Compare only values of the same number of patches.
    """
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = [fid_features_to_statistics(f) for f in (features, others)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def kid(features: Tensor, others: Tensor) -> float:
    """Kernel distance of two sets of features (n, d) and (m, d): 0 on average for the same source, larger for others.

    The unbiased squared maximum mean discrepancy with ``kid_kernel`` (Binkowski et al. 2018). With
    ``lpips_patch_features`` it is KID on AlexNet features: comparable among its own kind, not with published KID.
    """
    a, b = features.double(), others.double()
    within = lambda k: (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))
    return float(within(kid_kernel(a, a)) + within(kid_kernel(b, b)) - 2 * kid_kernel(a, b).mean())


def kid_kernel(features: Tensor, others: Tensor) -> Tensor:
    """How alike (n, d) and (m, d) features are, each of the first with each of the second: (a·b / d + 1)³, (n, m)."""
    return (features @ others.T / features.shape[1] + 1) ** 3
