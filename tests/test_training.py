import copy
import json
import math
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from PIL import Image

from plic_lib import checkpoint, codec, datasets, images
from plic_lib.commands.main import main
from plic_lib.errors import ImageError, TrainingError, UsageError
from plic_lib.gain import GainUnits
from plic_lib.model import Widths
from plic_lib.training import codec_task as codec_task_module
from plic_lib.training import losses, states, trainer
from plic_lib.training.codec_task import CodecTask
from plic_lib.training.crops import RandomCrops
from plic_lib.training.presets import PRESETS
from plic_lib.training.recipe import Recipe
from plic_lib.training.task import Task
from plic_lib.training.trainer import Trainer

from .conftest import tiny_model

RECIPE = Recipe(widths=Widths(N=16, M=24), steps=6, batch=2, crop=64, alphas=(1.6, 0.6, 0.2), lpips=0.0, decay=(), ramp=3)


def trained(recipe, folder, out, start=None, begin=None):
    return Trainer(CodecTask(recipe, start), [folder], out, begin)


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


def killed_after(run, steps, **options):
    """Run until so many steps are done, then as if killed: nothing is written any more."""
    step = run.task.step
    run.task.step = lambda number, x: step(number, x) if number < steps else (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        run.run(**options)


def same_weights(*folders, part="model"):
    a, b = (states.read(folder / "state.pt")[part] for folder in folders)
    return all(torch.equal(a[key], b[key]) for key in a)


FULL = replace(RECIPE, optimizer="soap", average=0.9, cooldown=2, targets=(0.1, 0.2, 0.4), mse=1e-3, ramp=1, warmup=2)


@pytest.mark.parametrize("recipe", [RECIPE, FULL], ids=["adam", "soap, averages, cooldown, steered alphas"])
def test_resuming_changes_nothing(folder, tmp_path, recipe):
    every = {"save_every": 2, "check_every": 2}
    whole = trained(recipe, folder, tmp_path / "whole")
    whole.run(**every)
    killed_after(trained(recipe, folder, tmp_path / "halves"), 4, **every)
    resumed = trained(recipe, folder, tmp_path / "halves")
    assert resumed.step == 4
    resumed.run(**every)
    assert same_weights(tmp_path / "whole", tmp_path / "halves")
    if recipe.average:
        assert same_weights(tmp_path / "whole", tmp_path / "halves", part="average")
    assert whole.task.alphas == resumed.task.alphas
    assert (whole.task.alphas == list(recipe.alphas)) == (not recipe.targets)


def test_a_run_killed_between_saving_and_checking_makes_up_for_the_check(folder, tmp_path):
    """The check steers the alphas, so it must not be left out."""
    every = {"save_every": 2, "check_every": 2}
    whole = trained(FULL, folder, tmp_path / "whole")
    whole.run(**every)
    halves = trained(FULL, folder, tmp_path / "halves")
    halves._check = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        halves.run(**every)
    resumed = trained(FULL, folder, tmp_path / "halves")
    assert resumed.step == 2
    resumed.run(**every)
    assert whole.task.alphas == resumed.task.alphas and same_weights(tmp_path / "whole", tmp_path / "halves")


def test_a_cooldown_branches_off_any_state(folder, tmp_path):
    """It goes on from the whole state, in its own folder, down to a learning rate of zero; the run itself can go on too."""
    endless = replace(FULL, steps=100, cooldown=0)
    run = trained(endless, folder, tmp_path / "run")
    killed_after(run, 4, save_every=4, check_every=4)
    state = states.read(tmp_path / "run" / "state.pt")
    recipe = Recipe.from_json(state["recipe"]).branched(state["step"], 3, ["crop=128"])
    assert (recipe.steps, recipe.cooldown, recipe.crop) == (7, 3, 128) and recipe.rate_factor(4) == 1 and recipe.rate_factor(6) < 0.2
    branch = trained(recipe, folder, tmp_path / "branch", begin=state)
    assert branch.step == 4 and branch.task.optimizer.state_dict()["state"] and branch.task.alphas == state["alphas"]
    branch.run(save_every=1, check_every=1)
    assert states.read(tmp_path / "branch" / "state.pt")["step"] == 7
    assert branch.task.alphas == state["alphas"], "steering ends where the cooldown begins"
    assert trained(recipe, folder, tmp_path / "branch", begin=state).step == 7  # its own state comes first
    assert states.read(tmp_path / "run" / "state.pt")["step"] == 4


def test_alphas_follow_their_rates(folder, tmp_path):
    task = CodecTask(FULL)
    rows = [{"level": level, "bpp": bpp} for level, bpp in enumerate((0.2, 0.2, 0.0001))]
    task.checked(2, rows)
    too_many, right, too_few = (now / then for now, then in zip(task.alphas, FULL.alphas))
    assert too_many > 1.1 and right == 1 and 0.5 < too_few < 0.95
    for step in (0, 4, 5):  # before the ramp's end, in the cooldown
        before = list(task.alphas)
        task.checked(step, rows)
        assert task.alphas == before


def test_log_and_freezing_and_the_codec(folder, tmp_path):
    trained(RECIPE, folder, tmp_path).run()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[0] == {
        "start": 0,
        "processes": 1,
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "data": RandomCrops([folder], 64).listing(),
        "recipe": json.loads(RECIPE.to_json()),
    }
    assert log[1]["step"] == 6 and {"bpp", "l1", "lpips", "alpha", "gradient"} <= log[1].keys()
    checks = [line["check"] for line in log if "check" in line]
    assert [check["level"] for check in checks] == [0, 1, 2] and all(abs(check["gap"]) < 1 for check in checks)
    model = states.freeze_state(tmp_path / "state.pt", "new")
    checkpoint.save(model, tmp_path / "new.safetensors")
    x = datasets.sample("coffee")[:, :64, :64]
    loaded = checkpoint.load(tmp_path / "new.safetensors")
    assert codec.encode(loaded, x, 1) == codec.encode(model, x, 1)
    codec.decode(loaded, codec.encode(loaded, x, 1))


def test_a_lower_level_becomes_the_highest():
    units = GainUnits(5)
    for theta in units.parameters():
        torch.nn.init.normal_(theta)
    lower = copy.deepcopy(units)
    states.lower_top_(lower, 1.8)
    before, after = torch.tensor([[0.0, 0.4, 1.0, 1.2, 1.8]]), torch.tensor([[0.0, 0.4, 1.0, 1.25, 2.0]])
    torch.testing.assert_close(lower.gain(after), units.gain(before))
    torch.testing.assert_close(lower.inverse_gain(after), units.inverse_gain(before))
    for top in (1.0, 2.0, math.nan):
        with pytest.raises(TrainingError, match="between 1 and 2"):
            states.lower_top_(units, top)


def test_what_is_frozen_are_the_averaged_weights(folder, tmp_path):
    run = trained(replace(FULL, targets=()), folder, tmp_path)
    run.run()
    state = states.read(tmp_path / "state.pt")
    assert not all(torch.equal(v, state["average"][k]) for k, v in state["model"].items())
    frozen = states.freeze_state(tmp_path / "state.pt", "new").networks.state_dict()
    assert all(torch.allclose(frozen[k], v, rtol=1e-3, atol=1e-6) for k, v in state["average"].items() if k.endswith("weight"))


def test_a_second_stage_begins_with_the_weights_of_the_first(folder, tmp_path):
    trained(RECIPE, folder, tmp_path / "first").run()
    start = states.start_from(tmp_path / "first" / "state.pt")
    second = trained(replace(RECIPE, seed=1), folder, tmp_path / "second", start)
    assert all(torch.equal(v, start["model"][k]) for k, v in second.task.model.state_dict().items())
    other_name = Path(shutil.copy(tmp_path / "first" / "state.pt", tmp_path / "first.safetensors"))
    assert states.start_from(other_name)["steps_before"] == 6 and not states.is_state("mini")
    second.save()
    again = trained(replace(RECIPE, seed=1), folder, tmp_path / "second")
    assert again.task.steps_before == 6 and again.step == 0


@pytest.mark.parametrize("about", [{}, {"step": "many"}])
def test_a_second_stage_begins_with_a_checkpoint_that_says_nothing_of_its_past(about, folder, tmp_path):
    model = tiny_model()
    path = tmp_path / "foreign.safetensors"
    checkpoint.save(checkpoint.TrainedModel("foreign", checkpoint.round_weights_(model.networks), model.frozen, about), path)
    second = trained(RECIPE, folder, tmp_path / "second", states.start_from(path))
    assert second.task.steps_before == 0 and torch.equal(second.task.model.context.weight, model.networks.context.weight)


def test_a_stage_with_the_discriminator(folder, tmp_path):
    """It starts from a checkpoint, the discriminator joins at half, and a killed run ends as a whole one."""
    start = states.start_from("mini")
    changes = {"steps": 4, "decay": (), "batch": 2, "crop": 64, "gan_from": 2, "discriminator": 8, "lpips": 0.0, "precision": "no"}
    recipe = replace(PRESETS["mini-gan"], **changes)
    whole = trained(recipe, folder, tmp_path / "whole", start)
    before = {k: v.clone() for k, v in whole.task.discriminator.state_dict().items()}
    figures = []
    step = whole.task.step
    whole.task.step = lambda number, x: figures.append(step(number, x)) or figures[-1]
    whole.run(save_every=3)
    assert ["discriminator" in f for f in figures] == [False, False, True, True]
    assert any(not torch.equal(v, before[k]) for k, v in whole.task.discriminator.state_dict().items())
    killed_after(trained(recipe, folder, tmp_path / "halves", start), 3, save_every=3)
    resumed = trained(recipe, folder, tmp_path / "halves", start)
    resumed.run()
    assert resumed.task.steps_before == start["steps_before"]
    assert all(same_weights(tmp_path / "whole", tmp_path / "halves", part=part) for part in ("model", "discriminator"))


def test_gradients_reach_only_the_right_network(folder, tmp_path):
    task = trained(replace(RECIPE, gan=1.0, discriminator=8), folder, tmp_path).task
    x, x_hat = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64, requires_grad=True)
    task._adversarial(x, x_hat).backward()
    assert x_hat.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in task.discriminator.parameters())
    output = task.model(x, torch.ones(1, 1), [0, 1])
    task._train_discriminator(0, x, output.x_hat)
    assert all(p.grad is not None for p in task.discriminator.parameters())
    assert all(p.grad is None for p in task.model.parameters())


