"""Exercises of 03_entropy_bottleneck."""

import math
import random
from functools import partial

import torch

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "03_entropy_bottleneck"


def stream_bytes(symbols, classes, cdfs):
    r"""The state begins with 31 bits and grows by what the symbols cost; each spilled word takes 32 away. It ends with 31 to 63
    bits, so one word is spilled for every *whole* 32 bits of the message. The last state is two words more."""
    frequencies = [cdfs[row][symbol + 1] - cdfs[row][symbol] for symbol, row in zip(symbols, classes)]
    bits = (16 - torch.log2(torch.tensor(frequencies, dtype=torch.float64))).sum()
    return 8 + 4 * int(bits / 32)


def _frequencies(letters: int, precision: int) -> list[int]:
    """Random frequencies of ``letters`` letters with sum 2^precision, none zero."""
    cuts = sorted(random.sample(range(1, 2**precision), letters - 1))
    return [b - a for a, b in zip([0, *cuts], [*cuts, 2**precision])]


def _cdf(frequencies: list[int]) -> list[int]:
    return [sum(frequencies[:i]) for i in range(len(frequencies) + 1)]


def _bits(symbols, classes, cdfs, whole=lambda bits: bits):
    return sum(whole(16 - math.log2(cdfs[row][symbol + 1] - cdfs[row][symbol])) for symbol, row in zip(symbols, classes))


def _streams():
    ranges = [(0.55, 0.7), (0.03, 0.45), (0.03, 0.7)]  # of a word; beside a whole one the coder's own rounding decides
    while ranges:
        cdfs = [_cdf(_frequencies(random.randint(4, 20), 16)) for _ in range(3)]
        classes = random.choices(range(3), k=random.randint(200, 400))
        symbols = [random.randrange(len(cdfs[row]) - 1) for row in classes]
        low, high = ranges[0]
        if low < _bits(symbols, classes, cdfs) / 32 % 1 < high:
            yield symbols, classes, cdfs
            ranges.pop(0)


def _of(answer):
    return lambda *stream: answer(_bits(*stream))


