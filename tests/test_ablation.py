"""The queue of runs, what each is given, and what it leaves."""

import json
from dataclasses import replace

import pytest
import torch

from plic_lib import codec, files, images
from plic_lib.commands.main import main
from plic_lib.datasets import sample
from plic_lib.errors import TrainingError
from plic_lib.model import Widths
from plic_lib.study import ablation, cost
from plic_lib.training.task import Task
from plic_lib.training.trainer import Trainer

SMALL = {"lpips": 0.0, "lpips_shift": 0, "crop": 64, "batch": 1, "precision": "no", "widths": Widths(N=16, M=24)}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Three small runs, and folders of one photograph each to train with and to measure."""
    monkeypatch.setattr(ablation, "BASE", replace(ablation.BASE, **SMALL))
    runs = {"base": {}, "adam-0.001": {"optimizer": "adam", "learning_rate": 1e-3}, "l1-0.04": {"l1": 0.04}}
    monkeypatch.setattr(ablation, "RUNS", runs)
    monkeypatch.setattr(cost, "STEPS", 3)
    monkeypatch.setattr(Trainer, "_check", lambda self: None)  # of no use in a run of three steps
    monkeypatch.setattr(ablation, "crops", lambda model, path: None)
    for folder in ("data", "eval"):
        (tmp_path / folder).mkdir()
        images.to_image(sample("coffee")[:, :128, :128]).save(tmp_path / folder / "coffee.png")
    return tmp_path


def command(folder, *more):
    """``plic ablate`` in the fixture's folders."""
    given = {"--data": "data", "--eval": "eval", "--work": "work", "--results": "results"}
    return main(["ablate", *(word for option, name in given.items() for word in (option, str(folder / name))), *more])


def test_the_queue_skips_what_is_done_and_resumes_what_is_not(small, monkeypatch):
    # interrupted in the last run, after one of its steps was saved
    folder = ablation.state_folder(small / "work", "l1-0.04", 0, [small / "data"])
    interrupted = Trainer(cost.Timed(ablation.recipe("l1-0.04", 0, 3)), [small / "data"], folder)
    interrupted.task.step(0, next(interrupted.batches()))
    interrupted.step = 1
    interrupted.save()
    before = interrupted.task.cpu_seconds
    started = []
    run = Trainer.run
    monkeypatch.setattr(Trainer, "run", lambda self, **options: started.append(self.step) or run(self, **options))
    queue = [["base", "l1-0.04"], [0], [small / "data"], small / "eval", small / "work", small / "results"]
    ablation.run_all(*queue, 3)
    ablation.run_all(*queue, 3)
    assert started == [0, 1]
    found = ablation.load(small / "results")
    assert sorted(found) == ["base", "l1-0.04"] and found["l1-0.04"][0]["changes"] == {"l1": 0.04}
    assert all(len(result["totals"]) == 3 and result["hash"] and result["evaluated_on"] == "eval" for (result,) in found.values())
    resumed = found["l1-0.04"][0]
    assert resumed["device"] != "cpu" or resumed["cpu_seconds"] > before > 0, "those of the step before the interruption count"
    with pytest.raises(TrainingError, match="another recipe"):
        ablation.run_all(*queue, 4)


def test_who_takes_dearer_steps_gets_fewer_of_them(small):
    data, results = [small / "data"], small / "results"
    assert ablation.steps_for("base", data, results, 100) == ablation.steps_for("l1-0.04", data, results, 100) == 100
    assert not (results / "prices.json").exists()
    ablation.steps_for("adam-0.001", data, results, 100)
    (results / "prices.json").write_text(json.dumps({"adam-0.001": {"run": 0.2, "base": 0.3}}))
    assert ablation.steps_for("adam-0.001", data, results, 100) == 150, "a price is measured once"


def test_prices_are_of_the_steps_alone():
    same = {name: ablation._priced_like(name) for name in ablation.RUNS}
    assert {name for name, like in same.items() if like == "base"} == {
        *("base", "soap-0.001", "soap-0.004", "soap-0.008", "l1-0.04", "no-cooldown", "fixed-0", "fixed-1", "fixed-2", "thrice")
    }
    assert [ablation.steps_for(name, [], "no folder", 100) for name in ("base", "fixed-1", "thrice")] == [100, 100, 300]
    assert {same[name] for name in same if name.startswith("adam")} == {"adam-0.0004"}
    assert all(same[name] == name for name in ("symmetric", "pooled", "no-average", "no-shift", "lpips-at-once"))


def test_a_step_with_more_to_do_costs_more(small):
    wide = replace(ablation.recipe("base", 0), batch=8, crop=128)
    found = cost.of_a_step({"narrow": ablation.recipe("base", 0), "wide": wide}, [small / "data"])
    assert 0 < 2 * found["narrow"] < found["wide"]


def test_every_run_has_a_course_that_ends_as_the_base_does():
    base = ablation.recipe("base", 0)
    for name in ablation.RUNS:
        recipe = ablation.recipe(name, 1, 2 * ablation.STEPS)
        assert recipe.seed == 1 and recipe.steps == 2 * base.steps and recipe.hold == 2 * base.hold and not recipe.targets
        last = recipe.rate_factor(recipe.steps)
        assert last == (0 if name != "no-cooldown" else 0.5), name
        assert recipe.learning_rate * recipe.gain_speed == pytest.approx(base.learning_rate * base.gain_speed), "gains learn alike"


