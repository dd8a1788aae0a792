"""A look at a model in training: real files of photographs that are never trained on."""

import torch
from torch import Tensor

from plic_lib import codec, metrics
from plic_lib.bitstream import File
from plic_lib.checkpoint import TrainedModel
from plic_lib.datasets import SAMPLES, sample
from plic_lib.integer import freeze
from plic_lib.model import Plic


def photographs() -> list[Tensor]:
    """The same piece of each of scikit-image's photographs, (3, 256, 384)."""
    return [sample(name)[:, :256, :384] for name in SAMPLES]


@torch.no_grad()
def look(networks: Plic, perceptual: bool) -> tuple[list[dict], Tensor]:
    """Rate and quality of real files, one row a level, and a sheet of the decoded pictures.

    Args:
        networks: in evaluation mode, on the CPU.
        perceptual: whether to measure LPIPS.

    Returns:
        Rows with ``bpp`` (bytes of the files), ``psnr``, ``lpips`` and ``lpips_squeeze``: on
        SqueezeNet, where its weights are, a witness that was not trained on. ``gap`` is what
        the coded latents cost over the float networks' parallel estimate, as a fraction of
        it; ``noise_gap`` is how far the noisy estimate that the loss sees is above that one.
    """
    pictures = photographs()
    model = TrainedModel("probe", networks, freeze(networks, pictures))
    rows, sheet = [], [torch.cat(pictures, 1)]
    for level in range(model.levels):
        found = [_one(model, x, float(level), perceptual) for x in pictures]
        total = {name: sum(row[name] for row in found) for name in ("file", "stream", "estimate", "noisy", "pixels")}
        sheet.append(torch.cat([row["picture"] for row in found], 1))
        rows.append(
            {
                "level": level,
                "bpp": round(total["file"] / total["pixels"], 5),
                "psnr": _mean(found, "psnr", 3),
                "lpips": _mean(found, "lpips", 5),
                "lpips_squeeze": _mean(found, "lpips_squeeze", 5),
                "gap": round(total["stream"] / total["estimate"] - 1, 5),
                "noise_gap": round(total["noisy"] / total["estimate"] - 1, 5),
            }
        )
    return rows, torch.cat(sheet, 2)


def _one(model: TrainedModel, x: Tensor, level: float, perceptual: bool) -> dict:
    analysis = codec.analyse(model, x)
    data = codec.encode_latents(model, analysis, level)
    x_hat = codec.decode(model, data)
    noisy = model.networks(x[None], torch.full((1, 1), level), seeds=[0])
    return {
        "picture": x_hat,
        "file": 8 * len(data),
        "stream": 8 * len(File.unpack(data).stream),
        "estimate": codec.estimated_bits(model, analysis, level),
        "noisy": float(noisy.y_bits.sum() + noisy.z_bits.sum()),
        "pixels": x.shape[1] * x.shape[2],
        "psnr": metrics.psnr(x, x_hat),
        "lpips": metrics.lpips(x, x_hat) if perceptual else None,
        "lpips_squeeze": metrics.lpips_or_none(x, x_hat, net="squeeze") if perceptual else None,
    }


def _mean(rows: list[dict], name: str, digits: int) -> float | None:
    """Over all pictures; None where it could not be measured."""
    values = [row[name] for row in rows]
    return None if None in values else round(sum(values) / len(values), digits)
