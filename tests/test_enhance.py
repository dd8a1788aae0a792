"""The network after a classic codec: starts as the identity, learns, resumes, is compared at equal bytes."""

from dataclasses import replace

import pytest
import torch

from plic_lib import datasets, images, metrics
from plic_lib.errors import TrainingError
from plic_lib.study import codecs, enhance, rivals
from plic_lib.study.ablation import recipe
from plic_lib.study.pictures import look_at
from plic_lib.training import crops, losses

CODEC = rivals.CODECS["AVIF"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("coffee", "chelsea"):
        images.to_image(datasets.sample(name)[:, :200, :267]).save(tmp_path / "pictures" / f"{name}.png")
    return tmp_path / "pictures"


@pytest.fixture
def short():
    """A few steps on L1 alone, so that no weights of LPIPS are needed."""
    return replace(recipe("base", 0, steps=6), batch=2, crop=64, lpips=0.0, precision="no")


def test_it_starts_as_the_identity_at_any_size():
    x = torch.rand(1, 3, 37, 50)
    assert torch.equal(enhance.Enhancer()(x), x)


def test_pairs_are_crops_and_what_the_codec_makes_of_them(folder):
    plain = crops.RandomCrops([folder], 64, seed=3)
    pairs = enhance.DecodedCrops(plain, CODEC, 0, 20)
    x, decoded = pairs[5]
    assert torch.equal(x, plain[5]) and torch.equal(pairs[5], pairs[5])
    assert 15 < metrics.psnr(x, decoded) < 45


def test_training_resumes_to_the_same_weights(folder, short, tmp_path):
    whole = enhance.train(short, CODEC, (0, 20), [folder], tmp_path / "whole")
    stopped = crops.RandomCrops.__getitem__
    asked = []

    def interrupted(self, k):
        asked.append(k)
        if k == 8:
            raise KeyboardInterrupt
        return stopped(self, k)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(crops.RandomCrops, "__getitem__", interrupted)
        enhance.train(short, CODEC, (0, 20), [folder], tmp_path / "parts", save_every=3)
    resumed = enhance.train(short, CODEC, (0, 20), [folder], tmp_path / "parts", save_every=3)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values()))
    with pytest.raises(TrainingError, match="of another training"):
        enhance.train(short, CODEC, (0, 30), [folder], tmp_path / "parts")


def test_it_learns_to_repair(folder, short, tmp_path):
    longer = replace(short, steps=80, learning_rate=2e-3, batch=4)
    jpeg = rivals.CODECS["JPEG"]  # its blocks are easy to repair
    network = enhance.train(longer, jpeg, (4, 8), [folder], tmp_path / "run")
    x = datasets.sample("coffee")[:, 200:, 267:]  # not seen
    decoded = jpeg.decode(jpeg.encode(x, 5))
    before, after = losses.l1(x, decoded), losses.l1(x, enhance.repair(network, decoded))
    assert after < 0.97 * before, (before, after)


def test_other_pictures_or_another_encoder_are_another_training(folder, short, tmp_path):
    """Whatever the folders are called."""
    once = replace(recipe("base", 0, steps=1), batch=2, crop=64, lpips=0.0, precision="no")
    enhance.train(once, CODEC, (0, 20), [folder], tmp_path / "run")
    moved = folder.rename(tmp_path / "moved")
    enhance.train(once, CODEC, (0, 20), [moved], tmp_path / "run")
    (moved / "coffee.png").unlink()
    with pytest.raises(TrainingError, match="of another training"):
        enhance.train(once, CODEC, (0, 20), [moved], tmp_path / "run")


@pytest.mark.parametrize("container", [True, False])
def test_comparison_is_at_equal_bytes(tiny, folder, container):
    (folder / "chelsea.png").unlink()
    images.to_image(datasets.sample("coffee")[:, 100:228, 200:360]).save(folder / "coffee.png")
    low, high = enhance.compare(tiny, enhance.Enhancer().eval(), CODEC, look_at(folder), [0.0, 2.0], container)
    for files in (low["files"], high["files"]):
        assert set(files) == {"end_to_end", "classic", "repaired"} and files["classic"]["bytes"] == files["repaired"]["bytes"]
        (own,), (other,) = (files[name]["pictures"] for name in ("end_to_end", "classic"))
        assert own["bytes"] == pytest.approx(other["bytes"], rel=0.01) and own["picture"] == other["picture"]
        assert other["container_bytes"] > 200 and other["bpp"] == metrics.bpp(other["bytes"], other["height"], other["width"])
        assert files["repaired"]["psnr"] == pytest.approx(files["classic"]["psnr"])  # the identity so far
    assert high["files"]["end_to_end"]["bytes"] > low["files"]["end_to_end"]["bytes"]
    data = codecs.ours(tiny).encode(images.read(folder / "coffee.png"), 2.0)
    assert other["bytes"] + (0 if container else other["container_bytes"]) <= len(data)


def test_the_sheet_begins_with_the_originals(tiny):
    sheet = enhance.sheet(tiny, enhance.Enhancer().eval(), rivals.JPEG, 1.0)
    assert sheet.shape == (3, 2 * enhance.PIECE, 4 * enhance.PIECE)
    left, top = enhance.PIECES["chelsea"]
    assert torch.equal(sheet[:, : enhance.PIECE, : enhance.PIECE], datasets.sample("chelsea")[:, top : top + 128, left : left + 128])
    classic, repaired = (sheet[:, :, k * enhance.PIECE : (k + 1) * enhance.PIECE] for k in (1, 2))
    assert (classic - repaired).abs().max() <= 0.501 / 255  # the identity so far
