"""CompressAI's models as codecs: what they take is what ours is compared with.

They have random weights: that hardly changes their speed, but their bits mean nothing.
"""

import functools
import struct

import compressai
import torch
from compressai import zoo
from compressai.models import ScaleHyperprior
from torch import Tensor

from plic_lib import images
from plic_lib.grid import BLOCK, ceil_div
from plic_lib.study.codecs import Codec

_HEADER = struct.Struct("<BHHI")  # quality, height, width, bytes of y
_NETWORKS = {
    "bmshj2018-hyperprior": zoo.bmshj2018_hyperprior,
    "mbt2018-mean": zoo.mbt2018_mean,
    "mbt2018": zoo.mbt2018,
    "cheng2020-attn": zoo.cheng2020_attn,
}
SERIAL = ("mbt2018", "cheng2020-attn")  #: decode one latent position after the other
QUALITY = 3  #: of 1 to 8; it decides the widths


@functools.lru_cache(maxsize=1)
def _networks(name: str, quality: int) -> ScaleHyperprior:  # the class that all of them extend
    torch.manual_seed(0)
    networks = _NETWORKS[name](quality=quality, pretrained=False).eval()
    networks.update(force=True)
    return networks


def _codec(name: str) -> Codec:
    def encode(picture: Tensor, quality: int) -> bytes:
        with torch.no_grad():
            (y,), (z,) = _networks(name, quality).compress(images.pad(picture[None]))["strings"]
        return _HEADER.pack(quality, *picture.shape[1:], len(y)) + y + z

    def decode(data: bytes) -> Tensor:
        quality, height, width, size = _HEADER.unpack_from(data)
        y, z = data[_HEADER.size :][:size], data[_HEADER.size + size :]
        with torch.no_grad():
            x_hat = _networks(name, quality).decompress([[y], [z]], (ceil_div(height, BLOCK), ceil_div(width, BLOCK)))["x_hat"]
        return images.eight_bit(images.crop(x_hat[0], height, width))

    settings = lambda: {"compressai": compressai.__version__, "weights": "random"}
    return Codec(name, 1, 6 if name == "cheng2020-attn" else 8, (QUALITY,), encode, decode, lambda data: _HEADER.size, settings)


CODECS = {name: _codec(name) for name in _NETWORKS}
