"""An exercise: declared once, for the notebooks, the tests, the solutions and the grading.

**Write an exercise.** A module of this package holds the exercises of one notebook, which it names in ``NOTEBOOK``. An
exercise is a variable of that module. This one would be ``mean_1`` in ``mean.py``:

>>> import random
>>> def mean(values):
...     '''The sum, divided by how many there are.'''
...     return sum(values) / len(values)
>>> def some_lists():
...     for count in (3, 5, 8):
...         yield ([random.uniform(1, 9) for _ in range(count)],)
>>> mean_1 = Exercise(
...     mean,
...     some_lists,
...     hint="If all values were equal and had the same sum, how large would each be?",
...     rule="divide the sum by how many there are",
...     slips={
...         "sum": ("this is the sum; divide it by how many there are", sum),
...         "middle": ("this is the value in the middle, the median", lambda values: sorted(values)[len(values) // 2]),
...     },
... )

In the teaching notebook stand the statement (a markdown cell that begins with ``**1. Title**``) and, in the cell after it,
tagged ``exercise``, the stub with the solution's signature and the call ``check.mean_1(mean)``:

>>> def stub(values):
...     raise NotImplementedError
>>> mean_1(stub)
not attempted yet
>>> mean_1(mean)
passed
>>> mean_1(lambda values: sum(values))
not yet: this is the sum; divide it by how many there are
>>> mean_1(lambda values: sum(values) / 2, seed=0).hint.startswith("divide the sum by how many there are (expected ")
True
>>> mean_1.hint()
If all values were equal and had the same sum, how large would each be?

``make solutions`` writes the solution, its docstring as the remark, into ``notebooks/solutions``. The tests run the same
slips: each has to fail and to be named, whatever was drawn, and the solution has to pass. A slip that passes by chance, or
for another one, wants more or wider cases:

    PLIC_FULL=1 python -m pytest tests/test_check.py -k mean_1      # 1,000 draws in place of 20

Where more than a value counts (gradients, calls, what was changed), ``observe`` says what is compared; where more than one
answer is right, ``properties`` decides with asserts. Both are in ``gain_4``, ``loss_1`` and ``bottleneck_3``.
"""

import copy
import inspect
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

NOT_ATTEMPTED, FAILED, PASSED = "not attempted yet", "not yet", "passed"


@dataclass(frozen=True)
class Result:
    """What a check found, as data; shown as one line where it is a cell's last value.

    ``status`` is one of ``NOT_ATTEMPTED``, ``FAILED``, ``PASSED``; ``hint`` says what is wrong; ``slip`` is the name of the
    slip that was recognised, or empty.
    """

    status: str
    hint: str = ""
    slip: str = ""

    def __repr__(self) -> str:
        return f"{self.status}: {self.hint}" if self.hint else self.status


class Text(str):
    """A string that a notebook shows without quotes."""

    __repr__ = str.__str__


@dataclass(frozen=True)
class Raised:
    """An exception in the place of a result."""

    error: Exception

    @property
    def kind(self) -> tuple[type, str]:
        """Its type and its message, but for the numbers in it."""
        return type(self.error), re.sub(r"[\d.]+", "", str(self.error))


