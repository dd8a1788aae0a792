"""Seconds of either framework for one picture and one training step, one process after the other: `python -m tests.mindspore.seconds`."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PICTURE, LEVEL, RUNS = "coffee", 1.0, 3


def best(work) -> float:
    """Of a few runs, the quickest."""

    def once() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return min(once() for _ in range(RUNS))


def of_torch(picture: np.ndarray) -> dict[str, float]:
    from plic_lib import checkpoint, codec  # isort: skip
    import torch
    from accelerate import Accelerator

    from plic_lib.training.codec_task import CodecTask
    from plic_lib.training.recipe import Recipe

    model, image = checkpoint.load("mini"), torch.tensor(picture)
    data = codec.encode(model, image, LEVEL)
    task = CodecTask(Recipe(widths=model.networks.widths, batch=2, crop=64, lpips=0.0))
    task.prepare(Accelerator(cpu=True))
    batch = image[None, :, :64, :64].repeat(2, 1, 1, 1)
    return {
        "encode": best(lambda: codec.encode(model, image, LEVEL)),
        "latents from a file": best(lambda: codec.decode_latents(model, data)),
        "decode": best(lambda: codec.decode(model, data)),
        "training step": best(lambda: task.step(0, batch)),
    }


def of_mindspore(picture: np.ndarray) -> dict[str, float]:
    from plic_mindspore import checkpoint, codec  # isort: skip
    from mindspore import Tensor

    from plic_mindspore.codec_task import CodecTask
    from plic_mindspore.losses import Terms

    model = checkpoint.load("mini")
    data = codec.encode(model, picture, LEVEL)
    task = CodecTask(checkpoint.load("mini").networks)
    batch = Tensor(np.stack([picture[:, :64, :64]] * 2))
    return {
        "encode": best(lambda: codec.encode(model, picture, LEVEL)),
        "latents from a file": best(lambda: codec.decode_latents(model, data)),
        "decode": best(lambda: codec.decode(model, data)),
        "training step": best(lambda: task.step(batch, LEVEL, [0, 1], Terms(1.0, 0.01, 0.0, 0.0))),
    }


def main(arguments: list[str]) -> None:
    if arguments:
        framework, path = arguments
        print(json.dumps({"torch": of_torch, "mindspore": of_mindspore}[framework](np.load(path))))
        return
    from plic_lib import datasets

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.npy"
        picture = datasets.sample(PICTURE).numpy()
        np.save(path, picture)
        found = {}
        for framework in ("torch", "mindspore"):
            done = subprocess.run([sys.executable, "-m", __spec__.name, framework, path], stdout=subprocess.PIPE, text=True, check=True)
            found[framework] = json.loads(done.stdout.splitlines()[-1])
    print(f"seconds for {PICTURE}, {picture.shape[2]} x {picture.shape[1]} pixels, and a step on two crops of 64 x 64:")
    for part, seconds in found["torch"].items():
        print(f"    {part:20} torch {seconds:6.2f}   MindSpore {found['mindspore'][part]:6.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
