"""Notebook 10's lattice: how strong one is, and the toy that learns with and without pooling, recorded over five seeds.

``python -m plic_lib.course.lattice`` trains the toys anew (some minutes) and writes ``data/results/lattice_toys.json``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plic_lib import checkpoint, datasets, files, layers, metrics
from plic_lib.study import record
from plic_lib.training import losses

SKY = (slice(None), slice(0, 112), slice(340, 556))  #: of the photograph "rocket": a smooth gradient
RECORD = checkpoint.FOLDER.parent / "results" / "lattice_toys.json"
SEEDS, STEPS = 5, 1600


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


if __name__ == "__main__":
    runs = [{"pooled": pooled, "seed": seed, "seen": learn(pooled, seed, STEPS)} for seed in range(SEEDS) for pooled in (False, True)]
    about = {"made_by": "python -m plic_lib.course.lattice", "steps": STEPS, "versions": record.versions(), "cpu": record.cpu()}
    files.write_json(RECORD, about | {"columns": ["step", "checkerboard, grey levels", "PSNR, dB"], "runs": runs})
    print(RECORD)
