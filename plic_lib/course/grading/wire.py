"""How values go from one process to the other.

A message is a header, a body and tensors. Tensors travel as safetensors in both directions. The body is pickle where the reader trusts
the writer, from judge to submission, and else JSON, where every value is either data or the number of an object that stays where it is.
"""

import base64
import io
import json
import os
import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from types import FunctionType

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from plic_lib.course.grading.proxies import Far, FarModule

MAX_BYTES = 2**27  #: of a message
MAX_ITEMS = 10**6  #: of an iterator that is sent as a list


class Ended(BaseException):
    """The other process is gone, or sends what is no message. No Exception, so that no check takes it for an answer's."""


@dataclass
class Message:
    """One message; ``about`` says of each tensor what safetensors do not keep."""

    answers: bool  # or asks
    call: int  # which of the other end's calls it answers
    about: list[dict]
    tensors: list[Tensor]
    body: bytes


class Line:
    """Messages over a pair of file descriptors; ``write`` and ``read`` of a format are ``(value, tensors, peer)`` and back."""

    def __init__(self, source: int, sink: int, outgoing, incoming):
        self.source, self.sink, self.outgoing, self.incoming = source, sink, outgoing, incoming

    def send(self, peer, value, call: int = -1) -> list[Tensor]:
        """Send a value, as the answer to a call of the other end or as a request; the tensors that are in it."""
        tensors: list[Tensor] = []
        body = self.outgoing.write(value, tensors, peer)
        answers = call >= 0
        about, named = [], {}
        for i, tensor in enumerate(tensors):
            about.append({"linked": answers and tensor.requires_grad, "slope": not answers and tensor.requires_grad})
            about[-1]["parameter"] = isinstance(tensor, nn.Parameter)
            # the order in memory: another one, and a convolution differs in its last bits
            about[-1]["last"] = tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)
            named[str(i)] = _bare(tensor)
            if not answers and tensor.is_leaf and tensor.grad is not None:
                named[f"{i}.grad"] = _bare(tensor.grad)
        header = json.dumps([answers, call, about]).encode()
        block = safetensors.torch.save(named) if named else b""
        self._write(struct.pack("<QQQ", len(header), len(body), len(block)) + header + body + block)
        return tensors

    def receive(self) -> Message:
        """The next message. Raises Ended."""
        sizes = struct.unpack("<QQQ", self._read(24))
        if sum(sizes) > MAX_BYTES:
            raise Ended(f"it sends more than {MAX_BYTES >> 20} MiB at once")
        header, body, block = map(self._read, sizes)
        try:
            answers, call, about = json.loads(header)
            named = safetensors.torch.load(block) if block else {}
            tensors = []
            for i, of in enumerate(about):
                tensor = named[str(i)].to(memory_format=torch.channels_last if of["last"] else torch.preserve_format)
                tensor = nn.Parameter(tensor, False) if of["parameter"] and not answers else tensor
                tensor.grad = named.get(f"{i}.grad")
                tensors.append(tensor.requires_grad_(bool(of["slope"])))
            return Message(bool(answers), int(call), about, tensors, body)
        except Exception as error:
            raise Ended("it sends what is no answer") from error

    def read(self, peer, message: Message):
        """What a message says, once its tensors are what they shall be here. Raises Ended."""
        try:
            return self.incoming.read(message.body, message.tensors, peer)
        except Exception as error:
            raise Ended("it sends what is no answer") from error

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self.sink, data[: 1 << 20]) :]
        except OSError as error:
            raise Ended("its process ended by itself: a crash, or an exit") from error

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            part = os.read(self.source, min(size, 1 << 20))
            if not part:
                raise Ended("its process ended by itself: a crash, or an exit")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _bare(tensor: Tensor) -> Tensor:
    """A copy that shares no memory, as safetensors want it."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _slot(tensor: Tensor, tensors: list[Tensor]) -> int:
    """The place of a tensor among those of a message."""
    for i, known in enumerate(tensors):
        if known is tensor:
            return i
    tensors.append(tensor)
    return len(tensors) - 1


class Pickled:
    """From the judge: any value, its functions as references."""

    @staticmethod
    def write(value, tensors: list[Tensor], peer) -> bytes:
        file = io.BytesIO()
        _Pickler(file, tensors, peer).dump(value)
        return file.getvalue()

    @staticmethod
    def read(body: bytes, tensors: list[Tensor], peer):
        return _Unpickler(io.BytesIO(body), tensors, peer).load()


class _Pickler(pickle.Pickler):
    def __init__(self, file, tensors: list[Tensor], peer):
        super().__init__(file)
        self.tensors, self.peer = tensors, peer

    def persistent_id(self, obj):
        if isinstance(obj, Tensor):
            return "tensor", _slot(obj, self.tensors)
        if isinstance(obj, Far | FarModule):
            return "yours", obj._number
        # of plic, of a check, of a notebook or within a function; what torch and Python have, the other end has too
        if isinstance(obj, FunctionType) and ("<" in obj.__qualname__ or obj.__module__.partition(".")[0] in ("plic_lib", "notebook")):
            return "mine", self.peer.refer(obj)
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, tensors: list[Tensor], peer):
        super().__init__(file)
        self.tensors, self.peer = tensors, peer

    def persistent_load(self, pid):
        kind, number = pid
        return self.tensors[number] if kind == "tensor" else self.peer.objects[number] if kind == "yours" else Far(self.peer, number)


class Plain:
    """From a submission: data, and numbers of objects that stay there."""

    @classmethod
    def write(cls, value, tensors: list[Tensor], peer) -> bytes:
        return json.dumps(cls._node(value, tensors, peer)).encode()

    @classmethod
    def _node(cls, value, tensors: list[Tensor], peer):
        def node(inner):
            return cls._node(inner, tensors, peer)

        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, np.generic):
            return node(value.item())
        if isinstance(value, Tensor):
            return {"tensor": _slot(value, tensors)}
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            return {"array": _slot(torch.from_numpy(np.ascontiguousarray(value)), tensors)}
        if isinstance(value, bytes | bytearray):
            return {"bytes": base64.b64encode(value).decode()}
        if isinstance(value, tuple):
            return {"tuple": list(map(node, value))}
        if isinstance(value, list | range | Iterator):
            return {"list": list(map(node, islice(value, MAX_ITEMS)))}
        if isinstance(value, dict):
            return {"dict": [[node(key), node(inner)] for key, inner in value.items()]}
        if isinstance(value, Far):
            return {"yours": value._number}
        if isinstance(value, nn.Module):
            persistent = value._buffers.keys() - value._non_persistent_buffers_set
            return {
                "network": peer.refer(value),
                "parameters": {k: [node(p.detach()), p.requires_grad] for k, p in value._parameters.items() if p is not None},
                "buffers": {k: [node(b), k in persistent] for k, b in value._buffers.items() if b is not None},
                "children": {k: node(child) for k, child in value._modules.items() if child is not None},
            }
        return {"object": peer.refer(value)}

    @classmethod
    def read(cls, body: bytes, tensors: list[Tensor], peer):
        return cls._value(json.loads(body), tensors, peer)

    @classmethod
    def _value(cls, node, tensors: list[Tensor], peer):
        def value(inner):
            return cls._value(inner, tensors, peer)

        if not isinstance(node, dict):
            return node
        if "network" in node:
            parameters = {k: (value(p), bool(slope)) for k, (p, slope) in node["parameters"].items()}
            buffers = {k: (value(b), bool(persistent)) for k, (b, persistent) in node["buffers"].items()}
            return FarModule(peer, int(node["network"]), parameters, buffers, {k: value(c) for k, c in node["children"].items()})
        ((kind, content),) = node.items()
        return {
            "tensor": lambda: tensors[content],
            "array": lambda: tensors[content].numpy(),
            "bytes": lambda: base64.b64decode(content),
            "tuple": lambda: tuple(map(value, content)),
            "list": lambda: list(map(value, content)),
            "dict": lambda: {value(key): value(inner) for key, inner in content},
            "yours": lambda: peer.objects[content],
            "object": lambda: Far(peer, int(content)),
        }[kind]()
