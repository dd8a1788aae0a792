"""What there is to grade in a notebook, and how one submission of it is judged."""

import ast
import contextlib
import io
import json
import random
import stat
import traceback
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from plic_lib.course import check, editions
from plic_lib.course.check import Result
from plic_lib.course.grading import slices
from plic_lib.course.grading.sandbox import Sandbox
from plic_lib.course.grading.wire import Ended

MAX_NOTEBOOK = 50_000_000  #: bytes
MAX_CELL, MAX_HINT = 100_000, 300  #: characters


@dataclass
class Limits:
    """What a submission may use: seconds for each task and exercise, bytes of memory beside torch's own; ``open`` shuts nothing in."""

    seconds: float = 60.0
    memory: int = 2 << 30
    open: bool = False


@dataclass
class Item:
    """A task or an exercise of a notebook."""

    name: str  # "gain_1", or "GainUnits" of a task, several joined by a plus
    cell: str  # the id of the cell of its stub
    place: int  # among the code cells
    parts: dict[str, str]  # name -> path in the library; of a task
    function: str = ""  # of an exercise
    check: list[ast.stmt] = field(default_factory=list)  # of a task: the cell after it
    before: list[ast.stmt] = field(default_factory=list)  # what that cell needs of the notebook

    @property
    def names(self) -> list[str]:
        """What a submission has to define."""
        return list(self.parts) or [self.function]

    @cached_property
    def namespace(self) -> dict:
        """What the check of a task finds there, made once: the notebook's own, so to be trusted."""
        return _run(self.before, {"__name__": "notebook"})


class Paper:
    """A notebook of the course, as a paper to be marked."""

    def __init__(self, path: Path):
        self.path = path
        taught = _code_cells(json.loads(path.read_text()))
        self.cells = _code_cells(editions.edition(path, solved=False))
        self.items: list[Item] = []
        before: list[ast.stmt] = []
        for place, cell in enumerate(taught):
            text = "".join(cell["source"])
            before += slices.statements(text)
            if paths := editions.parts(cell):
                parts = {part.rpartition(".")[2]: part for part in paths}
                checks = slices.statements("".join(taught[place + 1]["source"]))
                item = Item("+".join(parts), cell["id"], place, parts, check=checks, before=slices.needed(before, checks))
                self.items.append(item)
            elif name := editions.exercise_in(cell):
                (definition,) = (n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef))
                self.items.append(Item(name, cell["id"], place, {}, definition.name))

    def prepare(self) -> None:
        """Make what the checks of its tasks need, so that it is not made for each submission."""
        for item in self.items:
            if item.parts:
                _ = item.namespace


def mark(paper: Paper, path: Path, limits: Limits, seed: int) -> list[dict]:
    """What became of each item of a submission: item, kind, status, slip and hint. Raises ValueError where it is no notebook."""
    submitted = _code_cells(_read(path))
    answers = [Answer(paper, item, submitted) for item in paper.items]
    written = [part for answer in answers for name, part in answer.item.parts.items() if name in answer.written]
    cells = [slices.statements("".join(cell["source"])) for cell in paper.cells]
    for answer in answers:
        cells[answer.item.place] = answer.statements or cells[answer.item.place]
    marks = []
    with Sandbox(written, limits.memory, limits.open) as sandbox:
        for answer in answers:
            before = [node for cell in cells[: answer.item.place] for node in cell]
            context = slices.needed(before, answer.statements) if answer.statements else []
            result = _judge(answer, context, sandbox, limits.seconds, seed)
            about = {"item": answer.item.name, "kind": "task" if answer.item.parts else "exercise"}
            hint = "".join(c if c.isprintable() else " " for c in result.hint)  # it may quote what a submission has raised
            marks.append(about | asdict(result) | {"hint": hint[:MAX_HINT]})
    return marks