bottleneck_1 = Exercise(
    stream_bytes,
    _streams,
    hint="The state's logarithm begins at 31 and grows by the price of each symbol; a spilled word takes 32 away. Between which two "
    "numbers does it end, and how many times must 32 have been taken away for that?",
    rule="the last state is two words; one more is spilled for every whole 32 bits that the symbols cost",
    slips={
        "estimate": ("this is the promise, without the state, and a stream consists of whole words", _of(lambda bits: bits / 8)),
        "whole bytes": ("a stream is made of whole words, and the state belongs to it", _of(lambda bits: math.ceil(bits / 8))),
        "state added": ("the state holds up to 32 bits of the message: they cost once", _of(lambda bits: 8 + math.ceil(bits / 8))),
        "one word": ("the last state takes two words, 64 bits", _of(lambda bits: 4 + 4 * int(bits / 32))),
        "rounded up": ("the last bits need no word of their own: they are in the state", _of(lambda bits: 8 + 4 * math.ceil(bits / 32))),
        "nearest": ("a word is spilled when it is full: count the whole ones", _of(lambda bits: 8 + 4 * round(bits / 32))),
        "nats": ("these are nats; bits need a logarithm to the base 2", _of(lambda bits: 8 + 4 * int(bits * math.log(2) / 32))),
        "whole bits": (
            "a symbol may cost a fraction of a bit: round none",
            lambda *stream: 8 + 4 * (_bits(*stream, whole=math.ceil) // 32),
        ),
    },
)


def table_ends(cdf, tail):
    """The bin of an integer reaches half a unit to both sides. Walk out while too much is left outside, then in while there is room."""
    first = last = 0
    while cdf(first - 0.5) > tail / 2:
        first -= 1
    while cdf(first + 0.5) <= tail / 2:
        first += 1
    while 1 - cdf(last + 0.5) > tail / 2:
        last += 1
    while 1 - cdf(last - 0.5) <= tail / 2:
        last -= 1
    return first, last


def _two_sided(v, centre, left, right):
    """A logistic distribution with a scale on each side."""
    return (1 + math.tanh((v - centre) / (2 * (left if v < centre else right)))) / 2


def _distributions():
    for side in (-1, 1) * 5:
        left, right = (random.uniform(2, 3), random.uniform(4, 7))[::side]
        yield partial(_two_sided, centre=side * random.uniform(150, 300), left=left, right=right), 10 ** random.uniform(-6, -3)


def _ends(cdf, tail, reach=0.0, longer=0):
    """Where the bins reach further by ``reach``, and each end by ``longer``."""
    first, last = table_ends(lambda v: cdf(v + (reach if cdf(v) < 0.5 else -reach)), tail)
    return first - longer, last + longer


def _about(cdf, tail, middle=None):
    first, last = table_ends(cdf, tail)
    middle = next(v for v in range(-1000, 1000) if cdf(v + 0.5) >= 0.5) if middle is None else middle
    half = max(middle - first, last - middle)
    return middle - half, middle + half


bottleneck_2 = Exercise(
    table_ends,
    _distributions,
    hint="Which interval of the line does an integer stand for? Write down what lies below the first one's, and above the last one's.",
    rule="at most tail / 2 below first - 1/2 and above last + 1/2, and with a table that is shorter by one at either end, more",
    slips={
        "points": ("an integer stands for its bin, half a unit to each side: take the cdf at the bin's edge", partial(_ends, reach=0.5)),
        "whole tail": ("the tail is shared: half of it on each side", lambda cdf, tail: table_ends(cdf, 2 * tail)),
        "too long": ("a table shorter by one at each end would do", partial(_ends, longer=1)),
        "too short": ("too much is left outside: each end lacks one value", partial(_ends, longer=-1)),
        "about zero": ("the table need not lie about 0: its peak may be anywhere", partial(_about, middle=0)),
        "symmetric": ("the two sides have their own tails: one may be longer", _about),
        "length": ("return two numbers, the first and the last value", lambda *of: table_ends(*of)[1] - table_ends(*of)[0] + 1),
    },
)


def frequencies(p, total):
    """Take and give one slot at a time, always where a symbol has the most slots for its probability, or the fewest. Only
    letters with two slots or more can give one."""
    f = torch.round(p * total).clamp(min=1)
    while f.sum() > total:
        f[torch.where(f > 1, f / p, 0).argmax()] -= 1
    while f.sum() < total:
        f[(p / f).argmax()] += 1
    return f.long()


def _probabilities(letters: int, spread: float) -> torch.Tensor:
    p = torch.softmax(spread * torch.randn(letters, dtype=torch.float64), 0)
    p[random.sample(range(letters), 3)] = 1e-7
    return p / p.sum()


def _totals():
    yield _probabilities(30, 3.0), 65536
    yield _probabilities(40, 2.0), 4096
    yield _probabilities(12, 4.0), 1000
    few = 3.2 + 0.25 * torch.rand(20, dtype=torch.float64)  # rounding leaves slots over
    yield few / few.sum(), int(few.sum().round())
    # more rare symbols than the largest can pay for
    crowded = torch.tensor([0.5] + 8 * [0.055] + 50 * [0.001], dtype=torch.float64)[torch.randperm(59)] * (1 + 0.1 * torch.rand(59))
    yield crowded / crowded.sum(), 80


def _is_a_table(seen, expected, p, total):
    f = torch.as_tensor(seen).double()
    assert f.shape == p.shape, "return a tensor, one frequency for each probability"
    where = f"with {len(p)} letters and a total of {total}"
    assert torch.equal(f, f.round()), "the coder counts slots: return whole numbers"
    assert f.min() > 0, f"{where} a frequency is {int(f.min())}: its symbol could not be coded at any price"
    assert int(f.sum()) == total, f"{where} the frequencies sum to {int(f.sum())}: the decoder's slots have to be exactly full"
    cost, reached = (float((p * torch.log2(p * total / g)).sum()) for g in (f, expected.double()))
    assert cost < 1.3 * reached + 0.02, (
        f"{where} a symbol costs {cost:.3f} bits more than the entropy, {reached:.3f} is possible: "
        "take and give slots where it costs least, that is by f / p, not by f"
    )


def _all_to_the_largest(p, total):
    f = torch.round(p * total).long().clamp(min=1)
    f[f.argmax()] += total - f.sum()
    return f


def _largest_one_by_one(p, total):
    f = torch.round(p * total).long().clamp(min=1)
    while f.sum() != total:
        f[f.argmax()] += 1 if f.sum() < total else -1
    return f


bottleneck_3 = Exercise(
    frequencies,
    _totals,
    properties=_is_a_table,
    hint="Round, but never below 1; then the sum is wrong by a few slots. Correct it one slot at a time. Who can give a slot at all, and "
    "which of those feels it least, measured by f / p?",
    rule="one whole number for each probability, none below 1, of the given sum",
    slips={
        "rounded": ("rounding alone leaves zeros, and a sum that is not the total", lambda p, total: torch.round(p * total).long()),
        "sum ignored": ("none is zero, but the sum is no longer the total", lambda p, total: torch.floor(p * total).long().clamp(min=1)),
        "largest pays": ("the largest pays for all, and may go below zero: let others pay as well, slot by slot", _all_to_the_largest),
        "largest first": ("always the largest pays: one slot less costs least where f / p is largest", _largest_one_by_one),
        "not whole": ("the coder counts slots: return whole numbers", lambda p, total: p * total),
        "ones": ("one each, and all others for the largest, is not close to p", lambda p, n: torch.where(p == p.max(), n - len(p) + 1, 1)),
    },
)


def gate(v, a):
    r"""$\tanh$ has slope 1 at zero and 0 far away. Its factor has to add $e^a - 1$ to the slope, which is above $-1$ for every
    $a$, so the gate always rises. Any other squashing function of slope 1 at zero does as well."""
    return v + torch.expm1(a) * torch.tanh(v)


def _bends():
    half = torch.cat([torch.tensor([1e-5]), torch.linspace(0.005, 12, 2400), torch.tensor([1000.0, 1001.0])]).double()
    for low, high in ((-4, -1.5), (-0.8, -0.2), (0, 0), (0.2, 0.8), (1.8, 4)):
        yield torch.cat([-half.flip(0), half]), torch.tensor(random.uniform(low, high), dtype=torch.float64)


def _is_a_gate(seen, expected, v, a):
    seen = torch.as_tensor(seen)
    assert seen.shape == v.shape, "the gate works on each element: the result has the shape of v"
    slope = seen.diff() / v.diff()
    middle, far = float(slope[len(slope) // 2]), float(slope[[0, -1]].mean())
    assert slope.isfinite().all(), f"at a = {a:.2f} the gate is not finite everywhere"
    assert slope.min() > 0, f"at a = {a:.2f} the gate falls near v = {v[slope.argmin()]:.1f}: a cdf made with it would give negative masses"
    assert math.isclose(far, 1, abs_tol=0.05), f"at a = {a:.2f} the slope far from zero is {far:.2f}; only the middle is to be bent"
    assert math.isclose(middle, math.exp(a), rel_tol=0.02), f"at a = {a:.2f} the slope at v = 0 is {middle:.3f}; e^a is {math.exp(a):.3f}"


bottleneck_4 = Exercise(
    gate,
    _bends,
    properties=_is_a_gate,
    hint="v has slope 1 everywhere. What has to be added to the slope at zero, and which function adds a slope there and none far away?",
    rule="slope e^a at zero, slope 1 far away, rising for every a",
    slips={
        "the notebook's": ("this is the notebook's: its slope at zero is 1 + tanh(a)", lambda v, a: v + torch.tanh(a) * torch.tanh(v)),
        "a as a slope": ("the slope at zero is 1 + a here, not e^a, and for a below -1 the gate falls", lambda v, a: v + a * torch.tanh(v)),
        "scaled": ("this has the slope e^a everywhere; far from zero it has to return to 1", lambda v, a: v * torch.exp(a)),
        "e^a added": ("v has the slope 1 already: together they make 1 + e^a at zero", lambda v, a: v + torch.exp(a) * torch.tanh(v)),
        "bump": ("right at zero and far away; but for large a it falls in between", lambda v, a: v * torch.exp(a * torch.exp(-(v**2)))),
    },
)


def encode_bytes(symbols, cdf):
    r"""After a push the state is below $2^{31}$ if and only if $\lfloor X / f \rfloor < 2^{19}$ before it, that is
    $X < f \cdot 2^{19}$. A rare symbol may need two bytes to get there, hence `while`."""
    state, spilled = 2**23, []
    for symbol in reversed(symbols):
        start, frequency = cdf[symbol], cdf[symbol + 1] - cdf[symbol]
        while state >= frequency << 19:
            spilled.append(state & 255)
            state >>= 8
        state = (state // frequency << 12) + start + state % frequency
    return state.to_bytes(4, "little") + bytes(spilled[::-1])


def _long_messages():
    rare = [*_frequencies(5, 11), 1500, 531, 1, 16]
    for count in (20, 400):  # the last letter is pushed first, with 2^23 = 16 · 2^19
        yield random.choices(range(9), [f + 200 for f in rare], k=count) + [8], _cdf(rare)


def _coder(symbols, cdf, backwards=True, turned=True, loop=True, shift=19, late=0, alike=0, little=True, state_first=True):
    state, spilled = 2**23, []
    for symbol in reversed(symbols) if backwards else symbols:
        f = cdf[symbol + 1] - cdf[symbol]
        while state >= (alike or (f << shift) + late):
            spilled.append(state & 255)
            state >>= 8
            if not loop:
                break
        state = (state // f << 12) + cdf[symbol] + state % f
    parts = (state % 2**32).to_bytes(4, "little" if little else "big"), bytes(spilled[::-1] if turned else spilled)
    return b"".join(parts if state_first else parts[::-1])


bottleneck_5 = Exercise(
    encode_bytes,
    _long_messages,
    hint="Before a push, ask whether it would take the state to 2^31 or beyond; as long as it would, move the lowest byte out. For which "
    "states is (state // f) · 2^12 still below 2^31?",
    rule="the last state, four bytes, then the spilled bytes, the last one first",
    slips={
        "forwards": ("the symbols come back last one first: walk backwards through the message", partial(_coder, backwards=False)),
        "not turned": ("the spilled bytes are in the wrong order: the decoder wants the last one first", partial(_coder, turned=False)),
        "one byte": ("a symbol of frequency 1 may have to spill two bytes: spill in a loop", partial(_coder, loop=False)),
        "big-endian": ("the state's bytes are in the wrong order: little-endian means low byte first", partial(_coder, little=False)),
        "spilled early": ("spilled too early, the state falls below 2^23; the limit is f · 2^19", partial(_coder, shift=18)),
        "spilled late": ("spilled too late, a push takes the state to 2^31; the limit is f · 2^19", partial(_coder, shift=20)),
        "forgotten precision": ("spilled too late: 2^31 after a push, times 2^12 / f, is f · 2^19 before it", partial(_coder, shift=23)),
        "after the fact": ("ask whether the push *would* make the state too large, not whether it is", partial(_coder, alike=2**31)),
        "at the limit": ("X = f · 2^19 is too much already: a push makes 2^31 of it", partial(_coder, late=1)),
        "one limit": ("a push multiplies by 2^12 / f, so the limit depends on the symbol: f · 2^19", partial(_coder, alike=2**23)),
        "state last": ("the decoder begins with the state: its four bytes come first", partial(_coder, state_first=False)),
    },
)
