"""The benchmark runs and its figures fit together; no time is asserted."""

import torch

from plic_lib import bench, metrics
from plic_lib.model import Widths
from plic_lib.training import Recipe


def test_benchmark_at_a_small_size():
    model = bench.untrained(Widths(N=16, M=24))
    result = bench.against_compressai(model, height=64, width=128, runs=2)
    assert result["pixels"] == [128, 64] and result["bpp"] > 0 and result["compressai_bpp"] > 0
    seconds = result["seconds"]
    assert all(len(values) == 2 and min(values) > 0 for values in result["all_seconds"].values())
    for name, ratio in result["ratios"].items():
        assert ratio == seconds[f"compressai_{name}"] / seconds[name]
    rows = bench.growth(model, sides=(64, 128), runs=1)
    assert [row["side"] for row in rows] == [64, 128] and rows[1]["peak_megabytes"] >= rows[0]["peak_megabytes"] > 50


def test_pictures_of_any_size():
    assert bench.picture(100, 2000).shape == (3, 100, 2000) and not torch.equal(
        bench.picture(600, 600)[0, 0], bench.picture(600, 600)[0, 99]
    )


def test_training_benchmark_at_a_small_size(monkeypatch):
    if not metrics.weights_path("alex").is_file():
        monkeypatch.setattr(metrics, "LPIPS", lambda: torch.nn.Identity())
    recipe = Recipe(widths=Widths(N=16, M=24), batch=1, crop=64, gan=5e-4, discriminator=8, lpips=0.0)
    result = bench.training(recipe, steps=1, runs=1)
    assert set(result["samples_per_second"]) == {"plic", "plic_without_perception", "compressai"}
    assert min(result["samples_per_second"].values()) > 0