class Exercise:
    """A function to be written: its solution, what it is tried on, a hint, and the slips that people make.

    Attributes:
        solution: the function; its docstring is the remark on it. It uses nothing but arguments and imported modules.
        cases: yields the arguments of several calls, drawn with ``random`` and ``torch``.
        hint: what to think of first; never the answer.
        rule: what the answer has to fulfil: said of a wrong answer that is none of the slips.
        slips: name -> (the sentence that names the mistake, the function that makes it).
        observe: what is compared: ``observe(function, *arguments)``; without it the function's result.
        properties: ``properties(seen, expected, *arguments)`` raises AssertionError with a sentence where the answer is
            wrong; without it, what is seen has to agree with what the solution shows.
        tolerance: relative and absolute, of all comparisons.

    Calling it, ``exercise(answer, seed=None)``, gives a :class:`Result`. It never raises, leaves the arguments, the answer's
    random numbers and the session's random state alone, and draws the same cases again for the same seed.
    """

    def __init__(
        self,
        solution: Callable,
        cases: Callable[[], Iterable[tuple]],
        *,
        hint: str,
        rule: str,
        slips: Mapping[str, tuple[str, Callable]],
        observe: Callable | None = None,
        properties: Callable | None = None,
        tolerance: tuple[float, float] = (1e-4, 1e-6),
    ):
        self.solution, self.cases, self.rule, self.slips = solution, cases, rule, dict(slips)
        self.observe, self.properties, self.tolerance = observe, properties, tolerance
        self._hint = hint

    def __repr__(self) -> str:
        return f"an exercise: {self.solution.__name__}{inspect.signature(self.solution)}"

    def hint(self) -> Text:
        """What to think of before a first try."""
        return Text(self._hint)

    def __call__(self, answer: Callable, seed: int | None = None) -> Result:
        seed = random.SystemRandom().getrandbits(32) if seed is None else seed
        with _own_random_numbers():
            _start_from(seed)
            cases = list(self.cases())
            seen = [self._see(answer, case, seed) for case in cases]
            if all(isinstance(s, Raised) and type(s.error) is NotImplementedError and not s.error.args for s in seen):
                return Result(NOT_ATTEMPTED)
            for index, case in enumerate(cases):
                if fault := self._fault(seen[index], case, seed):
                    slip = self._recognise(seen, cases, index, seed)
                    return Result(FAILED, self.slips[slip][0] if slip else fault, slip)
        return Result(PASSED)

    def _see(self, function: Callable, arguments: tuple, seed: int):
        """What a function does with a copy of the arguments; each function draws the same random numbers."""
        _start_from(seed)
        try:
            arguments = _copy(arguments)
            result = self.observe(function, *arguments) if self.observe else function(*arguments)
            return list(result) if isinstance(result, Iterator | range) else result
        except Exception as error:  # whatever a learner's function raises
            return Raised(error)

    def _fault(self, seen, arguments: tuple, seed: int) -> str:
        """What is wrong in one case, in general words; empty where it is right."""
        if isinstance(seen, Raised):
            return f"running it raised {type(seen.error).__name__}: {seen.error}{self._shown(arguments)}"
        expected = self._see(self.solution, arguments, seed)
        try:
            if self.properties:
                self.properties(seen, expected, *arguments)
            elif not agree(seen, expected, *self.tolerance):
                return f"{self.rule} ({difference(seen, expected, *self.tolerance)}{self._shown(arguments)})"
        except AssertionError as sentence:
            return str(sentence)
        except Exception:  # a property was asked of something that has none, such as None
            return f"{self.rule}; your function returned a {type(seen).__name__}"
        return ""

    def _recognise(self, seen: list, cases: list[tuple], wrong: int, seed: int) -> str:
        """The slip that does what the answer does, in the first wrong case and in most; empty where none does."""
        found, most = "", len(cases) / 2
        for name, (_, function) in self.slips.items():
            if most < len(cases) and agree(seen[wrong], self._see(function, cases[wrong], seed), *self.tolerance):
                count = sum(agree(s, self._see(function, case, seed), *self.tolerance) for s, case in zip(seen, cases))
                found, most = (name, count) if count > most else (found, most)
        return found

    def _shown(self, arguments: tuple) -> str:
        """The arguments of a case that are short enough to be printed."""
        names = list(inspect.signature(self.observe or self.solution).parameters)[-len(arguments) :]
        pairs = [f"{name} = {_short(value)}" for name, value in zip(names, arguments) if _short(value)]
        return f", for {', '.join(pairs)}" if pairs else ""


@contextmanager
def _own_random_numbers():
    """Afterwards ``random`` and ``torch`` go on as if nothing had been drawn."""
    state = random.getstate()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(state)


def _start_from(seed: int) -> None:
    random.seed(seed)
    torch.default_generator.manual_seed(seed)


def _copy(value):
    """As ``copy.deepcopy``, and faster where there are tensors."""
    if isinstance(value, tuple | list):
        return type(value)(map(_copy, value))
    return value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)


