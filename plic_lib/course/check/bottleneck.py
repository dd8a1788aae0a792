"""Exercises of 03_entropy_bottleneck."""

import math
import random
from functools import partial

import torch

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "03_entropy_bottleneck"


def message_bits(message, frequencies):
    """The probabilities of the letters that occur, one logarithm each, summed."""
    f = torch.tensor(frequencies, dtype=torch.float64)
    return -torch.log2(f / f.sum())[message].sum()


def _messages():
    for _ in range(2):
        frequencies = [random.randint(1, 60) for _ in range(random.randint(3, 8))]
        frequencies[0] += 65  # never all equal
        rarest = frequencies.index(min(frequencies))  # more frequent in this message than on average
        yield random.choices(range(len(frequencies)), k=random.randint(10, 40)) + [rarest] * 40, frequencies


def _prices(frequencies):
    return [math.log2(sum(frequencies) / f) for f in frequencies]


def _average(message, frequencies):
    return len(message) * sum(f / sum(frequencies) * price for f, price in zip(frequencies, _prices(frequencies)))


bottleneck_1 = Exercise(
    message_bits,
    _messages,
    hint="Each letter of the message pays by itself. What is the probability of a letter, and what does it cost?",
    rule="the sum over the message of -log2 of each letter's share of the frequencies",
    slips={
        "nats": ("this is in nats; bits need a logarithm to the base 2", lambda m, f: math.log(2) * sum(_prices(f)[s] for s in m)),
        "mean": ("this is the mean for a letter; the message costs the sum", lambda m, f: sum(_prices(f)[s] for s in m) / len(m)),
        "sign": ("the sign is wrong: log2 of a probability is negative", lambda m, f: -sum(_prices(f)[s] for s in m)),
        "average message": ("this is what such a message costs on average; this one has letters of its own", _average),
        "own shares": (
            "these are the letters' shares of this message; the coder knows the frequencies only",
            lambda m, f: sum(math.log2(len(m) / m.count(s)) for s in m),
        ),
        "uniform": ("this is the price without probabilities, all letters alike", lambda m, f: len(m) * math.log2(len(f))),
    },
)


def pop(x, frequencies, k):
    """Walk along the letters until the slot falls into one; `start` ends as the first of its slots."""
    slot, start, s = x % 2**k, 0, 0
    while start + frequencies[s] <= slot:
        start, s = start + frequencies[s], s + 1
    return s, frequencies[s] * (x >> k) + slot - start


def _frequencies(letters: int, k: int) -> list[int]:
    """Random frequencies of ``letters`` letters with sum 2^k, none zero."""
    cuts = sorted(random.sample(range(1, 2**k), letters - 1))
    return [b - a for a, b in zip([0, *cuts], [*cuts, 2**k])]


