"""Functions and objects of one process, used from another that does not trust it.

The judge draws inputs, knows the solutions and compares; a submission's code runs in a process of its own. In the judge stand proxies
of its functions, classes and objects (:mod:`plic_lib.course.grading.proxies`). Calling one sends the arguments there and brings the
result back, so a check need not know of it. Gradients pass: backward through a result asks the other process for its share. What a
call changed in its arguments (values, gradients) is changed here, too. A function among the arguments stays where it is and is called
across in turn.

Towards the submission goes pickle, from it only JSON and safetensors (:mod:`plic_lib.course.grading.wire`), in which nothing can be
hidden that runs.
"""

import builtins
import random

import numpy as np
import torch
from torch import Tensor

from plic_lib.course.grading import wire


class _Across(torch.autograd.Function):
    """Results of a call in the other process, as functions of the tensors that went there."""

    @staticmethod
    def forward(ctx, peer, call, results, *leaves):
        ctx.peer, ctx.call = peer, call
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx, *gradients):
        return None, None, None, *ctx.peer.ask("gradients", ctx.call, list(gradients))


class Peer:
    """One end of the line. ``everything`` says whether the other end may use all objects that it knows of, as the judge may, or only
    call functions that it was given."""

    def __init__(self, line: wire.Line, everything: bool):
        self.line, self.everything = line, everything
        self.objects: list = []
        self.calls: list[tuple[list, list]] = []  # the tensors that each got and those that it gave

    def refer(self, value) -> int:
        """The number under which the other end may use a value of ours."""
        self.objects.append(value)
        return len(self.objects) - 1

    def ask(self, *request):
        """Send a request and return its result; meanwhile the other end may ask in turn. Raises what was raised there."""
        state = (random.getstate(), torch.get_rng_state().numpy().tobytes()) if not self.everything else None
        sent = self.line.send(self, (*request, state))
        while True:
            message = self.line.receive()
            if message.answers:
                return self._result(message, sent)
            self._serve(message)

    def attribute(self, owner, number: int, name: str, state: dict):
        """The value of an attribute there; a method is called there, with the state that its owner then has."""
        is_method, value = self.ask("attribute", number, name, state)
        if not is_method:
            return value
        return lambda *arguments, **options: self.ask("call", number, name, owner.state() if state else {}, arguments, options)

    def serve(self) -> None:
        """Answer until the line is closed."""
        while True:
            self._serve(self.line.receive())

    # ------------------------------------------------------------ asking

    def _result(self, message: wire.Message, sent: list[Tensor]):
        linked = [i for i, about in enumerate(message.about) if about["linked"]]
        if linked:
            leaves = [tensor for tensor in sent if tensor.requires_grad]
            results = _Across.apply(self, message.call, [message.tensors[i].detach() for i in linked], *leaves)
            for i, tensor in zip(linked, results, strict=True):
                message.tensors[i] = tensor
        kind, value, changed = self.line.read(self, message)
        if kind == "raised":
            raise _exception(*value)
        for number, data, gradient in changed:
            tensor = sent[number]
            if data is not None:
                tensor.data.copy_(data)
            if gradient is not None and tensor.is_leaf:
                tensor.grad = gradient[0]
            elif gradient is not None and gradient[0] is not None:
                tensor.backward(gradient[0])
        return value

    # ------------------------------------------------------------ being asked

    def _serve(self, message: wire.Message) -> None:
        given: list[Tensor] = message.tensors
        changed: list = []
        try:
            kind, *request, state = self.line.read(self, message)
            if state:
                random.setstate(state[0])
                torch.set_rng_state(torch.from_numpy(np.frombuffer(state[1], np.uint8).copy()))
            if kind == "gradients":
                answer = "result", self._gradients(*request)
            else:
                before = [] if kind == "attribute" else [_picture(tensor) for tensor in given]
                answer = "result", (self._call if kind == "call" else self._attribute)(given, *request)
                changed = [change for i, (a, b) in enumerate(zip(given, before)) if (change := _change(i, a, b))]
        except (Exception, SystemExit) as error:
            answer = "raised", [type(error).__name__, [a if isinstance(a, str) else str(a) for a in error.args]]
        self.calls.append(([tensor for tensor in given if tensor.requires_grad], []))
        call = len(self.calls) - 1
        try:
            results = self.line.send(self, (*answer, changed), call)
        except Exception as error:  # a value that nothing can carry, such as a sparse tensor
            results = self.line.send(self, ("raised", [type(error).__name__, [str(error)]], []), call)
        self.calls[call][1].extend(tensor for tensor in results if tensor.requires_grad)

    def _target(self, number: int, state: dict, given: list[Tensor]):
        """Our object of a number; a network gets the state that it has at the other end, and lends its parameters to this call."""
        if not (0 <= number < len(self.objects)):
            raise LookupError("there is no such object")
        target = self.objects[number]
        own = dict(target.named_parameters()) | dict(target.named_buffers()) if state else {}
        for name, value in state.items():
            own[name].data, own[name].grad = value.detach(), value.grad
            own[name].requires_grad_(value.requires_grad)
            given[next(i for i, tensor in enumerate(given) if tensor is value)] = own[name]
        return target

    def _call(self, given: list[Tensor], number: int, name: str, state: dict, arguments, options):
        target = self._target(number, state, given)
        if not self.everything and name:
            raise LookupError("only functions can be called")
        return (getattr(target, name) if name else target)(*arguments, **options)

    def _attribute(self, given: list[Tensor], number: int, name: str, state: dict):
        if not self.everything:
            raise LookupError("only functions can be called")
        target = self._target(number, state, given)
        value = getattr(target, name)
        is_method = getattr(value, "__self__", None) is target and callable(value)
        return is_method, None if is_method else value

    def _gradients(self, call: int, gradients: list):
        leaves, results = self.calls[call]
        pairs = [(result, gradient) for result, gradient in zip(results, gradients) if gradient is not None]
        if not pairs or not leaves:
            return [None] * len(leaves)
        outputs, arriving = zip(*pairs)
        return list(torch.autograd.grad(outputs, leaves, arriving, retain_graph=True, allow_unused=True))


def _exception(name: str, arguments: list[str]) -> Exception:
    """The exception of another process: of its type where that is one of Python's."""
    kind = getattr(builtins, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind = type(name, (Exception,), {})
    try:
        return kind(*arguments)
    except TypeError:  # such as UnicodeDecodeError, which wants five of them
        return RuntimeError(f"{name}: {', '.join(arguments)}")


def _picture(tensor: Tensor) -> tuple[Tensor, Tensor | None]:
    return tensor.detach().clone(), None if tensor.grad is None else tensor.grad.clone()


def _change(number: int, tensor: Tensor, before: tuple[Tensor, Tensor | None]) -> list | None:
    """What was changed in a tensor: ``[its number, new values or None, [new gradient] or None]``."""
    data = None if torch.equal(tensor.detach(), before[0]) else tensor.detach()
    a, b = tensor.grad, before[1]
    same = a is b if a is None or b is None else torch.equal(a, b)
    return None if data is None and same else [number, data, None if same else [a]]
