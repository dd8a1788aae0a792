"""What stands in one process for something that lives in another."""

from contextlib import suppress

from torch import Tensor, nn


class Far:
    """Something that lives in the other process."""

    def __init__(self, peer, number: int):
        self._peer, self._number = peer, number

    def __call__(self, *arguments, **options):
        return self._peer.ask("call", self._number, "", {}, arguments, options)

    def __getattr__(self, name: str):
        if name.startswith("__"):  # Python itself asks, whether this can be copied or such
            raise AttributeError(name)
        return self._peer.attribute(self, self._number, name, {})


class FarModule(nn.Module):
    """A network that lives in the other process, its parameters and buffers here, by the same names."""

    def __init__(self, peer, number: int, parameters: dict, buffers: dict, children: dict):
        super().__init__()
        for name, (value, slope) in parameters.items():
            self.register_parameter(name, nn.Parameter(value, slope))
        for name, (value, persistent) in buffers.items():
            self.register_buffer(name, value, persistent)
        for name, child in children.items():
            self.add_module(name, child)
        self._peer, self._number = peer, number  # last: before, no name is looked for there

    def state(self) -> dict[str, Tensor]:
        """What goes across with each call."""
        return dict(self.named_parameters()) | dict(self.named_buffers())

    def forward(self, *arguments, **options):
        return self._peer.ask("call", self._number, "", self.state(), arguments, options)

    def __getattr__(self, name: str):
        with suppress(AttributeError):
            return super().__getattr__(name)
        if name.startswith("__") or "_number" not in self.__dict__:
            raise AttributeError(name)
        return self._peer.attribute(self, self._number, name, self.state())

    def __getitem__(self, index: int):
        return [*self._modules.values(), *self._parameters.values()][index]