def test_networks_of_other_widths_are_refused(folder, tmp_path):
    with pytest.raises(TrainingError, match="other widths"):
        trained(RECIPE, folder, tmp_path, states.start_from("mini"))


def test_two_processes_end_as_one(folder, tmp_path):
    """The same 20 steps, the discriminator among them, in one process and shared by two.

    They start from a trained model, with small steps: last bits of a sum that turn a rounding over are amplified otherwise.
    """
    settings = [
        "steps=20",
        "learning_rate=5e-6",
        "gan=0.005",
        "batch=2",
        "crop=64",
        "precision=no",
        "lpips=0",
        "gan_from=5",
        "discriminator=8",
        "discriminator_rate=5e-6",
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
from plic_lib.training.codec_task import CodecTask
from plic_lib.training.recipe import Recipe
from plic_lib.training.trainer import Trainer
recipe = Recipe(widths=Widths(N=16, M=24), steps=60, batch=2, crop=64, optimizer="soap", lpips=0.0, ramp=30)
Trainer(CodecTask(recipe), [sys.argv[1]], sys.argv[2]).run(save_every=5)
"""


def test_killed_at_any_moment_it_ends_with_the_same_weights(folder, tmp_path):
    """SIGKILL to a training at work, twice; what was saved is whole each time."""
    for name, kills in (("whole", ()), ("killed", (5, 30))):
        state = tmp_path / name / "state.pt"
        for seen in (*kills, None):
            run = subprocess.Popen([sys.executable, "-c", KILLED, folder, tmp_path / name], stderr=subprocess.DEVNULL)
            while seen and not (state.exists() and states.read(state)["step"] >= seen):
                assert run.poll() is None
            if seen:
                run.kill()
            assert run.wait() == (-9 if seen else 0)
    a, b = (states.read(tmp_path / name / "state.pt") for name in ("whole", "killed"))
    assert a["step"] == b["step"] == 60
    assert all(torch.equal(value, b["model"][key]) for key, value in a["model"].items())


def test_another_recipe_does_not_resume(folder, tmp_path):
    trained(RECIPE, folder, tmp_path).save()
    with pytest.raises(TrainingError, match="another recipe"):
        trained(replace(RECIPE, batch=3), folder, tmp_path)


def test_a_run_that_goes_on_with_other_pictures_says_so(folder, tmp_path, recwarn):
    """A picture was added; the same ones elsewhere are no others."""
    moved, more = (Path(shutil.copytree(folder, tmp_path / name)) for name in ("moved", "more"))
    Image.new("RGB", (70, 80), "red").save(more / "new.png")
    trained(RECIPE, folder, tmp_path / "run").save()
    assert trained(RECIPE, moved, tmp_path / "run").listing["pictures"] == 3 and not recwarn.list
    with pytest.warns(UserWarning, match=r"other pictures \(3, now 4, by names"):
        trained(RECIPE, more, tmp_path / "run").save()
    assert states.read(tmp_path / "run" / "state.pt")["data"]["pictures"] == 4


def test_processes_that_resume_at_different_steps_are_stopped(folder, tmp_path, monkeypatch):
    """As when --out is a folder of its own on each machine."""
    monkeypatch.setattr(trainer, "gather_object", lambda steps: [*steps, 4])
    with pytest.raises(TrainingError, match="disk that all of them share"):
        trained(RECIPE, folder, tmp_path)


def test_two_trainings_do_not_share_a_folder(folder, tmp_path):
    first, second = (trained(RECIPE, folder, tmp_path) for _ in range(2))
    step = first.task.step

    def meanwhile(number, x):
        with pytest.raises(TrainingError, match="another training writes there"):
            second.run()
        return step(number, x)

    first.task.step = meanwhile
    first.run()
    trained(RECIPE, folder, tmp_path).run()


def test_an_interrupted_training_goes_on_in_the_same_process(folder, tmp_path, monkeypatch):
    """A notebook keeps the last error, and with it all that its functions held."""
    run = trained(RECIPE, folder, tmp_path)
    with pytest.raises(KeyboardInterrupt) as kept, monkeypatch.context() as patch:
        patch.setattr(run.task, "step", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        run.run()
    run.run()
    assert run.step == RECIPE.steps and kept.value.__traceback__ is not None


def test_a_picture_that_cannot_be_read_is_one_sentence_whoever_reads_it(folder, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "broken.png").write_bytes(b"no picture")
    words = []
    for workers in (0, 1):
        with pytest.raises(ImageError) as caught:
            next(Trainer(CodecTask(RECIPE), [str(tmp_path / "data")], tmp_path / "out", workers=workers).batches())
        words.append(str(caught.value))
    assert words == ["none of the training pictures can be read"] * 2


def test_nan_stops_with_a_message(folder, tmp_path):
    run = trained(replace(RECIPE, alphas=(float("nan"),) * 3), folder, tmp_path)
    with pytest.raises(TrainingError, match="at step 0 .*loss nan"):
        run.run()


def test_a_broken_gradient_changes_neither_weights_nor_the_saved_state(folder, tmp_path):
    """The loss may be finite and its gradient not: sqrt at zero."""
    run = trained(replace(RECIPE, gan=1e-3, discriminator=8), folder, tmp_path)
    run.save()
    for module, name in ((losses, "l1"), (codec_task_module, "discriminator_loss")):
        whole = getattr(module, name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, lambda a, b, whole=whole: whole(a, b) + torch.sqrt((b - b).abs()).sum())
            with pytest.raises(TrainingError, match="gradient nan"):
                run.run(save_every=1)
        for network in (run.task.model, run.task.discriminator):
            assert all(torch.isfinite(v).all() for v in network.state_dict().values())
        assert states.read(tmp_path / "state.pt")["step"] == 0


def test_a_state_that_is_none_is_refused(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"no state")
    for name in ("x.pt", "none.pt"):
        with pytest.raises(TrainingError, match=name):
            states.read(tmp_path / name)


def test_a_state_of_other_networks_is_not_frozen(folder, tmp_path):
    """Such as that of ``plic enhance``, whose network repairs pictures."""
    run = trained(RECIPE, folder, tmp_path)
    run.save()
    state = states.read(tmp_path / "state.pt")
    torch.save(state | {"model": {"0.weight": torch.zeros(3)}}, tmp_path / "state.pt")
    with pytest.raises(TrainingError, match="state.pt: a training's state, but not of a codec"):
        states.freeze_state(tmp_path / "state.pt", "new")


@pytest.mark.parametrize(
    "change,words",
    [
        ("alphas=3", "a list of numbers"),
        ("alphas=[1,2]", "one number for each of the 3 levels"),
        ('steps="abc"', "steps is a whole number"),
        ("steps=abc", "'abc' is not a whole number"),
        ("steps=0", "at least 1"),
        ("crop=100", "a multiple of 64"),
        ("learning_rate=NaN", "learning_rate is a number"),
        ("optimizer=sgd", "adam or soap"),
        ("lpips_shift=209", "between 0 and crop"),
        ("alphas=[[1,2],3,4]", "one number for each of the 3 levels"),
        ("targets=[0,0.1,0.2]", "above 0"),
        ("decay=[1000,0.5]", "a list of pairs"),
        ("decay=[[1000]]", "a list of pairs"),
        ("downscale=[0.5]", "two factors above 0"),
        ("downscale=[0,1]", "two factors above 0"),
        ("downscale=[2,1]", "two factors above 0"),
        ("seed=-1", "between 0 and 8388607"),
        ("seed=20261126", "between 0 and 8388607"),
        ("clip=0", "above 0"),
        ("learning_rate=0", "above 0"),
        ("warmup=-1", "at least 0"),
        ("discriminator=0", "at least 1"),
        ("speed=3", "no field 'speed'"),
    ],
)
def test_settings_that_no_training_can_have(change, words):
    with pytest.raises(UsageError, match=words):
        PRESETS["mini"].replaced([change])


def test_weights_move_from_start_to_end():
    times = {"hold": 20, "ramp": 60}
    recipe = Recipe(steps=100, widths=Widths(levels=1), alphas=(2.0,), alpha_start=0.05, l1_start=0.06, lpips_start=0.0, **times)
    assert recipe.weights(0) == recipe.weights(20) == pytest.approx((0.1, 0.06, 0, 0, 0))
    assert recipe.weights(60) == recipe.weights(99) == pytest.approx((2, recipe.l1, recipe.lpips, 0, 0))
    at_once = replace(recipe, hold=50, ramp=50)
    assert at_once.weights(49) == recipe.weights(0) and at_once.weights(50) == recipe.weights(60)
    middle = recipe.weights(40)
    assert 0.1 < middle.rate < 2 and recipe.l1 < middle.l1 < 0.06 and middle.lpips == pytest.approx(0.5)
    assert recipe.weights(99, 0, alpha=5.0).rate == 5


def test_the_papers_settings():
    """Sections 2.2, 3 and 3.1."""
    low, mid, high = (PRESETS[f"paper-{name}"] for name in ("low", "mid", "high"))
    assert (low.alphas, mid.alphas, high.alphas) == ((4.7, 2.6, 1.6), (2.0, 1.35, 0.75), (1.0, 0.6, 0.45))
    assert (low.l1, mid.l1, high.l1) == (0.04, 0.01, 0.01)
    assert (low.widths.pooled, mid.widths.pooled, high.widths.pooled) == (True, False, False)
    for recipe in (low, mid, high):
        assert (recipe.crop, recipe.batch, recipe.lpips, recipe.gan, recipe.widths.N, recipe.widths.levels) == (256, 8, 1.0, 5e-4, 192, 3)
        assert (recipe.optimizer, recipe.average, recipe.lpips_shift, recipe.mse, recipe.targets) == ("adam", 0, 0, 0, ())
        assert recipe.weights(0).l1 == recipe.l1 and recipe.weights(0).gan == 0 and recipe.weights(recipe.steps // 2).gan == 5e-4
        rates = [recipe.learning_rate * recipe.rate_factor(step) for step in (0, 159_999, 160_000, 499_999, 500_000)]
        assert rates == [1e-4, 1e-4, 5e-5, 5e-5, 2.5e-5]
        short = recipe.replaced(["steps=800"])
        assert (short.decay, short.ramp, short.gan_from) == (((160, 0.5), (500, 0.25)), 400, 400)


def test_learning_rate_and_levels():
    recipe = replace(PRESETS["mini"], cooldown=50_000)
    rates = [recipe.rate_factor(step) for step in range(0, recipe.steps, 50)]
    top = rates.index(max(rates))
    assert rates[0] < 0.02 and top == 2 and rates[top:] == sorted(rates[top:], reverse=True) and rates[-1] < 0.01
    assert recipe.rate_factor(150_000) == 0.5 and recipe.rate_factor(162_500) == pytest.approx(0.25)  # 1 - sqrt(1/4)
    counts = torch.bincount(torch.tensor([recipe.level(step) for step in range(3000)]))
    assert counts.min() > 900 and len(counts) == 3


def test_a_recipe_outlives_later_settings():
    recipe = replace(PRESETS["mini"], alphas=(3.0, 1.0, 0.1))
    values = json.loads(recipe.to_json())
    assert Recipe.from_json(json.dumps(values)) == recipe
    del values["mse"], values["gan_from"]
    assert Recipe.from_json(json.dumps(values)) == recipe


def test_the_window_of_lpips_moves(needs_lpips, folder, tmp_path):
    recipe = replace(RECIPE, lpips=1.0, lpips_shift=32, crop=128)
    task = trained(recipe, folder, tmp_path).task
    x = torch.rand(1, 3, 128, 128)
    seen = []
    task.perceptual.features = lambda picture, features=task.perceptual.features: seen.append(picture) or features(picture)
    for number in range(40):
        task._lpips(number, x, x)
    assert all(picture.shape == (1, 3, 96, 96) for picture in seen)
    assert len({picture.storage_offset() for picture in seen}) > 30 and torch.equal(seen[0], seen[1])


def test_the_window_of_lpips_does_not_depend_on_the_level(folder, tmp_path):
    recipe = replace(RECIPE, lpips=1.0, lpips_shift=8)
    task = SimpleNamespace(recipe=recipe, accelerator=SimpleNamespace(autocast=nullcontext), perceptual=Mock())
    seen = set()
    x = torch.arange(float(recipe.crop))[:, None].expand(1, 3, recipe.crop, recipe.crop)
    for number in range(600):
        Task._lpips(task, number, x, x)
        seen.add((recipe.level(number), int(task.perceptual.features.call_args_list[-2].args[0][0, 0, 0, 0])))
    assert len(seen) == 3 * 9


def test_a_restart_file_is_enough_to_go_on(folder, tmp_path):
    """A third of the state, without the optimisers' memory: the run goes on at its step, gently, to the end of its recipe."""
    recipe = replace(FULL, steps=8, cooldown=0)
    killed_after(trained(recipe, folder, tmp_path / "run"), 4, save_every=4, check_every=4)
    assert states.restart(tmp_path / "run" / "state.pt", tmp_path / "restart.pt") == 4
    whole, small = ((tmp_path / name).stat().st_size for name in ("run/state.pt", "restart.pt"))
    assert small < 0.5 * whole
    (tmp_path / "again").mkdir()
    (tmp_path / "restart.pt").rename(tmp_path / "again" / "state.pt")
    again = trained(recipe, folder, tmp_path / "again")
    before = {k: v.clone() for k, v in states.read(tmp_path / "run" / "state.pt")["model"].items()}
    assert again.step == 4 and all(torch.equal(v, before[k]) for k, v in again.task.model.state_dict().items())
    full = recipe.learning_rate * recipe.rate_factor(4)
    assert again.task.learning_rate(4) < 0.05 * full and again.task.learning_rate(4 + 200) == full
    killed_after(again, 6, save_every=2)  # it remembers that it is in its gentle steps
    again = trained(recipe, folder, tmp_path / "again")
    again.run()
    assert again.step == 8 and again.task.rewarm_from == 4


GOLDEN = Path(__file__).resolve().parent / "golden" / "state.pt"


def test_a_state_from_before_later_changes_still_resumes(folder, tmp_path):
    """``golden/state.pt`` was written by the version that began format 2, with everything a state can have; it is never made anew."""
    shutil.copy(GOLDEN, tmp_path / "state.pt")
    recipe = Recipe.from_json(states.read(GOLDEN)["recipe"])
    assert (recipe.optimizer, recipe.average, recipe.gan, len(recipe.targets)) == ("soap", 0.9, 5e-4, 3)
    run = trained(recipe, folder, tmp_path)
    assert run.step == 4 and run.task.optimizer.state_dict()["state"] and run.task.alphas != list(recipe.alphas)
    run.run()
    assert run.step == recipe.steps
    assert states.freeze_state(tmp_path / "state.pt", "old").about["step"] == recipe.steps


def test_commands_branch_and_go_on(folder, tmp_path):
    """The command that begins a branch goes on with it, also when its origin has moved on."""
    origin = tmp_path / "run" / "state.pt"
    killed_after(trained(replace(FULL, steps=100, cooldown=0), folder, tmp_path / "run"), 4, save_every=4, check_every=4)
    branch = ["train", "--branch", str(origin), "--cooldown", "2", "--data", str(folder), "--out", str(tmp_path / "end")]
    branch += ["--set", "crop=128"]
    assert main(branch) == 0
    recipe = Recipe.from_json(states.read(tmp_path / "end" / "state.pt")["recipe"])
    assert (recipe.steps, recipe.cooldown, recipe.crop) == (6, 2, 128)
    origin.unlink()
    assert main(branch) == 0
    assert main(["restart", str(tmp_path / "end" / "state.pt"), str(tmp_path / "small.pt")]) == 0
    assert states.read(tmp_path / "small.pt")["step"] == 6


def test_a_branch_s_own_alphas_count(folder, tmp_path):
    """In place of those that the run had been steered to."""
    killed_after(trained(replace(FULL, steps=100, cooldown=0), folder, tmp_path / "run"), 4, save_every=4, check_every=4)
    branch = ["train", "--branch", str(tmp_path / "run" / "state.pt"), "--cooldown", "1", "--data", str(folder)]
    assert main([*branch, "--out", str(tmp_path / "same")]) == 0
    assert main([*branch, "--out", str(tmp_path / "other"), "--set", "alphas=[3,2,1]"]) == 0
    before, same, other = (states.read(tmp_path / name / "state.pt")["alphas"] for name in ("run", "same", "other"))
    assert same == before != [3, 2, 1] and other == [3, 2, 1]


def test_a_recipe_of_another_version_is_refused():
    text = json.dumps(json.loads(RECIPE.to_json()) | {"speed_of_light": 1})
    with pytest.raises(UsageError, match="another version of plic: this one does not know speed_of_light"):
        Recipe.from_json(text)


def test_some_crops_are_smooth_surfaces(folder):
    """About as many as asked for: without steps and noise."""
    with pytest.warns(UserWarning, match="broken.jpg"):
        crops = RandomCrops([folder], 64, smooth=0.25)
        bends = torch.stack([crops[k].diff(n=2, dim=-1).abs().max() for k in range(200)])
    assert 30 < (bends < 2.5 / 255).sum() < 70