def _states():
    for first_slot in (False, True) * 12:
        k = random.randint(4, 12)
        frequencies = _frequencies(random.randint(3, 9), k)
        s = random.randrange(1, len(frequencies))
        before = random.randint(2**k, 2**40)
        before -= before % frequencies[s] if first_slot else 0
        yield (before // frequencies[s] << k) + sum(frequencies[:s]) + before % frequencies[s], frequencies, k


def _pop(x, frequencies, k, subtract=True, search=True, late=False):
    slot, start, s = x % 2**k, 0, 0
    while search and start + frequencies[s] + late <= slot:
        start, s = start + frequencies[s], s + 1
    return s, frequencies[s] * (x >> k) + slot - (start if subtract else 0)


bottleneck_2 = Exercise(
    pop,
    _states,
    tolerance=(0, 0),
    hint="The slot is x modulo 2^k. Which letter owns it? Popping undoes the push: what did the push do with the quotient and the "
    "remainder?",
    rule="the letter owns the slot x mod 2^k, and the state is what the push had before",
    slips={
        "slot not shifted": ("the slot counts from the start of the letter's own slots: subtract it", partial(_pop, subtract=False)),
        "letter 0": ("this always returns the first letter: walk along until the slot falls into one", partial(_pop, search=False)),
        "border": ("a letter owns the slot at its start, not the one at its end: there the next begins", partial(_pop, late=True)),
        "only shifted": (
            "only the letter is right: popping undoes what pushing did with its frequency",
            lambda x, f, k: (_pop(x, f, k)[0], x >> k),
        ),
        "remainder lost": (
            "in the state, the slot within the letter is missing: the remainder of the push",
            lambda x, f, k: (_pop(x, f, k)[0], f[_pop(x, f, k)[0]] * (x >> k)),
        ),
        "letter only": ("return two things: the letter and the new state", lambda x, f, k: _pop(x, f, k)[0]),
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
    hint="Round, but never below 1; then the sum is wrong by a few slots. Correct it one slot at a time: who feels a lost slot least, "
    "measured by f / p?",
    rule="one whole number for each probability, none below 1, of the given sum",
    slips={
        "rounded": ("rounding alone leaves zeros, and a sum that is not the total", lambda p, total: torch.round(p * total).long()),
        "sum ignored": (
            "none is zero now, but the sum is no longer the total",
            lambda p, total: torch.floor(p * total).long().clamp(min=1),
        ),
        "largest pays": (
            "the largest pays for all of them here, and goes below zero where they are many: let others pay as well, one slot at a time",
            _all_to_the_largest,
        ),
        "largest first": (
            "always the largest pays, until it is no larger than the next: one slot less costs least where f / p is largest",
            _largest_one_by_one,
        ),
        "not whole": ("the coder counts slots: return whole numbers", lambda p, total: p * total),
        "ones": (
            "one for each and the rest for the largest is far from p · total",
            lambda p, n: torch.where(p == p.max(), n - len(p) + 1, 1),
        ),
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
        "the notebook's": (
            "this is the notebook's gate: the slope at zero is 1 + tanh(a), between 0 and 2, not e^a",
            lambda v, a: v + torch.tanh(a) * torch.tanh(v),
        ),
        "a as a slope": ("the slope at zero is 1 + a here, not e^a, and for a below -1 the gate falls", lambda v, a: v + a * torch.tanh(v)),
        "scaled": ("this has the slope e^a everywhere; far from zero it has to return to 1", lambda v, a: v * torch.exp(a)),
        "e^a added": ("v has the slope 1 already: together they make 1 + e^a at zero", lambda v, a: v + torch.exp(a) * torch.tanh(v)),
        "bump": (
            "this is right at zero and far away, but for a large a the factor falls faster than v rises: the gate falls in between",
            lambda v, a: v * torch.exp(a * torch.exp(-(v**2))),
        ),
    },
)


def encode_bytes(symbols, cdf):
    r"""After a push the state is below $2^{31}$ if and only if $\lfloor x / f \rfloor < 2^{19}$ before it, that is
    $x < f \cdot 2^{19}$. A rare symbol may need two bytes to get there, hence `while`."""
    x, spilled = 2**23, []
    for s in reversed(symbols):
        start, frequency = cdf[s], cdf[s + 1] - cdf[s]
        while x >= frequency << 19:
            spilled.append(x & 255)
            x >>= 8
        x = (x // frequency << 12) + start + x % frequency
    return x.to_bytes(4, "little") + bytes(spilled[::-1])


def _long_messages():
    rare = [*_frequencies(5, 11), 1500, 531, 1, 16]
    cdf = [sum(rare[:i]) for i in range(len(rare) + 1)]
    for count in (20, 400):  # the last letter is pushed first, with 2^23 = 16 · 2^19
        yield random.choices(range(9), [f + 200 for f in rare], k=count) + [8], cdf


def _coder(symbols, cdf, backwards=True, reverse=True, loop=True, limit=lambda f: f << 19, little=True, state_first=True):
    x, spilled = 2**23, []
    for s in reversed(symbols) if backwards else symbols:
        f = cdf[s + 1] - cdf[s]
        while x >= limit(f):
            spilled.append(x & 255)
            x >>= 8
            if not loop:
                break
        x = (x // f << 12) + cdf[s] + x % f
    parts = (x % 2**32).to_bytes(4, "little" if little else "big"), bytes(spilled[::-1] if reverse else spilled)
    return b"".join(parts if state_first else parts[::-1])


bottleneck_5 = Exercise(
    encode_bytes,
    _long_messages,
    hint="Before a push, ask whether it would take the state to 2^31 or beyond; as long as it would, move the lowest byte out. For which "
    "x is (x // f) · 2^12 still below 2^31?",
    rule="the last state, four bytes, then the spilled bytes, the last one first; the decoder finds something else in yours",
    slips={
        "forwards": ("the symbols come back last one first: walk backwards through the message", partial(_coder, backwards=False)),
        "not turned": ("the spilled bytes are in the wrong order: the decoder wants the last one first", partial(_coder, reverse=False)),
        "one byte": ("a symbol of frequency 1 may have to spill two bytes: spill in a loop", partial(_coder, loop=False)),
        "big-endian": ("the state's bytes are in the wrong order: little-endian means low byte first", partial(_coder, little=False)),
        "spilled early": (
            "spilled too early, the state falls below 2^23 and the decoder reads too much; the limit is f · 2^19",
            partial(_coder, limit=lambda f: f << 18),
        ),
        "spilled late": (
            "spilled too late, a push takes the state to 2^31 or beyond; the limit is f · 2^19",
            partial(_coder, limit=lambda f: f << 20),
        ),
        "at the limit": ("x = f · 2^19 is too much already: a push makes 2^31 of it", partial(_coder, limit=lambda f: (f << 19) + 1)),
        "one limit": (
            "a push multiplies the state by 2^12 / f, so the limit depends on the symbol: f · 2^19",
            partial(_coder, limit=lambda f: 1 << 23),
        ),
        "state last": ("the decoder begins with the state: its four bytes come first", partial(_coder, state_first=False)),
    },
)
