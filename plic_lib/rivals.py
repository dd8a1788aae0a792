"""Other codecs behind one interface: a picture to a real file and back.

So far the two that the tour shows, through Pillow: JPEG and AVIF.
"""

import io
from collections.abc import Callable

from PIL import Image
from torch import Tensor

from plic_lib import images

#: name -> (Pillow's format, keyword arguments at a quality of 0 … 100)
CODECS: dict[str, tuple[str, Callable[[int], dict]]] = {
    "JPEG": ("JPEG", lambda quality: {"quality": max(1, quality), "optimize": True}),
    "AVIF": ("AVIF", lambda quality: {"quality": quality, "speed": 4}),
}


def encode(codec: str, image: Tensor, quality: int) -> bytes:
    """(3, H, W) in [0, 1] -> a file's bytes, at a quality from 0 to 100."""
    name, arguments = CODECS[codec]
    buffer = io.BytesIO()
    images.to_image(image).save(buffer, name, **arguments(quality))
    return buffer.getvalue()


def decode(data: bytes) -> Tensor:
    """A file's bytes -> (3, H, W) in [0, 1]."""
    with Image.open(io.BytesIO(data)) as image:
        return images.to_tensor(image.convert("RGB"))


def encode_to_bytes(codec: str, image: Tensor, n_bytes: int) -> tuple[bytes, int]:
    """The largest file of at most ``n_bytes``, by bisection over the quality.

    Returns the file and its quality. Where even quality 0 is larger, that file; the
    caller sees it from the size.
    """
    low, high = 0, 100
    best = encode(codec, image, 0)
    while low < high:
        quality = (low + high + 1) // 2
        data = encode(codec, image, quality)
        if len(data) <= n_bytes:
            low, best = quality, data
        else:
            high = quality - 1
    return best, low