def test_a_run_that_diverges_is_a_result_and_not_the_end_of_the_queue(small, monkeypatch, capsys):
    must_be_finite = Task.must_be_finite

    def broken(self, number, figures):
        if self.recipe.l1 == 0.04 and number == 1:
            figures = {"loss": float("nan")}
        must_be_finite(self, number, figures)

    monkeypatch.setattr(Task, "must_be_finite", broken)
    assert command(small, "--steps", "3", "--seeds", "0", "--runs", "l1-0.04", "base") == 0
    found = ablation.load(small / "results")
    assert "not a finite number at step 1" in found["l1-0.04"][0]["diverged"] and len(found["base"][0]["totals"]) == 3
    assert ablation.worth(found, "psnr") == {"l1-0.04": {0: (None, 0.0)}}
    assert ablation.difference(found["l1-0.04"][0], found["base"][0], "psnr") is None
    assert command(small, "--steps", "3", "--seeds", "0", "--runs", "l1-0.04", "base") == 0, "and is not tried again"
    assert "2 of 2 runs are done\n" in capsys.readouterr().out


def test_the_list_trains_nothing(small, capsys):
    assert command(small, "--list") == 0
    assert capsys.readouterr().out.startswith("0 of 6 runs are done\n") and not (small / "results").exists()
    files.write_json(small / "results" / "base-0.json", result("base", 0) | {"cpu_seconds": 3000, "evaluation_cpu_seconds": 600})
    interrupted = Trainer(
        cost.Timed(ablation.recipe("base", 1, 2)), [small / "data"], ablation.state_folder(small / "work", "base", 1, [small / "data"])
    )
    interrupted._log({"start": 0, "recipe": json.loads(interrupted.recipe.to_json())})
    interrupted._log({"step": 1})
    assert command(small, "--list") == 0
    assert "1 of 6 runs are done, begun: base-1 (50%); the rest takes about 4.5 CPU-hours" in capsys.readouterr().out


def test_results_are_found_again_by_contents_and_not_by_names(small):
    for folder, photo in (("a/data", "coffee"), ("b/data", "chelsea"), ("a/val", "coffee"), ("b/val", "chelsea")):
        (small / folder).mkdir(parents=True)
        images.to_image(sample(photo)[:, :128, :128]).save(small / folder / "photo.png")
    run = lambda data, val: ablation.run_all(["base"], [0], [small / data], small / val, small, small / "results", 1)
    run("a/data", "a/val")
    for pair in (("a/data", "b/val"), ("b/data", "a/val")):
        with pytest.raises(TrainingError, match="other pictures"):
            run(*pair)
    (small / "a").rename(small / "c")
    run("c/data", "c/val")
    (small / "results" / "base-0.json").unlink()
    log = next(small.glob("base-0-*")) / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 1, "lo')  # a process that was killed while it wrote
    run("c/data", "c/val")
    assert ablation.load(small / "results")["base"][0]["last_training_line"]["step"] == 1


def test_a_result_knows_its_recipe():
    recipe = ablation.recipe("base", 0)
    result = {"about": {"recipe": json.loads(recipe.to_json())}}
    assert ablation.made_with(result, recipe) and not ablation.made_with(result, replace(recipe, l1=0.5))
    del result["about"]["recipe"]["mse"]  # from before there was such a setting
    assert ablation.made_with(result, recipe)


def result(run, seed, *points):
    """As a run leaves it, with PSNR alone."""
    return {"run": run, "seed": seed, "totals": [{"bpp": bpp, "psnr": psnr} for bpp, psnr in points]}


def test_differences_are_taken_at_equal_rate():
    of = lambda *points: result("any", 0, *points)
    line = of((0.4, 28.0), (0.1, 26.0))  # 1 dB an octave
    assert ablation.difference(of((0.1, 26.5), (0.2, 27.5)), line, "psnr") == pytest.approx(0.5)
    assert ablation.difference(of((0.2, 26.5), (0.8, 28.5)), line, "psnr") == pytest.approx(-0.5)
    assert ablation.difference(of((0.5, 30.0), (0.8, 31.0)), line, "psnr") is None
    assert ablation.difference(of((0.1, None), (0.2, 27.0)), line, "psnr") is None


def test_what_a_change_is_worth_in_bytes():
    line = ((0.1, 26.0), (0.2, 27.0), (0.4, 28.0))
    third = [(1.1 * bpp, psnr) for bpp, psnr in line]
    found = {
        "base": [result("base", 0, *line), result("base", 1, *third)],
        "dear": [result("dear", 0, *((2 * bpp, psnr) for bpp, psnr in line)), result("dear", 1, *line)],
        **{f"fixed-{level}": [result(f"fixed-{level}", 0, (0.5 * bpp, psnr))] for level, (bpp, psnr) in enumerate(line)},
        "fixed-0 of another seed": [result("fixed-0", 1, line[0])],
    }
    worth = {name: {seed: figure[0] for seed, figure in seeds.items()} for name, seeds in ablation.worth(found, "psnr").items()}
    assert list(worth) == ["base", "dear", "fixed"]
    assert worth["base"] == {1: pytest.approx(10)}, "one seed against the other"
    assert worth["dear"] == {0: pytest.approx(100), 1: pytest.approx(100 * (1 / 1.1 - 1))}, "each against the base of its seed"
    assert worth["fixed"] == {0: pytest.approx(-50)}, "three models are one curve, two of three are none"


def test_crops_are_pieces_of_the_decoded_photographs(tiny, tmp_path):
    path = tmp_path / "crops" / "tiny-0.png"
    ablation.crops(tiny, path)
    sheet = images.read(path)
    assert sheet.shape == (3, ablation.PIECE, len(ablation.PIECES) * ablation.PIECE)
    (name, (top, left)), *_ = ablation.PIECES.items()
    decoded = codec.decode(tiny, codec.encode(tiny, sample(name), 0.0))[:, top : top + ablation.PIECE, left : left + ablation.PIECE]
    assert torch.equal(sheet[:, :, : ablation.PIECE], images.to_tensor(images.to_image(decoded)))
