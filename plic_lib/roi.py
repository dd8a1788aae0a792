"""Regions of interest: finding them, and giving them another level than the rest (paper, section 2.3).

A region is a mask (H, W) of booleans, in pixels. All finders have one signature,
``finder(image, ...) -> mask``; ``level_map`` makes of a mask what the codec takes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from plic_lib import images
from plic_lib.errors import RegionError
from plic_lib.grid import CELL, LEVEL_STEPS, OFFSET_STEPS
from plic_lib.level_map import LevelMap

MAX_LABELS = 256  #: colours of a mask that labels its pixels; a photograph, or a drawing saved as JPEG, has more


def cells(mask: Tensor) -> np.ndarray:
    """Mask (H, W) in pixels -> (h, w) booleans of the cells that it touches, ``h = ceil(H / 16)``."""
    height, width = mask.shape
    padded = torch.nn.functional.pad(mask.bool(), (0, -width % CELL, 0, -height % CELL))
    return padded.unflatten(1, (-1, CELL)).unflatten(0, (-1, CELL)).any(dim=3).any(dim=1).numpy()


def level_map(mask: Tensor, level: float, base: float, feather: int = 2) -> LevelMap | None:
    """The map that codes a region at one level and the rest at another.

    Args:
        mask: (H, W) booleans, the region.
        level: of the region; reached to 1/16, since offsets are steps of 1/8.
        base: the file's level, which holds outside.
        feather: cells outside the region over which its level fades out.

    Returns:
        None where nothing differs: no region, or equal levels.
    """
    steps = round((level - round(base * LEVEL_STEPS) / LEVEL_STEPS) * OFFSET_STEPS)
    labels = cells(mask) * steps
    return LevelMap(labels, feather) if labels.any() else None


# ---------------------------------------------------------------- finders


def box(image: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """A rectangle in pixels; ``right`` and ``bottom`` are just outside of it."""
    height, width = image.shape[1:]
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise RegionError(
            f"the box {left},{top},{right},{bottom} (left, top, right, bottom) does not lie in a picture of {width} x {height} pixels"
        )
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


def from_file(image: Tensor, path: str | Path) -> Tensor:
    """A picture of the same size that shows where the region is.

    Where its opacity varies, the region is what is opaque, in any colour. Of a picture of two
    values (0 and 1, say), or of a few colours, as programs that label pixels write it, the
    region is everything but the darkest. Of any other picture it is what is lighter than half
    of white. Raises RegionError for another size, and ImageError as ``images.opened``.
    """
    with images.opened(path) as file:
        turn = images.upright(file, [])
        colours, opacity = images.split(file, [])
        deep = np.asarray(file) if file.mode.startswith(("I", "F")) else None
    if opacity is not None and len(set(opacity.getextrema())) > 1:
        colours, deep = opacity, None
    if deep is not None and len(np.unique(deep)) == 2:  # 0 and 1 of 65535 would be one value of 255
        colours = Image.fromarray(np.where(deep == deep.max(), 255, 0).astype(np.uint8))
    mask = torch.from_numpy(_drawn(turn(colours).convert("RGB")))
    if mask.shape != image.shape[1:]:
        raise RegionError(
            f"{path}: {mask.shape[1]} x {mask.shape[0]} pixels; a mask for this picture has {image.shape[2]} x {image.shape[1]}"
        )
    return mask


def _drawn(picture: Image.Image) -> np.ndarray:
    lightness = np.asarray(picture).mean(axis=2)
    colours = [colour for _, colour in picture.getcolors(MAX_LABELS) or []]
    if len(colours) == 2 or any(np.ptp(c) > 16 for c in colours):
        return lightness > lightness.min()
    return lightness > 127.5


def faces(image: Tensor) -> Tensor:
    """Frontal faces, by the cascade that comes with scikit-image. Works offline; an empty mask where it finds none."""
    import skimage.data
    from skimage.feature import Cascade

    detector = Cascade(skimage.data.lbp_frontal_face_cascade_filename())
    pixels = np.asarray(images.to_image(image))
    side = min(pixels.shape[:2])
    found = detector.detect_multi_scale(pixels, 1.2, 1, (max(24, side // 12),) * 2, (side, side))
    mask = torch.zeros(image.shape[1:], dtype=torch.bool)
    for face in found:
        mask[face["r"] : face["r"] + face["height"], face["c"] : face["c"] + face["width"]] = True
    return mask


def scribble(image: Tensor, inside: Sequence[tuple[int, int]], outside: Sequence[tuple[int, int]], segments: int = 400) -> Tensor:
    """The object under a few points: superpixels that resemble those inside more than those outside.

    Args:
        inside, outside: points (x, y) in pixels on the object, and on the rest.
        segments: about how many superpixels.
    """
    from skimage.segmentation import slic

    height, width = image.shape[1:]
    for x, y in (*inside, *outside):
        if not (0 <= x < width and 0 <= y < height):
            raise RegionError(f"the point {x},{y} does not lie in a picture of {width} x {height} pixels")
    if not inside or not outside:
        raise RegionError("a scribble needs a point on the object and one on the rest")
    labels = torch.from_numpy(slic(image.permute(1, 2, 0).numpy(), segments, start_label=0))
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    features = torch.cat([image, torch.stack([x, y])]).flatten(1).T
    count = torch.bincount(labels.flatten()).clamp(min=1)
    means = torch.zeros(len(count), 5).index_add_(0, labels.flatten(), features) / count[:, None]

    def distance(points: Sequence[tuple[int, int]]) -> Tensor:
        seeds = torch.stack([means[labels[y, x]] for x, y in points])
        return torch.cdist(means, seeds).min(dim=1).values

    return (distance(inside) < distance(outside))[labels]


def salient(image: Tensor) -> Tensor:
    """People, animals and vehicles, by torchvision's DeepLab where its weights are in its cache.

    Raises RegionError where they are not: nothing is downloaded.
    """
    from torchvision.models.segmentation import DeepLabV3_MobileNet_V3_Large_Weights, deeplabv3_mobilenet_v3_large

    weights = DeepLabV3_MobileNet_V3_Large_Weights.DEFAULT
    path = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[1]
    if not path.is_file():
        raise RegionError(f"this finder needs torchvision's DeepLab, and {path} is not there; draw a box, or use faces or a scribble")
    network = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, aux_loss=True).eval()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch and pickle raise many kinds for a file that is not theirs
        raise RegionError(f"{path} does not hold the weights of torchvision's DeepLab; delete it, and draw a box meanwhile") from error
    with torch.no_grad():
        scores = network(weights.transforms(resize_size=None)(image)[None])["out"]
    return torch.nn.functional.interpolate(scores, image.shape[1:], mode="bilinear")[0].argmax(dim=0) > 0
