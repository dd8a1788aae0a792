"""The other way to a pleasing picture: a classic codec, then a network that repairs it (paper, section 3.2).

The network is trained with the generator's losses, on the crops, in the order and by the
course of the base of ``ablation``, so that a codec trained end to end and this one differ in
what they may change: there all bits, here only the picture after them. A step of it is
cheaper; equal time is more of them.
"""

import copy
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from plic_lib import codec, datasets, files, images, metrics
from plic_lib.checkpoint import TrainedModel
from plic_lib.errors import TrainingError
from plic_lib.study.codecs import Codec, ours
from plic_lib.study.measure import METRICS, Measurement, mean, measure
from plic_lib.study.pictures import Pictures, named
from plic_lib.study.sets import SetQuality
from plic_lib.training import losses, probe
from plic_lib.training.crops import RandomCrops
from plic_lib.training.recipe import Recipe
from plic_lib.training.task import Task
from plic_lib.training.trainer import Trainer


class Enhancer(nn.Module):
    """Decoded pictures -> repaired ones, (B, 3, H, W) in [0, 1] each, of any size.

    Residual blocks at a quarter of the resolution, about as large as the generator of
    ``mini``; it starts as the identity.
    """

    def __init__(self, width: int = 96, blocks: int = 8):
        super().__init__()
        self.first = nn.Conv2d(3 * 4 * 4, width, 3, padding=1)
        block = lambda: nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
        self.blocks = nn.ModuleList(block() for _ in range(blocks))
        self.last = nn.Conv2d(width, 3 * 4 * 4, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        padded = F.pad(x, (0, -width % 4, 0, -height % 4), mode="replicate")
        h = self.first(F.pixel_unshuffle(padded, 4))
        for block in self.blocks:
            h = h + block(h)
        return (padded + F.pixel_shuffle(self.last(h), 4))[..., :height, :width]


class DecodedCrops(Dataset):
    """Crops beside what a classic codec makes of them: item k -> (2, 3, size, size), original and decoded.

    The quality of item k is random between ``lowest`` and ``highest``; like the crop, a function of (seed, k) alone.
    """

    def __init__(self, crops: RandomCrops, codec: Codec, lowest: int, highest: int):
        self.crops, self.codec, self.lowest, self.highest = crops, codec, lowest, highest

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, k: int) -> Tensor:
        x = self.crops[k]
        quality = int(np.random.default_rng([self.crops.seed, k, 1]).integers(self.lowest, self.highest + 1))
        return torch.stack([x, self.codec.decode(self.codec.encode(x, quality))])


