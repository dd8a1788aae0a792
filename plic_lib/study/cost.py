"""What steps of a training cost, in CPU-seconds: so that trainings can be given equal time and yet be repeated step by step."""

import tempfile
import time

from torch import Tensor
from tqdm.auto import tqdm

from plic_lib.training.codec_task import CodecTask
from plic_lib.training.recipe import Recipe
from plic_lib.training.trainer import Trainer

#: A first step that is not timed, and 40 that are: a whole course in miniature, in which SOAP renews its bases four times.
STEPS = 41


class Timed(CodecTask):
    """Knows the CPU-seconds of its steps, over all interruptions; reading pictures, looking at files and saving are not among them."""

    cpu_seconds = 0.0

    def step(self, number: int, batch: Tensor) -> dict:
        """As ``CodecTask.step``."""
        start = time.process_time()
        figures = super().step(number, batch)
        self.cpu_seconds += time.process_time() - start
        return figures | {"cpu_seconds": self.cpu_seconds}

    def state_dict(self) -> dict:
        """As ``CodecTask.state_dict``."""
        return super().state_dict() | {"cpu_seconds": self.cpu_seconds}

    def load_state_dict(self, state: dict) -> None:
        """As ``CodecTask.load_state_dict``."""
        super().load_state_dict(state)
        self.cpu_seconds = state["cpu_seconds"]


def of_a_step(recipes: dict[str, Recipe], data: list[str]) -> dict[str, float]:
    """CPU-seconds of a step of each recipe: means over a miniature of its course, all recipes step by step in turn.

    What else the machine does meanwhile slows all of them alike, so their ratios are steadier than any of the figures.
    """
    tasks = {name: Timed(recipe.scaled(STEPS)) for name, recipe in recipes.items()}
    with tempfile.TemporaryDirectory() as empty:
        trainers = [Trainer(task, data, empty) for task in tasks.values()]
    batches = zip(*(trainer.batches() for trainer in trainers))
    for number, batch in enumerate(tqdm(batches, total=STEPS, desc=f"what a step costs: {', '.join(tasks)}")):
        for task, x in zip(tasks.values(), batch):
            task.step(number, x)
            if number == 0:
                task.cpu_seconds = 0.0
    return {name: task.cpu_seconds / (STEPS - 1) for name, task in tasks.items()}
