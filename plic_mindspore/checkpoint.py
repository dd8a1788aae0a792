"""Models of plic_lib's safetensors files. As ``plic_lib.checkpoint``, for reading."""

from dataclasses import dataclass
from pathlib import Path

from mindspore import Tensor

from plic_lib import reference_decoder, shipped
from plic_lib.errors import CheckpointError
from plic_lib.reference_decoder import DecodeError
from plic_mindspore.model import Plic


@dataclass(frozen=True)
class TrainedModel:
    """A model that can write and read files."""

    name: str
    networks: Plic  #: in evaluation mode
    integers: reference_decoder.Model  #: what decides about latents: integers and tables, in NumPy

    @property
    def levels(self) -> int:
        """Number of trained gain vectors; levels run from 0 to this less one."""
        return self.integers.widths["levels"]


def load(name_or_path: str | Path = "mini") -> TrainedModel:
    """Load a shipped model by name, or any checkpoint by path. Raises CheckpointError."""
    path = shipped.find(name_or_path)
    try:
        integers = reference_decoder.read_model(path)
    except DecodeError as error:
        raise CheckpointError(str(error)) from error
    return TrainedModel(path.stem, networks_of(integers), integers)


def networks_of(model: reference_decoder.Model) -> Plic:
    """The float networks with a model's weights. Raises CheckpointError."""
    networks = Plic(**model.widths)
    for name, parameter in networks.parameters_dict().items():
        stored = model.tensors.get(f"networks.{name}")
        if stored is None or stored.shape != parameter.shape:
            raise CheckpointError(f"the model is incomplete: networks.{name} is missing, or of another shape than {parameter.shape}")
        parameter.set_data(Tensor(stored.copy()))
    return networks.set_train(False)
