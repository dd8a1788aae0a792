"""One training loop, from a laptop CPU to many GPUs (Hugging Face accelerate).

What is trained is a ``task.Task``: the loop hands it one batch after the other, writes the
log, saves, checks and resumes.

Crops, levels and noise are functions of (seed, step, sample), and a state holds the
networks, the optimisers and the step. So a run that was killed and resumed ends with the
same weights as one that was not, and several processes that share each batch end with
those of one (but for the last bits of their sums). A run goes on with other pictures too,
since they may have become more; then it says that this does not hold.
"""

import contextlib
import fcntl
import io
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from plic_lib import files, images
from plic_lib.errors import PlicError, TrainingError
from plic_lib.training import states
from plic_lib.training.crops import KEEP, RandomCrops
from plic_lib.training.recipe import Recipe
from plic_lib.training.task import Task


class Trainer:
    """A task, the pictures it is trained with, and the folder that it writes to.

    Args:
        task: what to train.
        folders: where the training pictures are.
        out: folder for ``state.pt`` (resume), ``log.jsonl`` and ``samples/``.
        begin: a whole state (``states.read``) to go on from where ``out`` has none yet: a branch of another run.
        workers: processes that load pictures, 0 loads them here; together they keep up to ``crops.KEEP`` bytes of decoded ones.
        tensorboard: write the log for TensorBoard too.
    """

    def __init__(
        self, task: Task, folders: list[str], out: str | Path, begin: dict | None = None, workers: int = 0, tensorboard: bool = False
    ):
        self.task, self.recipe = task, task.recipe
        self.out = Path(out)
        self.workers, self.tensorboard = workers, tensorboard
        self.step, self.last_check = 0, 0
        if AcceleratorState._shared_state and AcceleratorState().mixed_precision != self.recipe.precision:
            AcceleratorState._reset_state()  # of an earlier training in this process, in another precision
        self.accelerator = Accelerator(
            mixed_precision=self.recipe.precision,
            step_scheduler_with_optimizer=False,
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
            log_with="tensorboard" if tensorboard else None,
            project_dir=self.out,
        )
        if self.recipe.batch % (processes := self.accelerator.num_processes):
            raise TrainingError(
                f"a batch of {self.recipe.batch} cannot be shared evenly by {processes} processes; "
                f"--set batch={processes} is the smallest that can"
            )
        recipe = self.recipe
        crops = RandomCrops(folders, recipe.crop, recipe.seed, recipe.downscale, KEEP // max(workers, 1), recipe.smooth)
        self.listing, self.items = crops.listing(), task.dataset(crops)
        task.prepare(self.accelerator)
        self._resume(begin)

    # ---------------------------------------------------------------- the loop

    def run(self, save_every: int = 500, check_every: int = 1000) -> None:
        """Train to the end of the recipe; may be interrupted and called again."""
        with self._lock() if self.accelerator.is_main_process else contextlib.nullcontext():
            self._run(save_every, check_every)

    def _run(self, save_every: int, check_every: int) -> None:
        last = self.recipe.steps
        self._log({"start": self.step, **self._surroundings(), "data": self.listing, "recipe": json.loads(self.recipe.to_json())})
        if self.tensorboard:
            self.accelerator.init_trackers("tensorboard")
        started = time.monotonic()
        bar = tqdm(total=last, initial=self.step, unit="step", disable=not self.accelerator.is_main_process)
        if self.step % check_every == 0 and self.last_check < self.step:
            self._check()  # killed between saving and checking
        for batch in self.batches():
            figures = self.task.step(self.step, batch)
            self.step += 1
            bar.update()
            if self.step % 50 == 0 or self.step == last:
                figures = self._summary(figures) | {"seconds": round(time.monotonic() - started, 1)}
                self._log(figures)
                bar.set_postfix({name: figures[name] for name in ("level", "bpp", "lpips") if name in figures})
            if self.step % save_every == 0 or self.step == last:
                self.save()
            if self.step % check_every == 0 or self.step == last:
                self._check()
        bar.close()
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()

    def batches(self) -> Iterator[Tensor]:
        """This process's share of each batch, from the current step to the last."""
        batch, share = self.recipe.batch, self.recipe.batch // self.accelerator.num_processes
        first = self.accelerator.process_index * share
        numbers = (list(range(k * batch + first, k * batch + first + share)) for k in range(self.step, self.recipe.steps))
        device = self.accelerator.device
        try:
            for x in DataLoader(self.items, batch_sampler=numbers, num_workers=self.workers, pin_memory=device.type == "cuda"):
                yield x.to(device, non_blocking=True)
        except PlicError as error:
            if not self.workers:
                raise
            # of a worker, PyTorch raises a copy whose message is the whole traceback; the sentence is its last line
            raise type(error)(str(error).strip().rpartition("\n")[2].partition(": ")[2]) from None

    def _check(self) -> None:
        """Look at the model, log what is seen, and let the task act on it. Saved again where that changed something."""
        rows: list = [None]
        if self.accelerator.is_main_process:
            rows, sheet = self.task.check()
            with files.whole(self.out / "samples" / f"{self.step:07d}.jpg") as file:
                images.to_image(sheet).save(file, "JPEG", quality=90)
        rows = broadcast_object_list([rows])[0]
        for row in rows:
            self._log({"step": self.step, "check": row})
        self.task.checked(self.step, rows)
        self.last_check = self.step
        self.save()

    # ---------------------------------------------------------------- the log

    def _surroundings(self) -> dict:
        return {"processes": self.accelerator.num_processes, "device": str(self.accelerator.device), "threads": torch.get_num_threads()}

    def _summary(self, figures: dict) -> dict:
        """Plain numbers, means over the processes."""
        plain = {"step": self.step}
        for name, value in figures.items():
            if isinstance(value, Tensor):
                mean = self.accelerator.reduce(value.detach().float(), "mean")
                assert isinstance(mean, Tensor)
                value = mean.item()
            plain[name] = value if isinstance(value, int) else float(f"{value:.5g}")
        return plain

    def _log(self, figures: dict) -> None:
        if self.accelerator.is_main_process:
            files.append_json(self.out / "log.jsonl", figures)
        if self.tensorboard and "loss" in figures:
            self.accelerator.log({k: v for k, v in figures.items() if k not in ("step", "level")}, step=figures["step"])

    # ---------------------------------------------------------------- stop and go on

    def save(self) -> None:
        """Write ``state.pt``, whole or not at all."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "format": states.FORMAT,
            "recipe": self.recipe.to_json(),
            "step": self.step,
            "last_check": self.last_check,
            "steps_before": self.task.steps_before,
            "data": self.listing,
            **self.task.state_dict(),
        }
        with files.whole(self.out / "state.pt") as file:
            torch.save(state, file)

    def _resume(self, begin: dict | None) -> None:
        path = self.out / "state.pt"
        if path.exists():
            state = states.read(path, self.accelerator.device)
            if Recipe.from_json(state["recipe"]) != self.recipe:
                raise TrainingError(f"{path} belongs to a run with another recipe; use another folder, or delete it to start again")
            self._load(state)
        elif begin is not None:
            self._load(begin)
        if len(set(gather_object([self.step]))) > 1:
            raise TrainingError(f"the processes do not all see the same {path}: --out has to be on a disk that all of them share")

    def _load(self, state: dict) -> None:
        self.task.load_state_dict(state)
        then = state.get("data", self.listing)  # which early states lack
        if then != self.listing and self.accelerator.is_main_process:
            warnings.warn(
                f"the first {state['step']} steps of this run had other pictures ({then['pictures']}, now {self.listing['pictures']}, by "
                "names and sizes): it goes on with these, to other weights than those of a run that has the same ones throughout",
                stacklevel=2,
            )
        self.step, self.last_check = state["step"], state["last_check"]
        self.task.steps_before = state["steps_before"]

    def _lock(self) -> io.TextIOWrapper:
        """Held as long as this run writes to its folder; gone with the process, however it ends."""
        self.out.mkdir(parents=True, exist_ok=True)
        lock = open(self.out / ".lock", "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise TrainingError(f"{self.out}: another training writes there now; give this one another folder") from error
        return lock
