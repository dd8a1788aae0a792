"""Exercises that check themselves: ``check.rate_1(my_function)`` in a notebook cell.

A check draws random inputs, tries one property after the other, and says which one
fails, with a hint. It never raises, so Run All stays green while stubs are unsolved.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

NOT_ATTEMPTED, FAILED, PASSED = "not attempted yet", "not yet", "passed"


@dataclass(frozen=True)
class Result:
    """What a check found; shown as one line where it is a cell's last value."""

    status: str
    hint: str = ""

    def __repr__(self) -> str:
        return f"{self.status}: {self.hint}" if self.hint else self.status


def exercise(examine: Callable) -> Callable[..., Result]:
    """Make a check of a function that raises AssertionError with a hint."""

    @functools.wraps(examine)
    def check(answer: Callable) -> Result:
        try:
            examine(answer)
        except NotImplementedError:
            return Result(NOT_ATTEMPTED)
        except AssertionError as hint:
            return Result(FAILED, str(hint))
        except Exception as error:  # the learner's code may raise anything
            return Result(FAILED, f"your function raised {type(error).__name__}: {error}")
        return Result(PASSED)

    return check


from plic_lib.course.check.asymmetric import asymmetric_1, asymmetric_2, asymmetric_3, asymmetric_4  # noqa: E402
from plic_lib.course.check.bottleneck import bottleneck_1, bottleneck_2, bottleneck_3, bottleneck_4, bottleneck_5  # noqa: E402
from plic_lib.course.check.context import context_1, context_2, context_3, context_4, context_5  # noqa: E402
from plic_lib.course.check.gain import gain_1, gain_2, gain_3, gain_4  # noqa: E402
from plic_lib.course.check.gan import gan_1, gan_2, gan_3, gan_4, gan_5  # noqa: E402
from plic_lib.course.check.gdn import gdn_1, gdn_2, gdn_3, gdn_4  # noqa: E402
from plic_lib.course.check.hyper import hyper_1, hyper_2, hyper_3, hyper_4  # noqa: E402
from plic_lib.course.check.loss import loss_1, loss_2, loss_3, loss_4, loss_5  # noqa: E402
from plic_lib.course.check.low import low_1, low_2, low_3, low_4  # noqa: E402
from plic_lib.course.check.rate import rate_1, rate_2, rate_3, rate_4  # noqa: E402
from plic_lib.course.check.results import results_1, results_2, results_3, results_4  # noqa: E402
from plic_lib.course.check.roi import roi_1, roi_2, roi_3, roi_4  # noqa: E402
from plic_lib.course.check.train import train_1, train_2, train_3, train_4  # noqa: E402

__all__ = [
    "FAILED",
    "NOT_ATTEMPTED",
    "PASSED",
    "Result",
    "bottleneck_1",
    "bottleneck_2",
    "bottleneck_3",
    "bottleneck_4",
    "bottleneck_5",
    "exercise",
    "asymmetric_1",
    "asymmetric_2",
    "asymmetric_3",
    "asymmetric_4",
    "context_1",
    "context_2",
    "context_3",
    "context_4",
    "context_5",
    "gain_1",
    "gain_2",
    "gain_3",
    "gain_4",
    "gan_1",
    "gan_2",
    "gan_3",
    "gan_4",
    "gan_5",
    "gdn_1",
    "gdn_2",
    "gdn_3",
    "gdn_4",
    "hyper_1",
    "hyper_2",
    "hyper_3",
    "hyper_4",
    "loss_1",
    "loss_2",
    "loss_3",
    "loss_4",
    "loss_5",
    "low_1",
    "low_2",
    "low_3",
    "low_4",
    "rate_1",
    "rate_2",
    "rate_3",
    "rate_4",
    "results_1",
    "results_2",
    "results_3",
    "results_4",
    "roi_1",
    "roi_2",
    "roi_3",
    "roi_4",
    "train_1",
    "train_2",
    "train_3",
    "train_4",
]