def slopes(value, *inputs: Tensor, weights: Tensor | None = None) -> tuple[Tensor | None, ...]:
    """Gradients of the sum of ``weights * value`` with respect to the inputs; None where none arrives."""
    if not (isinstance(value, Tensor) and value.requires_grad):
        return (None,) * len(inputs)
    return torch.autograd.grad((value if weights is None else weights * value).sum(), inputs, allow_unused=True)


def _numbers(value) -> Tensor | None:
    """Anything made of numbers as a float64 tensor, else None."""
    try:
        return torch.as_tensor(value).detach().double()
    except Exception:  # a string, a ragged list, an object of the learner's
        return None


def agree(value, expected, rtol: float = 1e-4, atol: float = 1e-6) -> bool:
    """Whether two results are the same.

    Whole numbers exactly, other numbers and tensors within a tolerance and of one shape (one number may be a tensor), items
    of sequences and of dictionaries one by one, exceptions by their kind, strings, bytes and None by ``==``.
    """
    if isinstance(value, Raised) or isinstance(expected, Raised):
        return isinstance(value, Raised) and isinstance(expected, Raised) and value.kind == expected.kind
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(agree(value[key], expected[key], rtol, atol) for key in expected)
    if isinstance(value, tuple | list) and isinstance(expected, tuple | list):
        return len(value) == len(expected) and all(agree(a, b, rtol, atol) for a, b in zip(value, expected))
    if type(value) is int and type(expected) is int:
        return value == expected
    mine, right = _numbers(value), _numbers(expected)
    if mine is None or right is None:
        return isinstance(value, str | bytes | bytearray | None) and value == expected
    if mine.numel() == right.numel() == 1:
        mine, right = mine.reshape(()), right.reshape(())
    return mine.shape == right.shape and torch.allclose(mine, right, rtol=rtol, atol=atol, equal_nan=True)


def difference(value, expected, rtol: float = 1e-4, atol: float = 1e-6) -> str:
    """How two results differ, in a few words."""
    if isinstance(value, dict) and isinstance(expected, dict):
        return next(f"{k}: {difference(value[k], e, rtol, atol)}" for k, e in expected.items() if not agree(value[k], e, rtol, atol))
    if value is None:
        return "got nothing; is a return missing?"
    if isinstance(value, bytes | bytearray) and isinstance(expected, bytes):
        same = next((i for i, (a, b) in enumerate(zip(value, expected)) if a != b), min(len(value), len(expected)))
        return f"expected {len(expected)} bytes, got {len(value)}; the first {same} are right"
    mine, right = _numbers(value), _numbers(expected)
    if isinstance(value, tuple | list) and isinstance(expected, tuple | list) and (mine is None or right is None):
        if len(value) != len(expected):
            return f"expected {len(expected)} values, got {len(value)}"
        return next(f"item {i}: {difference(a, b)}" for i, (a, b) in enumerate(zip(value, expected)) if not agree(a, b, rtol, atol))
    if mine is None or right is None:
        return f"expected {_short(expected) or type(expected).__name__}, got {_short(value) or type(value).__name__}"
    if mine.numel() == right.numel() == 1:
        return f"expected {float(right):.5g}, got {float(mine):.5g}"
    if mine.shape != right.shape:
        return f"expected the shape {tuple(right.shape)}, got {tuple(mine.shape)}"
    worst = torch.nan_to_num((mine - right).abs(), nan=torch.inf).flatten().argmax()
    where = ", ".join(str(int(i)) for i in torch.unravel_index(worst, right.shape))
    return f"at [{where}] expected {float(right.flatten()[worst]):.5g}, got {float(mine.flatten()[worst]):.5g}"


def _short(value) -> str:
    """A number, or a few of them; empty where it would be long."""
    if value is None:
        return "None"
    numbers = _numbers(value)
    if numbers is None or numbers.ndim > 1 or numbers.numel() > 6:
        return ""
    return f"{float(numbers):.5g}" if numbers.ndim == 0 else f"[{', '.join(f'{float(n):.4g}' for n in numbers)}]"
