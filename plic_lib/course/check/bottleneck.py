"""Checks of 03_entropy_bottleneck."""

import math
import random

import torch

from plic_lib.course.check import exercise


def _frequencies(letters: int, k: int) -> list[int]:
    """Random frequencies of ``letters`` letters with sum 2^k, all different neighbours and none zero."""
    cuts = sorted(random.sample(range(1, 2**k), letters - 1))
    return [b - a for a, b in zip([0, *cuts], [*cuts, 2**k])]


@exercise
def bottleneck_1(message_bits):
    """``message_bits(message, frequencies)``: the sum of -log2 of each letter's probability."""
    frequencies = [random.randint(1, 60) for _ in range(random.randint(3, 8))]
    frequencies[0] += 5  # never all equal
    price = [-math.log2(f / sum(frequencies)) for f in frequencies]
    rarest = price.index(max(price))  # more frequent in this message than on average
    message = random.choices(range(len(frequencies)), k=random.randint(10, 40)) + [rarest] * 40
    bits = sum(price[i] for i in message)
    close = lambda value, other: math.isclose(float(value), other, rel_tol=1e-4)  # noqa: E731
    value = message_bits(list(message), list(frequencies))
    assert not close(value, bits * math.log(2)), "this is in nats; bits need a logarithm to the base 2"
    assert not close(value, bits / len(message)), "this is the mean for a letter; the message costs the sum"
    assert not close(value, -bits), "the sign is wrong: log2 of a probability is negative"
    entropy = -sum(f / sum(frequencies) * math.log2(f / sum(frequencies)) for f in frequencies)
    assert not close(value, len(message) * entropy), "this is what such a message costs on average; this one has letters of its own"
    assert close(value, bits), f"this message costs {bits:.3f} bits, not {float(value):.3f}"


