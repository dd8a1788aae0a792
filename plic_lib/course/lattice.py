"""Notebook 10's lattice: how strong one is, and the toy that learns with and without pooling, recorded over five seeds.

``python -m plic_lib.course.lattice`` trains the toys anew (some minutes) and writes ``data/results/lattice_toys.json``. With a folder
of the Kodak photographs (``python -m plic_lib.course.lattice KODAK [MODEL ...]``) it measures the skies of four of them instead, as every
shipped model and those named decode them, and writes ``data/results/lattice_kodak.json``.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plic_lib import checkpoint, codec, datasets, files, images, layers, metrics, shipped
from plic_lib.study import record
from plic_lib.training import losses

SKY = (slice(None), slice(0, 112), slice(340, 556))  #: of the photograph "rocket": a smooth gradient
RESULTS = checkpoint.FOLDER.parent / "results"
RECORD = RESULTS / "lattice_toys.json"
SEEDS, STEPS = 5, 1600
SIDE = 130  #: of the pieces of sky below, in pixels: cells of 128, over which the grain of a film averages out
KODAK = {"kodim09": (32, 352), "kodim16": (0, 320), "kodim19": (0, 0), "kodim21": (0, 608)}  #: top left of a piece of flat sky


def checkerboard(x: Tensor, cell: int = 16) -> float:
    """The strength of what alternates from pixel to pixel in a picture (C, H, W), in grey levels.

    Second differences remove constants and slopes; what alternates keeps its phase and survives the mean over a cell, noise does not.

    >>> columns = 0.5 + (-1.0) ** torch.arange(66).expand(3, 66, 66) / 255
    >>> round(checkerboard(columns), 4), round(checkerboard(torch.linspace(0, 1, 66).expand(3, 66, 66)), 4)
    (1.0, 0.0)
    """
    smooth, swing = torch.tensor([1.0, 2, 1]) / 4, torch.tensor([-1.0, 2, -1]) / 4
    rows, columns = ((-1.0) ** torch.arange(side - 2) for side in x.shape[1:])
    total = torch.zeros(())
    for down, right, sign in ((smooth, swing, columns), (swing, smooth, rows[:, None]), (swing, swing, rows[:, None] * columns)):
        response = F.conv2d(255 * x[:, None], (down[:, None] * right)[None, None])[:, 0]
        total = total + F.avg_pool2d(sign * response, cell).square().mean()
    return float(total.sqrt())


def learn(pooled: bool, seed: int, steps: int) -> list[tuple[int, float, float]]:
    """Train an autoencoder of two deconvolutions on L1, without a rate, at a learning rate that falls to zero.

    Returns:
        (step, checkerboard of a sky in grey levels, PSNR of another photograph in dB), twenty times and at the end.
    """
    torch.manual_seed(seed)
    down = [layers.convolution(3, 16), layers.GDN(16), layers.convolution(16, 32)]
    up = [layers.deconvolution(32, 16, pooled), layers.GDN(16, inverse=True), layers.deconvolution(16, 3, pooled)]
    net = layers.kaiming_(nn.Sequential(*down, *up))
    optimiser = torch.optim.Adam(net.parameters(), 4e-3)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.02, steps)
    training = torch.stack([datasets.sample(name)[:, :256, :256] for name in ("coffee", "astronaut", "chelsea")])
    flat, busy = datasets.sample("rocket")[SKY], datasets.sample("motorcycle")[:, 128:256, 200:328]
    seen = []
    for step in range(steps + 1):
        if step % (steps // 20) == 0:
            with torch.no_grad():
                sky, new = (net(x[None])[0].clamp(0, 1) for x in (flat, busy))
            seen.append((step, checkerboard(sky), metrics.psnr(busy, new)))
        top, left = torch.randint(225, (2,)).tolist()
        x = training[:, :, top : top + 32, left : left + 32]
        optimiser.zero_grad()
        losses.l1(x, net(x)).backward()
        optimiser.step()
        falling.step()
    return seen


def skies(model: checkpoint.TrainedModel, folder: str | Path, level: float = 1) -> dict[str, dict[str, float]]:
    """``checkerboard`` over a whole piece of sky of each photograph in ``KODAK``, in grey levels: as it is, and as a file holds it."""
    found = {}
    for name, (top, left) in KODAK.items():
        picture = images.read(Path(folder) / f"{name}.png")
        decoded = codec.decode(model, codec.encode(model, picture, level))
        both = {"original": picture, "decoded": decoded}
        found[name] = {which: checkerboard(x[:, top : top + SIDE, left : left + SIDE], SIDE - 2) for which, x in both.items()}
    return found


def main(folder: str | None, *more: str) -> None:
    """Write the record of the toys, or of the skies of ``folder`` as shipped models and ``more`` decode them."""
    if folder is not None:
        models = {Path(name).stem: checkpoint.load(name) for name in (*shipped.available(), *more)}
        command = " ".join(["python -m plic_lib.course.lattice KODAK", *(f"{Path(name).stem}.safetensors" for name in more)])
        about = {"command": command, "level": 1, "side": SIDE, "top_left": KODAK, "versions": record.versions()}
        about["models"] = {name: {"hash": model.hash, "skies": skies(model, folder)} for name, model in models.items()}
        files.write_json(RESULTS / "lattice_kodak.json", about)
        return
    runs = [{"pooled": pooled, "seed": seed, "seen": learn(pooled, seed, STEPS)} for seed in range(SEEDS) for pooled in (False, True)]
    about = {"made_by": "python -m plic_lib.course.lattice", "steps": STEPS, "versions": record.versions(), "cpu": record.cpu()}
    files.write_json(RECORD, about | {"columns": ["step", "checkerboard, grey levels", "PSNR, dB"], "runs": runs})
    print(RECORD)


if __name__ == "__main__":
    main(*sys.argv[1:] or [None])
