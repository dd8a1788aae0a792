"""Recorded figures: they are of the shipped model, they reach the bars, and the texts quote them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from plic_lib import checkpoint, shipped
from plic_lib.study import compare

ROOT = Path(__file__).resolve().parent.parent
KODAK = json.loads((ROOT / "data/results/mini_kodak.json").read_text())
VVC = json.loads((ROOT / "data/results/vvc_kodak.json").read_text())["points"]


def vvc_lpips(bpp: float) -> float:
    """VVC's LPIPS at a rate, between its measured points on a logarithmic rate axis."""
    return float(np.interp(math.log(bpp), [math.log(p["bpp"]) for p in VVC], [p["lpips_alex"] for p in VVC]))


def test_figures_are_of_the_shipped_model(mini):
    assert KODAK["hash"] == mini.hash and all(total["pictures"] == 24 for total in KODAK["totals"])


def test_totals_follow_from_the_pictures():
    for total in KODAK["totals"]:
        rows = [row for row in KODAK["pictures"] if row["level"] == total["level"]]
        assert total["bytes"] == sum(row["bytes"] for row in rows)
        assert total["lpips"] == pytest.approx(np.mean([row["lpips"] for row in rows]))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_lpips_is_below_vvc_s_at_equal_rate(level):
    total = KODAK["totals"][level]
    assert total["lpips"] < vvc_lpips(total["mean_bpp"])


@pytest.mark.parametrize("level, target", enumerate([0.07, 0.18, 0.45]))
def test_levels_land_near_their_targets(level, target):
    assert KODAK["totals"][level]["bpp"] == pytest.approx(target, rel=0.15)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_files_cost_little_more_than_the_estimate(level):
    total = KODAK["totals"][level]
    assert total["overhead_without_40_bytes_each"] <= (0.005 if total["bpp"] >= 0.1 else 0.01)


@pytest.mark.parametrize("text", ["docs/results.md", "data/checkpoints/mini.md"])
def test_texts_quote_the_figures(text):
    content = (ROOT / text).read_text()
    for total in KODAK["totals"]:
        rates = f"| {total['level']:g} | {total['bpp']:.4f} | {total['estimated_bpp']:.4f} | {total['psnr']:.2f} "
        row = f"{rates}| {total['ms_ssim']:.4f} | {total['lpips']:.4f} | {vvc_lpips(total['mean_bpp']):.4f} |"
        assert row in content, row


def test_results_quote_the_figures_of_regions(mini):
    recorded = json.loads((ROOT / "data/results/roi_kodak.json").read_text())
    assert recorded["hash"] == mini.hash and recorded["totals"]["pictures"] == 24
    content = (ROOT / "docs/results.md").read_text()
    for name, file in recorded["totals"]["files"].items():
        assert file["bytes"] == sum(row["files"][name]["bytes"] for row in recorded["pictures"])
        figures = f"| {file['bytes']:,} | {file['psnr_inside']:.2f} | {file['psnr_outside']:.2f} "
        figures += f"| {file['lpips_inside']:.4f} | {file['lpips_outside']:.4f} |"
        assert figures in content, figures


# ---------------------------------------------------------------- data/results/kodak.json, by `make results`

RESULT = compare.load("kodak")


def test_results_are_of_the_shipped_models_and_complete():
    ours = {name: found["hash"] for name, found in RESULT["codecs"].items() if found["hash"]}
    assert ours == {name: checkpoint.load(name).hash for name in shipped.available()}
    assert len(RESULT["pictures"]) == 24
    for name, found in RESULT["codecs"].items():
        for point in found["points"]:
            assert all(len(point[column]) == 24 for column in ("bytes", "psnr", "ms_ssim", "lpips", "lpips_squeeze")), name
    assert set(RESULT["codecs"]) | set(RESULT["missing"]) >= {"JPEG", "JPEG 2000", "WebP", "AVIF", "HEVC"}


def test_results_agree_with_the_shipped_model_s_own():
    points = {point["quality"]: point for point in RESULT["codecs"]["mini"]["points"]}
    for total in KODAK["totals"]:
        assert sum(points[total["level"]]["bytes"]) == total["bytes"]
        assert np.mean(points[total["level"]]["lpips"]) == pytest.approx(total["lpips"], abs=1e-4)


def test_the_set_meets_the_three_rates():
    """`mini` does; another model may spend more at its lowest level."""
    for name, rows in RESULT["targets"].items():
        assert [row["target"] for row in rows] == [0.075, 0.15, 0.3]
        for row in rows:
            cannot = name != "mini" and row["level"] == 0 and row["bpp"] > row["target"]
            assert cannot or row["bpp"] == pytest.approx(row["target"], rel=0.02)


@pytest.mark.parametrize("card", sorted(set(shipped.available()) - {"mini"}))
def test_cards_quote_the_figures(card):
    """Of the model and of `mini` beside it."""
    content = (ROOT / f"data/checkpoints/{card}.md").read_text()
    pixels = sum(p["width"] * p["height"] for p in RESULT["pictures"])
    for name in ("mini", card):
        for point in RESULT["codecs"][name]["points"]:
            if point["quality"] in (0, 1, 2):
                psnr, ms_ssim, lpips, squeeze = (np.mean(point[k]) for k in ("psnr", "ms_ssim", "lpips", "lpips_squeeze"))
                row = f"| {point['quality']:g} | {name} | {8 * sum(point['bytes']) / pixels:.4f} | {psnr:.2f} | {ms_ssim:.4f} "
                row += f"| {lpips:.4f} | {squeeze:.4f} | {point['kid_alexnet']:.4f} |"
                assert row in content, row