@exercise
def bottleneck_2(pop):
    """``pop(x, frequencies, k)``: the letter's index and the state before it was pushed."""
    for _ in range(50):
        k = random.randint(4, 12)
        frequencies = _frequencies(random.randint(3, 9), k)
        before, s = random.randint(2**k, 2**40), random.randrange(len(frequencies))
        start = sum(frequencies[:s])
        x = (before // frequencies[s] << k) + start + before % frequencies[s]
        letter, state = pop(x, list(frequencies), k)
        assert int(letter) == s, f"slot {x % 2**k} belongs to letter {s}, not {int(letter)}: it owns {start} … {start + frequencies[s] - 1}"
        assert int(state) != before + start or not start, "the slot counts from the start of the letter's own slots: subtract it"
        assert int(state) == before, (
            f"the letter is right, the state is not: pushing letter {s} made {before} into {x}, and popping undoes that"
        )


@exercise
def bottleneck_3(frequencies):
    """``frequencies(p, total)``: integers, none zero, of the given sum, near p · total."""
    crowded = torch.tensor([0.3] + 20 * [0.034] + 39 * [0.0005], dtype=torch.float64)[torch.randperm(60)]
    crowded = crowded * (1 + 0.1 * torch.rand(60))
    for total, p in ((65536, _probabilities(30, 3.0)), (4096, _probabilities(40, 2.0)), (1000, _probabilities(12, 4.0)), (64, crowded)):
        p, letters = p / p.sum(), len(p)
        f = torch.as_tensor(frequencies(p.clone(), total))
        assert f.shape == p.shape, "one frequency for each probability"
        assert torch.equal(f.double(), f.double().round()), "the coder counts slots: return integers"
        assert f.min() > -1, (
            f"with {letters} letters and a total of {total} a frequency became negative: take only what is there, one by one"
        )
        assert f.min() > 0, "a frequency of zero: its symbol could not be coded at any price"
        assert int(f.sum()) == total, f"the frequencies sum to {int(f.sum())}, not to {total}: the decoder's slots have to be exactly full"
        cost = float((p * torch.log2(p * total / f)).sum())
        best = _reference(p, total)
        reached = float((p * torch.log2(p * total / best)).sum())
        assert cost < 1.3 * reached + 0.02, (
            f"a symbol costs {cost:.3f} bits more than the entropy, {reached:.3f} is possible: stay close to p · total, large or small"
        )


def _probabilities(letters: int, spread: float) -> torch.Tensor:
    p = torch.softmax(spread * torch.randn(letters, dtype=torch.float64), 0)
    p[random.sample(range(letters), 3)] = 1e-7
    return p


def _reference(p: torch.Tensor, total: int) -> torch.Tensor:
    f = torch.round(p * total).clamp(min=1)
    while f.sum() > total:  # take where it costs least
        loss = torch.where(f > 1, p * torch.log2(f / (f - 1).clamp(min=0.5)), torch.inf)
        f[loss.argmin()] -= 1
    while f.sum() < total:
        f[(p * torch.log2((f + 1) / f)).argmax()] += 1
    return f


@exercise
def bottleneck_4(gate):
    """``gate(v, a)``: rises strictly, slope e^a at zero, slope 1 far away."""
    v = torch.linspace(-12, 12, 4801, dtype=torch.float64)
    for a in (random.uniform(-4, -1.5), random.uniform(-0.8, -0.2), 0.0, random.uniform(0.2, 0.8), random.uniform(1.2, 2.0)):
        a = torch.tensor(a, dtype=torch.float64)
        value = gate(v.clone(), a)
        assert value.shape == v.shape, "the gate works on each element: the result has the shape of v"
        slope = value.diff() / v.diff()
        assert slope.min() > 0, (
            f"at a = {a:.2f} the gate falls near v = {v[slope.argmin()]:.1f}: a cdf made with it would give negative masses"
        )
        middle, far = float(slope[len(slope) // 2 - 1 : len(slope) // 2 + 1].mean()), float((slope[0] + slope[-1]) / 2)
        assert math.isclose(far, 1, abs_tol=0.05), f"at a = {a:.2f} the slope far from zero is {far:.2f}; only the middle is to be bent"
        assert math.isclose(middle, math.exp(a), rel_tol=0.02), (
            f"at a = {a:.2f} the slope at v = 0 is {middle:.3f}; e^a is {math.exp(a):.3f}"
        )


def _decode_bytes(data: bytes, count: int, cdf: list[int]) -> tuple[list[int], bool, int]:
    """Symbols, whether the state ended at 2^23, and how many bytes were read."""
    x, position, symbols = int.from_bytes(data[:4], "little"), 4, []
    for _ in range(count):
        slot = x % 4096
        s = next(i for i in range(len(cdf) - 1) if cdf[i + 1] > slot)
        x = (cdf[s + 1] - cdf[s]) * (x >> 12) + slot - cdf[s]
        symbols.append(s)
        while x < 2**23 and position < len(data):
            x = (x << 8) + data[position]
            position += 1
    return symbols, x == 2**23, position


@exercise
def bottleneck_5(encode_bytes):
    """``encode_bytes(symbols, cdf)``: rANS with a 32-bit state that spills bytes."""
    frequencies = [*_frequencies(5, 11), 1500, 547, 1]
    cdf = [sum(frequencies[:i]) for i in range(len(frequencies) + 1)]
    for count in (20, 400):
        symbols = random.choices(range(8), [f + 200 for f in frequencies], k=count)
        data = encode_bytes(list(symbols), list(cdf))
        assert isinstance(data, bytes | bytearray) and len(data) >= 4, "return bytes; the last state alone makes four"
        bits = sum(12 - math.log2(frequencies[s]) for s in symbols)
        assert len(data) <= bits / 8 + 6, f"{len(data)} bytes for {bits:.0f} bits: spill only as long as the push would leave the window"
        found, at_start, used = _decode_bytes(data, count, cdf)
        assert found != symbols[::-1] or found == symbols, "the symbols come back last one first: walk backwards through the message"
        backwards = _decode_bytes(data[:4] + data[:3:-1], count, cdf)
        assert backwards[0] != symbols or found == symbols, "the spilled bytes are in the wrong order: the decoder wants the last one first"
        swapped = _decode_bytes(data[3::-1] + data[4:], count, cdf)
        assert swapped[0] != symbols or found == symbols, (
            "the last state has its bytes in the wrong order: little-endian is the low byte first"
        )
        wrong = next((i for i in range(count) if found[i] != symbols[i]), None)
        assert wrong is None, (
            f"of {count} symbols, the decoder gets number {wrong} wrong; a symbol of frequency 1 may have to spill two bytes, so spill in a loop"
        )
        assert at_start and used == len(data), "the symbols are right, but the decoder does not end at the state 2^23 with all bytes read"
