import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from plic_lib import checkpoint, codec, datasets, images, metrics, training
from plic_lib.datasets import RandomCrops
from plic_lib.model import Widths
from plic_lib.training import PRESETS, Recipe, Trainer, TrainingError

RECIPE = Recipe(widths=Widths(N=16, M=24), steps=6, batch=2, crop=64, alphas=(1.6, 0.6, 0.2), lpips=0.0)


class NoLPIPS(torch.nn.Module):
    def forward(self, x, x_hat):
        return (x - x_hat).abs().mean((1, 2, 3))


@pytest.fixture(autouse=True)
def without_weights(monkeypatch):
    """These tests are of the loop; the metric has its own."""
    if not metrics.weights_path("alex").is_file():
        monkeypatch.setattr(metrics, "LPIPS", NoLPIPS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures")
    for name in ("coffee", "rocket"):
        images.to_image(datasets.sample(name)).save(path / f"{name}.png")
    (path / "broken.jpg").write_bytes(b"no picture")
    return path


def test_crops_depend_on_seed_and_number_alone(folder):
    with pytest.warns(UserWarning, match="broken.jpg"):
        crops = [RandomCrops([folder], 64, in_memory=kept) for kept in (True, False)]
        first = [crops[0][k] for k in range(30)]
        assert all(torch.equal(crops[1][k], first[k]) for k in reversed(range(30)))
        other = RandomCrops([folder], 64, seed=1)
        assert not torch.equal(other[0], first[0])
    assert first[0].shape == (3, 64, 64) and first[0].min() >= 0 and first[0].max() <= 1


def test_small_pictures_are_enlarged(tmp_path):
    Image.new("RGB", (20, 30), "red").save(tmp_path / "small.png")
    assert RandomCrops([tmp_path], 64)[0].shape == (3, 64, 64)


def test_folders_without_pictures_are_named(tmp_path):
    with pytest.raises(images.ImageError, match="no picture files"):
        RandomCrops([tmp_path], 64)


def test_resuming_changes_nothing(folder, tmp_path):
    whole = Trainer(RECIPE, [folder], tmp_path / "whole")
    whole.run()
    halves = Trainer(RECIPE, [folder], tmp_path / "halves")
    with pytest.raises(KeyboardInterrupt):  # killed after step 4, saved at 2
        halves._log = lambda figures: None
        step = halves._train_step
        halves._train_step = lambda model, x: step(model, x) if halves.step < 4 else (_ for _ in ()).throw(KeyboardInterrupt)
        halves.run(save_every=2)
    resumed = Trainer(RECIPE, [folder], tmp_path / "halves")
    assert resumed.step == 4
    resumed.run()
    a, b = (torch.load(tmp_path / name / "state.pt", weights_only=True)["model"] for name in ("whole", "halves"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_log_and_freezing_and_the_codec(folder, tmp_path):
    Trainer(RECIPE, [folder], tmp_path).run()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[0]["step"] == 6 and {"bpp", "l1", "lpips", "alpha", "gradient"} <= log[0].keys()
    checks = [line["check"] for line in log if "check" in line]
    assert [check["level"] for check in checks] == [0, 1, 2] and all(abs(check["gap"]) < 1 for check in checks)
    model = training.freeze_state(tmp_path / "state.pt", "new")
    checkpoint.save(model, tmp_path / "new.safetensors")
    x = datasets.sample("coffee")[:, :64, :64]
    loaded = checkpoint.load(tmp_path / "new.safetensors")
    assert codec.encode(loaded, x, 1) == codec.encode(model, x, 1)
    codec.decode(loaded, codec.encode(loaded, x, 1))


def test_a_second_stage_begins_with_the_weights_of_the_first(folder, tmp_path):
    first = Trainer(RECIPE, [folder], tmp_path / "first")
    first.run()
    state = training.read_state(tmp_path / "first" / "state.pt")
    second = Trainer(replace(RECIPE, seed=1), [folder], tmp_path / "second", start=state)
    assert all(torch.equal(v, state["model"][k]) for k, v in second.model.state_dict().items())
    second.save()
    again = Trainer(replace(RECIPE, seed=1), [folder], tmp_path / "second")
    assert again.steps_before == 6 and again.step == 0


def test_another_recipe_does_not_resume(folder, tmp_path):
    Trainer(RECIPE, [folder], tmp_path).save()
    with pytest.raises(TrainingError, match="another recipe"):
        Trainer(replace(RECIPE, batch=3), [folder], tmp_path)


def test_nan_stops_with_a_message(folder, tmp_path):
    trainer = Trainer(replace(RECIPE, alphas=(float("nan"),) * 3), [folder], tmp_path)
    with pytest.raises(TrainingError, match="loss is nan at step 0"):
        trainer.run()


def test_a_state_that_is_none_is_refused(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"no state")
    for name in ("x.pt", "none.pt"):
        with pytest.raises(TrainingError, match=name):
            training.read_state(tmp_path / name)


def test_weights_move_from_start_to_end():
    recipe = Recipe(steps=100, hold=0.2, ramp=0.6, alpha_start=0.05, l1_start=0.06, lpips_start=0.0)
    assert recipe.weights(0) == recipe.weights(20) == pytest.approx((0.05, 0.06, 0))
    assert recipe.weights(60) == recipe.weights(99) == pytest.approx((1, recipe.l1, recipe.lpips))
    middle = recipe.weights(40)
    assert 0.05 < middle[0] < 1 and recipe.l1 < middle[1] < 0.06 and middle[2] == pytest.approx(0.5)


def test_learning_rate_and_levels():
    recipe = PRESETS["mini"]
    rates = [recipe.learning_rate_at(step) for step in range(0, recipe.steps, 100)]
    assert rates == sorted(rates, reverse=True) and rates[0] == recipe.learning_rate
    counts = torch.bincount(torch.tensor([recipe.level(step) for step in range(3000)]))
    assert counts.min() > 900 and len(counts) == 3
