import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch
from PIL import Image

from plic_lib import checkpoint, codec, datasets, images
from plic_lib.datasets import RandomCrops
from plic_lib.errors import TrainingError
from plic_lib.model import Widths
from plic_lib.training import trainer as training
from plic_lib.training.trainer import PRESETS, Recipe, Trainer

RECIPE = Recipe(widths=Widths(N=16, M=24), steps=6, batch=2, crop=64, alphas=(1.6, 0.6, 0.2), lpips=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures")
    for name in ("coffee", "rocket"):
        images.to_image(datasets.sample(name)).save(path / f"{name}.png")
    (path / "broken.jpg").write_bytes(b"no picture")
    return path


def test_crops_depend_on_seed_and_number_alone(folder):
    with pytest.warns(UserWarning, match="broken.jpg"):
        crops = [RandomCrops([folder], 64, keep=kept) for kept in (1e9, 900_000, 0)]  # both pictures, one, none
        first = [crops[0][k] for k in range(30)]
        for fewer in crops[1:]:
            assert all(torch.equal(fewer[k], first[k]) for k in reversed(range(30)))
        assert [len(c.kept) for c in crops] == [2, 1, 0]
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
        halves._train_step = lambda x: step(x) if halves.step < 4 else (_ for _ in ()).throw(KeyboardInterrupt)
        halves.run(save_every=2)
    resumed = Trainer(RECIPE, [folder], tmp_path / "halves")
    assert resumed.step == 4
    resumed.run()
    a, b = (torch.load(tmp_path / name / "state.pt", weights_only=True)["model"] for name in ("whole", "halves"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_log_and_freezing_and_the_codec(folder, tmp_path):
    Trainer(RECIPE, [folder], tmp_path).run()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[0] == {"start": 0, "processes": 1, "device": "cpu", "recipe": json.loads(json.dumps(asdict(RECIPE)))}
    assert log[1]["step"] == 6 and {"bpp", "l1", "lpips", "alpha", "gradient"} <= log[1].keys()
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


def test_a_stage_with_the_discriminator(folder, tmp_path):
    """It starts from a checkpoint, the discriminator joins at half, and a killed run ends as a whole one."""
    start = training.start_from("mini")
    recipe = replace(PRESETS["mini-gan"], steps=4, batch=2, crop=64, gan_from=0.5, discriminator=8, lpips=0.0, precision="no")
    whole = Trainer(recipe, [folder], tmp_path / "whole", start)
    before = {k: v.clone() for k, v in whole.discriminator.state_dict().items()}
    figures = []
    step = whole._train_step
    whole._train_step = lambda x: figures.append(step(x)) or figures[-1]
    whole.run(save_every=3)
    assert ["gan" in f for f in figures] == [False, False, True, True]
    assert any(not torch.equal(v, before[k]) for k, v in whole.discriminator.state_dict().items())
    (tmp_path / "halves").mkdir()
    halves = Trainer(recipe, [folder], tmp_path / "halves", start)
    for x in halves._batches():
        halves._train_step(x)
        halves.step += 1
        if halves.step == 3:
            halves.save()
            break
    resumed = Trainer(recipe, [folder], tmp_path / "halves", start)
    resumed.run()
    assert resumed.steps_before == start["step"]
    for a, b in ((whole.model, resumed.model), (whole.discriminator, resumed.discriminator)):
        assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_gradients_reach_only_the_right_network(folder, tmp_path):
    trainer = Trainer(replace(RECIPE, gan=1.0, discriminator=8), [folder], tmp_path)
    x, x_hat = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64, requires_grad=True)
    trainer._adversarial(x, x_hat).backward()
    assert x_hat.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in trainer.discriminator.parameters())
    output = trainer.model(x, torch.ones(1, 1), [0, 1])
    trainer._train_discriminator(x, output.x_hat, 1.0)
    assert all(p.grad is not None for p in trainer.discriminator.parameters())
    assert all(p.grad is None for p in trainer.model.parameters())


def test_networks_of_other_widths_are_refused(folder, tmp_path):
    with pytest.raises(TrainingError, match="other widths"):
        Trainer(RECIPE, [folder], tmp_path, training.start_from("mini"))


def test_two_processes_end_as_one(folder, tmp_path):
    """The same 20 steps, the discriminator among them, in one process and shared by two.

    They start from a trained model, with small steps: last bits of a sum that turn a rounding over are amplified otherwise.
    """
    settings = [
        "steps=20",
        "learning_rate=2e-5",
        "gan=0.005",
        "batch=2",
        "crop=64",
        'precision="no"',
        "lpips=0",
        "gan_from=0.25",
        "discriminator=8",
    ]
    train = ["-m", "plic_lib", "train", "--preset", "mini-gan", "--from", "mini", "--data", str(folder), "--set", *settings, "--out"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines", "1", "--num_processes"]
    runs = []
    for number in ("1", "2"):
        out = tmp_path / number
        command = [*launch, number, *(["--multi_gpu"] if number == "2" else ["--cpu"]), *train, str(out)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
        )
        assert done.returncode == 0, done.stderr[-2000:]
        log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        assert log[0]["processes"] == int(number)
        runs.append((next(line for line in log if "loss" in line), torch.load(out / "state.pt", weights_only=True)))
    (one, state_one), (two, state_two) = runs
    assert one["step"] == two["step"] == 20
    for name in ("loss", "bpp", "l1", "gan", "discriminator"):
        assert two[name] == pytest.approx(one[name], rel=1e-4), name
    for part in ("model", "discriminator"):  # as a whole: Adam makes a full step of the smallest gradient's sign
        a, b = (torch.cat([v.flatten() for v in state[part].values()]) for state in (state_one, state_two))
        assert (a - b).norm() < 1e-4 * a.norm()


KILLED = """
import sys
from plic_lib.model import Widths
from plic_lib.training.trainer import Recipe, Trainer
recipe = Recipe(widths=Widths(N=16, M=24), steps=60, batch=2, crop=64, alphas=(1.6, 0.6, 0.2), lpips=0.0)
Trainer(recipe, [sys.argv[1]], sys.argv[2]).run(save_every=5)
"""


def test_killed_at_any_moment_it_ends_with_the_same_weights(folder, tmp_path):
    """SIGKILL to a training at work, twice; what was saved is whole each time."""
    for name, kills in (("whole", ()), ("killed", (5, 30))):
        state = tmp_path / name / "state.pt"
        for seen in (*kills, None):
            run = subprocess.Popen([sys.executable, "-c", KILLED, folder, tmp_path / name], stderr=subprocess.DEVNULL)
            while seen and not (state.exists() and training.read_state(state)["step"] >= seen):
                assert run.poll() is None
            if seen:
                run.kill()
            assert run.wait() == (-9 if seen else 0)
    a, b = (training.read_state(tmp_path / name / "state.pt") for name in ("whole", "killed"))
    assert a["step"] == b["step"] == 60
    assert all(torch.equal(value, b["model"][key]) for key, value in a["model"].items())


def test_another_recipe_does_not_resume(folder, tmp_path):
    Trainer(RECIPE, [folder], tmp_path).save()
    with pytest.raises(TrainingError, match="another recipe"):
        Trainer(replace(RECIPE, batch=3), [folder], tmp_path)


def test_processes_that_resume_at_different_steps_are_stopped(folder, tmp_path, monkeypatch):
    """As when --out is a folder of its own on each machine."""
    monkeypatch.setattr(training, "gather_object", lambda steps: [*steps, 4])
    with pytest.raises(TrainingError, match="disk that all of them share"):
        Trainer(RECIPE, [folder], tmp_path)


def test_nan_stops_with_a_message(folder, tmp_path):
    trainer = Trainer(replace(RECIPE, alphas=(float("nan"),) * 3), [folder], tmp_path)
    with pytest.raises(TrainingError, match="at step 0 .*loss nan"):
        trainer.run()


def test_a_broken_gradient_changes_neither_weights_nor_the_saved_state(folder, tmp_path):
    """The loss may be finite and its gradient not: sqrt at zero."""
    trainer = Trainer(replace(RECIPE, gan=1e-3, discriminator=8), [folder], tmp_path)
    trainer.save()
    for module, name in ((training.losses, "l1"), (training, "discriminator_loss")):
        whole = getattr(module, name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, lambda a, b, whole=whole: whole(a, b) + torch.sqrt((b - b).abs()).sum())
            with pytest.raises(TrainingError, match="gradient nan"):
                trainer.run(save_every=1)
        for network in (trainer.model, trainer.discriminator):
            assert all(torch.isfinite(v).all() for v in network.state_dict().values())
        assert training.read_state(tmp_path / "state.pt")["step"] == 0


def test_a_state_that_is_none_is_refused(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"no state")
    for name in ("x.pt", "none.pt"):
        with pytest.raises(TrainingError, match=name):
            training.read_state(tmp_path / name)


def test_weights_move_from_start_to_end():
    recipe = Recipe(steps=100, alphas=(2.0,), alpha_scale=0.5, hold=0.2, ramp=0.6, alpha_start=0.05, l1_start=0.06, lpips_start=0.0)
    assert recipe.weights(0) == recipe.weights(20) == pytest.approx((0.05, 0.06, 0, 0))
    assert recipe.weights(60) == recipe.weights(99) == pytest.approx((1, recipe.l1, recipe.lpips, 0))
    at_once = replace(recipe, hold=0.5, ramp=0.5)
    assert at_once.weights(49) == recipe.weights(0) and at_once.weights(50) == recipe.weights(60)
    middle = recipe.weights(40)
    assert 0.05 < middle.rate < 1 and recipe.l1 < middle.l1 < 0.06 and middle.lpips == pytest.approx(0.5)


def test_the_papers_settings():
    """Sections 2.2, 3 and 3.1."""
    low, mid, high = (PRESETS[f"paper-{name}"] for name in ("low", "mid", "high"))
    assert (low.alphas, mid.alphas, high.alphas) == ((4.7, 2.6, 1.6), (2.0, 1.35, 0.75), (1.0, 0.6, 0.45))
    assert (low.l1, mid.l1, high.l1) == (0.04, 0.01, 0.01)
    assert (low.widths.pooled, mid.widths.pooled, high.widths.pooled) == (True, False, False)
    for recipe in (low, mid, high):
        assert (recipe.crop, recipe.batch, recipe.lpips, recipe.gan, recipe.widths.N, recipe.widths.levels) == (256, 8, 1.0, 5e-4, 192, 3)
        assert recipe.weights(0).l1 == recipe.l1 and recipe.weights(0).gan == 0 and recipe.weights(recipe.steps // 2).gan == 5e-4
        rates = [recipe.learning_rate * recipe.decay_at(step) for step in (0, 159_999, 160_000, 499_999, 500_000)]
        assert rates == [1e-4, 1e-4, 5e-5, 5e-5, 2.5e-5]


def test_learning_rate_and_levels():
    recipe = PRESETS["mini"]
    rates = [recipe.decay_at(step) for step in range(0, recipe.steps, 100)]
    assert rates == sorted(rates, reverse=True) and rates[0] == 1
    counts = torch.bincount(torch.tensor([recipe.level(step) for step in range(3000)]))
    assert counts.min() > 900 and len(counts) == 3