def qualities(codec: Codec) -> tuple[int, int]:
    """The qualities to train on: from the fewest bits to about 0.2 bpp, where repairs show."""
    x = datasets.sample("coffee")
    return int(codec.lowest), codec.encode_to_bytes(x, x.shape[1] * x.shape[2] // 40)[1]


class RepairTask(Task):
    """Training the network: the recipe's optimiser, L1, squared error and LPIPS; there is no rate.

    Args:
        recipe: as for the codec that it is compared with.
        codec: whose pictures to repair.
        qualities: the lowest and the highest quality of the pictures that it sees.
    """

    def __init__(self, recipe: Recipe, codec: Codec, qualities: tuple[int, int]):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            super().__init__(recipe, Enhancer())
        self.codec, self.qualities = codec, qualities

    def dataset(self, crops: RandomCrops) -> Dataset:
        """As ``Task.dataset``: pairs."""
        made_of = {"codec": self.codec.settings(), "qualities": self.qualities, "pictures": files.sha256_of_all(crops.paths)}
        self.repairs = json.dumps(made_of)
        return DecodedCrops(crops, self.codec, *self.qualities)

    def step(self, number: int, batch: Tensor) -> dict:
        """As ``Task.step``; ``batch`` is (B, 2, 3, crop, crop)."""
        x, decoded = (t.contiguous(memory_format=torch.channels_last) for t in batch.unbind(1))
        x_hat = self.shared_model(decoded).float()
        weights = self.recipe.weights(number)
        terms = self.picture_terms(number, x, x_hat, weights)
        return self.descend(
            number, losses.objective(weights, terms), {k: v for k, v in terms._asdict().items() if k not in ("rate", "gan")}
        )

    def averaged(self) -> Enhancer:
        """As ``Task.averaged``."""
        network = super().averaged()
        assert isinstance(network, Enhancer)
        return network

    def check(self) -> tuple[list[dict], Tensor]:
        """As ``Task.check``: photographs that are never trained on, at the lowest quality."""
        network = copy.deepcopy(self.averaged()).to("cpu").eval()
        pairs = [(x, self.codec.decode(self.codec.encode(x, self.qualities[0]))) for x in probe.photographs()]
        repaired = [repair(network, decoded) for _, decoded in pairs]
        psnr = [sum(metrics.psnr(x, y) for (x, _), y in zip(pairs, ys)) / len(pairs) for ys in ([d for _, d in pairs], repaired)]
        columns = ([x for x, _ in pairs], [d for _, d in pairs], repaired)
        return [{"psnr_before": psnr[0], "psnr": psnr[1]}], torch.cat([torch.cat(column, 1) for column in columns], 2)

    def state_dict(self) -> dict:
        """As ``Task.state_dict``."""
        return super().state_dict() | {"repairs": self.repairs}

    def load_state_dict(self, state: dict) -> None:
        """As ``Task.load_state_dict``."""
        if state.get("repairs") != self.repairs:
            raise TrainingError(
                f"this state is of another training than of {self.codec.name} at qualities {self.qualities} on these pictures; "
                "use another folder"
            )
        super().load_state_dict(state)


def train(recipe: Recipe, codec: Codec, qualities: tuple[int, int], folders: list[str], out: str | Path, save_every: int = 500) -> Enhancer:
    """Train to the end, or go on where ``out/state.pt`` stopped. Arguments as for ``RepairTask`` and ``Trainer``."""
    task = RepairTask(recipe, codec, qualities)
    Trainer(task, folders, out).run(save_every)
    return task.averaged().to("cpu").eval()


@torch.no_grad()
def repair(network: Enhancer, decoded: Tensor) -> Tensor:
    """A decoded picture (3, H, W), repaired, as 8-bit values in [0, 1]."""
    return images.eight_bit(network(decoded[None])[0])


def repaired(classic: Codec, network: Enhancer) -> Codec:
    """The classic codec whose decoder ends with the network."""
    return replace(classic, name=f"{classic.name}, repaired", decode=lambda data: repair(network, classic.decode(data)))


def at_equal_bytes(
    model: TrainedModel, network: Enhancer, classic: Codec, x: Tensor, level: float, container: bool = True
) -> dict[str, Measurement]:
    """A picture at about ``level``: "classic" and "repaired" of one file, "end_to_end" of as many bytes, within 1 %.

    The qualities of a classic codec are steps, ours follows: the largest file that is no larger than ours at
    ``level``, or the smallest that ours can be as small as.

    Args:
        container: whether the container of the classic file counts, which our files have not.
    """

    def counted(data: bytes) -> int:
        return len(data) - (0 if container else classic.container_bytes(data))

    analysis = codec.analyse(model, x)
    least = len(codec.encode_latents(model, analysis, 0.0))
    data, quality = classic.encode_to_bytes(x, len(codec.encode_latents(model, analysis, level)))
    while counted(data) < least and quality < classic.highest:
        quality += 1
        data = classic.encode(x, quality)
    _, own = codec.encode_to_bpp(model, analysis, metrics.bpp(counted(data), *x.shape[1:]), tolerance=0.005)
    files_of = {"classic": classic, "repaired": repaired(classic, network)}
    return {"end_to_end": measure(ours(model), x, own), **{name: measure(codec_, x, quality) for name, codec_ in files_of.items()}}


def compare(
    model: TrainedModel, network: Enhancer, classic: Codec, pictures: Pictures, levels: Iterable[float], container: bool = True
) -> list[dict]:
    """The end-to-end codec against the classic one, with and without the network, ``at_equal_bytes`` of every picture.

    Returns:
        One row a level: ``files`` holds "end_to_end", "classic" and "repaired", each with the mean metrics, KID
        on AlexNet features and, in ``pictures``, the figures of each picture.
    """
    rows = []
    for level in levels:
        sets = {name: SetQuality() for name in ("end_to_end", "classic", "repaired")}
        columns = {name: [] for name in sets}
        for path, about in tqdm(list(zip(pictures.paths, pictures.rows())), desc=f"level {level:g}"):
            with named(path):
                found = at_equal_bytes(model, network, classic, images.read(path), level, container)
            for name, measured in found.items():
                sets[name].add(measured.picture, measured.decoded)
                row = about | measured.row()
                if not container and name != "end_to_end":
                    row["bytes"] -= row["container_bytes"]
                    row["bpp"] = metrics.bpp(row["bytes"], row["height"], row["width"])
                columns[name].append(row)
        means = {name: {key: mean(row[key] for row in found) for key in ("bytes", "bpp", *METRICS)} for name, found in columns.items()}
        of_all = {name: means[name] | sets[name].figures() | {"pictures": found} for name, found in columns.items()}
        rows.append({"level": level, "container": container, "files": of_all})
    return rows


#: photograph -> left and top of the square piece of it that ``sheet`` shows
PIECES = {"chelsea": (150, 60), "coffee": (300, 90)}
PIECE = 128  #: pixels


def sheet(model: TrainedModel, network: Enhancer, classic: Codec, level: float) -> Tensor:
    """Pieces of photographs, one row each: the original, the classic codec, the same repaired, end to end, all at equal bytes."""
    rows = []
    for name, (left, top) in PIECES.items():
        x = datasets.sample(name)
        found = at_equal_bytes(model, network, classic, x, level)
        pictures = [x, *(found[kind].decoded for kind in ("classic", "repaired", "end_to_end"))]
        rows.append(torch.cat([p[:, top : top + PIECE, left : left + PIECE] for p in pictures], dim=2))
    return torch.cat(rows, dim=1)
