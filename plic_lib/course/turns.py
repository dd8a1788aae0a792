"""How long a turn of a widget takes, from the control's new value to the pictures on their way to the page."""

import statistics
import time
from collections.abc import Callable

from torch import Tensor

from plic_lib.checkpoint import TrainedModel
from plic_lib.course.painter import RoiPainter
from plic_lib.course.widgets import RateExplorer
from plic_lib.study import record


def run(model: TrainedModel, photo: Tensor, runs: int = 5) -> dict:
    """Medians over ``runs`` turns on a photograph (3, H, W); what is made once for a picture is made before."""
    explorer, painter = RateExplorer([model], photo, 1.0), RoiPainter(model, photo, 2.0, 0.5)

    def move(number: int) -> None:
        explorer.slider.value = 0.3 + 0.2 * number

    def stroke(number: int) -> None:
        painter.set_box(0, 0, photo.shape[2] // 2, 16 + 16 * number)

    rows = []
    for left in explorer.against.options:
        explorer.against.value = left
        rows.append({"turn": f"rate explorer, {left} at the left: the slider moves", "seconds": _median(move, runs)})
    rows.append({"turn": "region painter: a stroke", "seconds": _median(stroke, runs)})
    views = [view for view in painter.VIEWS if view != painter.view.value]
    rows.append({"turn": "region painter: another view", "seconds": _median(lambda n: setattr(painter.view, "value", views[n % 2]), runs)})
    return {**record.provenance(model), "pixels": [photo.shape[2], photo.shape[1]], "runs": runs, "rows": rows}


def _median(turn: Callable[[int], None], runs: int) -> float:
    turn(runs)  # warms up
    seconds = []
    for number in range(runs):
        start = time.perf_counter()
        turn(number)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