class Answer:
    """A submission's cell for an item: that of the stub, or else the last one that was added and defines its names."""

    def __init__(self, paper: Paper, item: Item, submitted: list[dict]):
        self.item, self.fault = item, ""
        self.statements: list[ast.stmt] = []
        self.written: set[str] = set()
        given = {key for cell in paper.cells if cell["id"] != item.cell for key in (cell["id"], "".join(cell["source"]))}
        added = [cell for cell in submitted if not {cell.get("id"), "".join(cell.get("source", ""))} & given]
        for cell in sorted(added, key=lambda cell: cell.get("id") == item.cell):  # the stub's last, so that it counts
            try:
                statements = slices.definitions("".join(cell.get("source", ""))[:MAX_CELL])
                bound = set().union(*map(slices.binds, statements))
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                if cell.get("id") == item.cell:
                    self.fault = f"the cell is not Python: {error}"
                continue
            stubs = {n.name for n in statements if isinstance(n, ast.FunctionDef | ast.ClassDef) and _is_stub(n)}
            if written := bound & set(item.names) - stubs:
                self.statements, self.written = statements, written


def _judge(answer: Answer, context: list[ast.stmt], sandbox: Sandbox, seconds: float, seed: int) -> Result:
    """Run one answer in the sandbox and its check here."""
    item = answer.item
    if answer.fault:
        return Result(check.FAILED, answer.fault)
    if not answer.written:
        return Result(check.NOT_ATTEMPTED)
    if missing := [name for name in item.names if name not in answer.written]:
        return Result(check.FAILED, f"{missing[0]} is not written")
    try:
        found = sandbox.begin([ast.unparse(node) for node in context + answer.statements], item.names, seconds)
        parts = dict(zip(item.names, found, strict=True))
        if item.function:
            return check.exercises()[item.name](parts[item.function], seed=seed)
        return _compare(item, parts, seed)
    except Ended as ended:
        return Result(check.FAILED, sandbox.why(ended))
    except Exception as error:
        return Result(check.FAILED, f"its cell raised {type(error).__name__}: {error}")


def _compare(item: Item, parts: dict, seed: int) -> Result:
    """Run the check of a task, as in the notebook, on a submission's parts."""
    random.seed(seed)
    torch.manual_seed(seed)
    try:
        _run(item.check, item.namespace | parts)
    except AssertionError as error:
        return Result(check.FAILED, str(error))
    except Exception as error:
        return Result(check.FAILED, f"its check raised {type(error).__name__}: {error}")
    return Result(check.PASSED)


def _run(statements: list[ast.stmt], namespace: dict) -> dict:
    """Run statements of our own notebook, silently. Raises AssertionError with what did not hold."""
    with contextlib.redirect_stdout(io.StringIO()):
        for node in statements:
            text = ast.unparse(node)
            try:
                exec(compile(text, "notebook", "exec"), namespace)
            except AssertionError as error:
                line = next(f.lineno or 1 for f in traceback.extract_tb(error.__traceback__) if f.filename == "notebook")
                raise AssertionError(str(error) or f"this does not hold: {text.splitlines()[line - 1].strip()}") from error
    return namespace


def _is_stub(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """As ``tasks.unwritten``, of a definition that is not to be run."""
    if isinstance(node, ast.ClassDef):
        return any(_is_stub(n) for n in node.body if isinstance(n, ast.FunctionDef))
    return ast.unparse(node.body[-1]) == "raise NotImplementedError" and len(node.body) <= 1 + bool(ast.get_docstring(node))


def _code_cells(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell.get("cell_type") == "code"]


def _read(path: Path) -> dict:
    """A submitted notebook. Raises ValueError with a sentence."""
    about = path.lstat()
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("this is a link or no file: hand in the notebook itself")
    if about.st_size > MAX_NOTEBOOK:
        raise ValueError(f"a notebook of more than {MAX_NOTEBOOK // 10**6} MB: clear its outputs")
    try:
        notebook = json.loads(path.read_bytes())
        for cell in notebook["cells"]:
            "".join(cell.get("source", ""))
        return notebook
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("this is no notebook") from error
