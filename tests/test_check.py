"""The exercises: the solution passes, each slip fails and is named whatever is drawn; notebooks and solutions hold the same ones."""

import ast
import dataclasses
import doctest
import json
import os
import random
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from plic_lib.course import check, editions
from plic_lib.course.check import exercise as exercise_module

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
EXERCISES = check.exercises()
#: A slip may go unnoticed, or pass for another, once in a thousand draws: PLIC_FULL=1 tries them all.
DRAWS = 1000 if os.environ.get("PLIC_FULL") == "1" else 20


@pytest.fixture(params=EXERCISES)
def name(request):
    return request.param


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def function_of(source: str):
    """The first function that a piece of source defines, with what the solutions may import."""
    node = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef))
    namespace = {"torch": torch}
    exec(ast.unparse(node), namespace)
    return node, namespace[node.name]


# ---------------------------------------------------------------- each exercise


def test_the_solution_passes(name):
    for seed in range(DRAWS):
        assert EXERCISES[name](EXERCISES[name].solution, seed=seed) == check.Result(check.PASSED)


def test_every_slip_fails_and_is_named(name):
    exercise = EXERCISES[name]
    assert len(exercise.slips) >= 3
    for slip, (sentence, function) in exercise.slips.items():
        results = [exercise(function, seed=seed) for seed in range(DRAWS)]
        missed = [result for result in results if result != check.Result(check.FAILED, sentence, slip)]
        assert 1000 * len(missed) <= DRAWS, f"{slip}: {len(missed)} of {DRAWS} draws, such as {missed[0]!r}"


def test_constants_and_what_is_no_answer_fail_in_words(name):
    def misunderstood(*_):
        raise NotImplementedError("this is not the stub's")

    for answer in (lambda *_: torch.tensor(0.5), lambda *_: None, lambda *_: "0.5", lambda *_: 1 / 0, lambda: 0, 0.5, misunderstood):
        result = EXERCISES[name](answer, seed=0)
        assert result.status == check.FAILED and result.hint, answer


def test_the_hint_comes_before_a_failure_and_is_no_sentence_of_the_check(name):
    hint = EXERCISES[name].hint()
    said = {EXERCISES[name].rule, *(sentence for sentence, _ in EXERCISES[name].slips.values())}
    assert len(hint) > 40 and hint not in said and repr(hint) == str(hint)
    assert EXERCISES[name].solution.__name__ + "(" not in hint


def test_the_solution_stands_alone(name):
    """As in the generated notebook: without the helpers of its module."""
    _, solution = function_of(editions.source(EXERCISES[name]))
    assert EXERCISES[name](solution).status == check.PASSED


# ---------------------------------------------------------------- how a check behaves


def test_the_example_of_the_module():
    found = doctest.testmod(exercise_module)
    assert found.failed == 0 and found.attempted >= 9


def test_a_result_is_data():
    assert dataclasses.asdict(check.rate_4(lambda r, d: torch.arange(len(r)) == (d + r).argmin(), seed=1)) == {
        "status": check.FAILED,
        "hint": "this is the winner at one weight; other weights have other winners",
        "slip": "weight one",
    }


def test_the_same_seed_draws_the_same_and_no_seed_draws_anew():
    def half(p, assumed):
        return 0.5

    assert check.rate_1(half, seed=3) == check.rate_1(half, seed=3) != check.rate_1(half, seed=4)
    assert len({check.rate_1(half).hint for _ in range(5)}) > 1


def test_a_check_leaves_the_random_numbers_of_the_session_alone():
    random.seed(1)
    torch.manual_seed(1)
    expected = random.random(), torch.rand(3)
    random.seed(1)
    torch.manual_seed(1)
    check.results_4(lambda a, b, draws: torch.rand(2), seed=5)
    assert random.random() == expected[0] and torch.equal(torch.rand(3), expected[1])


def test_an_answer_may_change_what_it_was_given():
    def in_place(x, step):
        return x.div_(step).round_().diff(prepend=x.new_zeros(1))

    assert check.rate_3(in_place).status == check.PASSED


def test_of_two_slips_the_first_wrong_case_names_one():
    both = check.rate_1(lambda p, assumed: -(p * torch.log(assumed)).sum())  # nats, and NaN where p is zero
    assert both.slip == "nats"


