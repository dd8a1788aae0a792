"""The queue of runs, and what each leaves."""

import json
from dataclasses import replace

import pytest
import torch

from plic_lib import codec, images
from plic_lib.datasets import sample
from plic_lib.errors import TrainingError
from plic_lib.model import Widths
from plic_lib.study import ablation
from plic_lib.training.codec_task import CodecTask
from plic_lib.training.trainer import Trainer


def test_the_queue_skips_what_is_done_and_resumes_what_is_not(tmp_path, monkeypatch):
    small = {"lpips": 0.0, "lpips_shift": 0, "crop": 64, "batch": 1, "precision": "no", "widths": Widths(N=16, M=24)}
    monkeypatch.setattr(ablation, "BASE", replace(ablation.BASE, **small))
    monkeypatch.setattr(ablation, "RUNS", {"variable": {}, "l1-0.04": {"l1": 0.04}})
    for folder in ("data", "eval"):
        (tmp_path / folder).mkdir()
        images.to_image(sample("coffee")[:, :128, :128]).save(tmp_path / folder / "coffee.png")
    queue = [["variable", "l1-0.04"], [0], [tmp_path / "data"], tmp_path / "eval", tmp_path / "work", tmp_path / "results", 3]
    # interrupted in the second run, after one of its steps was saved
    interrupted = Trainer(
        CodecTask(ablation.recipe("l1-0.04", 0, 3)),
        [tmp_path / "data"],
        ablation.state_folder(tmp_path / "work", "l1-0.04", 0, [tmp_path / "data"]),
    )
    interrupted.task.step(0, next(interrupted.batches()))
    interrupted.step = 1
    interrupted.save()
    started = []
    run = Trainer.run
    monkeypatch.setattr(Trainer, "run", lambda self: started.append(self.step) or run(self))
    ablation.run_all(*queue)
    ablation.run_all(*queue)
    assert started == [0, 1]
    found = ablation.load(tmp_path / "results")
    assert sorted(found) == ["l1-0.04", "variable"] and found["l1-0.04"][0]["changes"] == {"l1": 0.04}
    assert all(len(result["totals"]) == 3 and result["hash"] and result["evaluated_on"] == "eval" for (result,) in found.values())
    with pytest.raises(TrainingError, match="another recipe"):
        ablation.run_all(*queue[:-1], 4)


def test_results_are_found_again_by_contents_and_not_by_names(tmp_path, monkeypatch):
    small = {"lpips": 0.0, "lpips_shift": 0, "crop": 64, "batch": 1, "precision": "no", "widths": Widths(N=16, M=24)}
    monkeypatch.setattr(ablation, "BASE", replace(ablation.BASE, **small))
    for folder, photo in (("a/data", "coffee"), ("b/data", "chelsea"), ("a/val", "coffee"), ("b/val", "chelsea")):
        (tmp_path / folder).mkdir(parents=True)
        images.to_image(sample(photo)[:, :128, :128]).save(tmp_path / folder / "photo.png")
    run = lambda data, val: ablation.run_all(["variable"], [0], [tmp_path / data], tmp_path / val, tmp_path, tmp_path / "results", 1)
    run("a/data", "a/val")
    for pair in (("a/data", "b/val"), ("b/data", "a/val")):
        with pytest.raises(TrainingError, match="other pictures"):
            run(*pair)
    (tmp_path / "a").rename(tmp_path / "c")
    run("c/data", "c/val")
    (tmp_path / "results" / "variable-0.json").unlink()
    log = next(tmp_path.glob("variable-0-*")) / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 1, "lo')  # a process that was killed while it wrote
    run("c/data", "c/val")
    assert ablation.load(tmp_path / "results")["variable"][0]["last_training_line"]["step"] == 1


def test_a_result_knows_its_recipe():
    recipe = ablation.recipe("variable", 0)
    result = {"about": {"recipe": json.loads(recipe.to_json())}}
    assert ablation.made_with(result, recipe) and not ablation.made_with(result, replace(recipe, l1=0.5))
    del result["about"]["recipe"]["mse"]  # from before there was such a setting
    assert ablation.made_with(result, recipe)


def test_differences_are_taken_at_equal_rate():
    of = lambda *points: {"totals": [{"bpp": bpp, "psnr": psnr} for bpp, psnr in points]}
    line = of((0.4, 28.0), (0.1, 26.0))  # 1 dB an octave
    assert ablation.difference(of((0.1, 26.5), (0.2, 27.5)), line, "psnr") == pytest.approx(0.5)
    assert ablation.difference(of((0.2, 26.5), (0.8, 28.5)), line, "psnr") == pytest.approx(-0.5)
    assert ablation.difference(of((0.5, 30.0), (0.8, 31.0)), line, "psnr") is None
    assert ablation.difference(of((0.1, None), (0.2, 27.0)), line, "psnr") is None


def test_crops_are_pieces_of_the_decoded_photographs(tiny, tmp_path):
    path = tmp_path / "crops" / "tiny-0.png"
    ablation.crops(tiny, path)
    sheet = images.read(path)
    assert sheet.shape == (3, ablation.PIECE, len(ablation.PIECES) * ablation.PIECE)
    (name, (top, left)), *_ = ablation.PIECES.items()
    decoded = codec.decode(tiny, codec.encode(tiny, sample(name), 0.0))[:, top : top + ablation.PIECE, left : left + ablation.PIECE]
    assert torch.equal(sheet[:, :, : ablation.PIECE], images.to_tensor(images.to_image(decoded)))
