"""Notebook 10's lattice: the measure, the toys, and their record."""

import json

import pytest
import torch

from plic_lib.course import lattice
from plic_lib.datasets import sample


def test_the_measure_sees_what_alternates_and_nothing_else():
    wave = (-1.0) ** torch.arange(66)
    flat = torch.full((3, 66, 66), 0.5)
    chessboard = flat + wave * wave[:, None] / 255
    assert all(abs(lattice.checkerboard(x) - 1) < 1e-3 for x in (flat + wave / 255, flat + wave[:, None] / 255, chessboard))
    slope = torch.linspace(0, 1, 66)
    assert max(lattice.checkerboard(x) for x in (flat, slope.expand(3, 66, 66), (slope + slope[:, None]).expand(3, 66, 66) / 2)) < 1e-3
    torch.manual_seed(0)
    assert lattice.checkerboard(flat + torch.randn(3, 66, 66) / 255) < 0.2, "noise cancels in the mean over a cell"
    assert lattice.checkerboard(sample("rocket")[lattice.SKY]) < 0.1


def test_pooled_toys_begin_and_end_with_less_of_it():
    plain, pooled = (lattice.learn(pooled, 0, 20) for pooled in (False, True))
    assert [step for step, *_ in plain] == list(range(21))
    assert pooled[0][1] < 0.1 * plain[0][1] and pooled[-1][1] < 0.5 * plain[-1][1]
    assert all(seen[-1][2] > seen[0][2] for seen in (plain, pooled)), "both learn"


def test_the_record_of_skies_is_of_the_shipped_model(mini):
    recorded = json.loads((lattice.RESULTS / "lattice_kodak.json").read_text())
    assert recorded["models"]["mini"]["hash"] == mini.hash and recorded["versions"]["torch"]
    assert all(set(model["skies"]) == set(lattice.KODAK) for model in recorded["models"].values())


def test_skies_are_what_the_record_says(mini, kodak):
    recorded = json.loads((lattice.RESULTS / "lattice_kodak.json").read_text())["models"]["mini"]["skies"]
    for name, sky in lattice.skies(mini, kodak[0].parent).items():
        assert sky == pytest.approx(recorded[name], abs=0.01)


def test_the_record_is_whole_and_says_where_it_comes_from():
    recorded = json.loads(lattice.RECORD.read_text())
    assert recorded["made_by"] == "python -m plic_lib.course.lattice" and recorded["versions"]["torch"]
    runs = {(run["pooled"], run["seed"]): run["seen"] for run in recorded["runs"]}
    assert sorted(runs) == [(pooled, seed) for pooled in (False, True) for seed in range(lattice.SEEDS)]
    assert {seen[-1][0] for seen in runs.values()} == {recorded["steps"]} == {lattice.STEPS}