def test_an_error_of_the_learners_own_is_not_taken_for_a_slip():
    def broken(theta, theta_inverse, level):
        return theta[len(theta) + level.long()]

    result = check.gain_3(broken)  # an IndexError as of the slip "no row above", but at every level
    assert result.slip == "" and "IndexError" in result.hint


def test_more_than_one_answer_may_be_right():
    """Where properties decide, an answer need not be the solution's."""
    assert check.loss_1(lambda v, high, low: v.sort().values[int(len(v) * low / (high + low))]).status == check.PASSED
    assert check.bottleneck_4(lambda v, a: v + torch.expm1(a) * v / (1 + v.abs())).status == check.PASSED
    assert check.gain_4(_secant).status == check.PASSED
    assert (
        check.context_3(lambda w, a, b: float((torch.round(w.double() * 2**b) * torch.round(a.double() * 2**b)).sum()) / 4**b).status
        == check.PASSED
    )


def _secant(size, target):
    """Lines through the last two points, which need not lie around the target."""
    levels, logs = [0.0, 2.0], [np.log(size(0.0)), np.log(size(2.0))]
    while len(levels) < 6:
        level = levels[-1] + (np.log(target) - logs[-1]) * (levels[-1] - levels[-2]) / (logs[-1] - logs[-2])
        levels.append(float(np.clip(level, 0, 2)))
        logs.append(np.log(size(levels[-1])) + 1e-9 * len(levels))
    return levels[-1]


def test_names_complete_and_typing_errors_are_named():
    assert {"gain_1", "train_4", "PASSED", "exercises"} <= set(dir(check))
    for name in ("gain_99", "nothing_1", "nothing"):
        with pytest.raises(AttributeError, match=name):
            getattr(check, name)


# ---------------------------------------------------------------- notebooks


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stubs_are_those_of_the_declared_exercises(path):
    """Each with its signature and a call, in order, not attempted, and run so; the statement above."""
    exercises = check.exercises(path.stem)
    assert list(editions.statements(json.loads(path.read_text()))) == list(exercises)
    cells = [cell for cell in code_cells(path) if "exercise" in cell.metadata.get("tags", [])]
    for cell, (name, exercise) in zip(cells, exercises.items()):
        stub, function = function_of(cell.source)
        solution, _ = function_of(editions.source(exercise))
        assert (stub.name, ast.dump(stub.args)) == (solution.name, ast.dump(solution.args))
        assert cell.source.endswith(f"\n\n\ncheck.{name}({stub.name})") and "raise NotImplementedError\n" in cell.source
        assert exercise(function).status == check.NOT_ATTEMPTED
        assert [output.data["text/plain"] for output in cell.outputs] == [check.NOT_ATTEMPTED]


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if check.exercises(path.stem)], ids=lambda path: path.stem)
def test_solutions_are_what_the_declarations_say(path):
    """As ``python -m plic_lib.course.editions`` writes them, and run."""
    made, kept = editions.solutions(path), path.parent / "solutions" / path.name
    assert editions.sources(made) == editions.sources(json.loads(kept.read_text())), "run: make solutions"
    shown = [output.data["text/plain"] for cell in code_cells(kept) for output in cell.outputs]
    assert shown == [check.PASSED] * len(check.exercises(path.stem))


def test_solutions_are_written_where_something_changed(tmp_path):
    path = next(path for path in NOTEBOOKS if path.stem == "07_gain_units")
    (tmp_path / path.name).write_text(path.read_text())
    place = tmp_path / "solutions" / path.name
    assert editions.write(tmp_path) == [place] and editions.write(tmp_path) == []
    (tmp_path / path.name).write_text(path.read_text().replace("**1. Other units**", "**1. Others**"))
    assert editions.write(tmp_path) == [place] and "**1. Others**" in place.read_text()
    nbformat.validate(nbformat.read(place, as_version=4))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_definitions_in_notebooks_are_marked(path):
    """A function or class in a notebook is a toy or an exercise; anything else belongs to the library."""
    for cell in code_cells(path):
        names = [n.name for n in ast.parse(cell.source).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        tags = cell.metadata.get("tags", [])
        assert not names or any(tag in ("toy", "exercise") or tag.startswith("build:") for tag in tags), names
