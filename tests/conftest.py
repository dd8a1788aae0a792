"""What tests share: photographs, a tiny random model, the shipped model, Kodak where it is at hand."""

import os
from pathlib import Path

import pytest
import torch

from plic_lib import checkpoint, datasets, metrics
from plic_lib.checkpoint import TrainedModel
from plic_lib.integer import freeze
from plic_lib.model import Plic, Widths

# a real browser is more than a newcomer needs: `make test-browser`
collect_ignore = [] if os.environ.get("PLIC_BROWSER") == "1" else ["browser"]


@pytest.fixture(scope="session")
def photo():
    """A real photograph, (3, 128, 192)."""
    return datasets.sample("coffee")[:, 100:228, 200:392].contiguous()


def tiny_model(symmetric: bool = False) -> TrainedModel:
    """Random weights, narrow; its latents are of the size of a trained model's."""
    torch.manual_seed(1)
    networks = Plic(Widths(N=16, M=24, symmetric=symmetric)).eval()
    x = datasets.sample("chelsea")[None, :, :192, :256]
    with torch.no_grad():
        y = networks.encoder(x)
        networks.gain_units.theta -= torch.log(y.std(dim=(0, 2, 3)))
        networks.gain_units.theta += torch.tensor([-1.0, 0.0, 1.0])[:, None]
        networks.gain_units.theta_inverse -= networks.gain_units.theta
    return TrainedModel("tiny", networks, freeze(networks, [x[0]]))


@pytest.fixture(scope="session")
def tiny():
    """All tests see the same one: who wants to change a model makes one with ``tiny_model``."""
    model = tiny_model()
    before = {name: value.clone() for name, value in model.networks.state_dict().items()}
    yield model
    assert all(torch.equal(value, before[name]) for name, value in model.networks.state_dict().items()), "a test has changed it"


def stored(model: TrainedModel, path: Path) -> Path:
    """A model written as a checkpoint, its weights rounded as one holds them."""
    checkpoint.save(TrainedModel(model.name, checkpoint.round_weights_(model.networks), model.frozen), path)
    return path


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory):
    return stored(tiny_model(), tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


@pytest.fixture(scope="session")
def mini():
    """The shipped model: the bars hold for it, not for a random one."""
    return checkpoint.load("mini")


@pytest.fixture(scope="session")
def kodak():
    """Kodak photographs, where PLIC_KODAK names their folder: every sixth, and in `make test-all` (PLIC_FULL) all 24."""
    folder = os.environ.get("PLIC_KODAK")
    if not folder:
        pytest.skip("PLIC_KODAK does not name a folder with the Kodak photographs")
    return datasets.find(Path(folder))[:: 1 if os.environ.get("PLIC_FULL") == "1" else 6]


@pytest.fixture
def needs_lpips():
    if not metrics.weights_path("alex").is_file():
        pytest.skip(f"LPIPS weights are not here: {metrics.weights_path('alex')}")


@pytest.fixture(scope="session")
def tiny_tables(tiny):
    return tiny.frozen.tables
