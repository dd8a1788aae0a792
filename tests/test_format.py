"""What the specification shows is what the files hold."""

from pathlib import Path

import numpy as np

from plic_lib import reference_decoder, selftest
from plic_lib.reference_decoder import Stream

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "format.md").read_text()


def hex_lines(data: bytes) -> list[str]:
    return [f"{i:02}  {data[i : i + 16].hex(' ')}" for i in range(0, len(data), 16)]


def example() -> str:
    """The worked example, from the golden file of one pixel."""
    data = (selftest.FOLDER / "pixel.plic").read_bytes()
    model = reference_decoder.read_model(selftest.FOLDER / "golden.safetensors")
    decoded = reference_decoder.decode(model, data)
    stream, table, lines = Stream(decoded.header.stream), model.tables["z"], []
    for channel in range(2):
        x = stream.state
        (symbol,) = stream.symbols(table, [channel])
        low, row = x & 0xFFFF, table[channel]
        offset, median = (int(model.tensors[f"frozen.z_{name}"][channel]) for name in ("offset", "median"))
        lines += [
            f"z, channel {channel}: x = {x:#018x}, low = {low}, table {row[symbol]} <= low < {row[symbol + 1]}: s = {symbol}",
            f"    t = {symbol} {offset:+d} = {symbol + offset}, 64 z = 64 * {symbol + offset} {median:+d} = {decoded.z[channel, 0, 0]}",
        ]
    stream.symbols(table, list(range(2, len(table))))
    features = reference_decoder._features(model, decoded.z.astype(np.int64))[0]
    heads = np.concatenate([features, model.layers["context"](np.zeros((1, 12 * model.widths["M"])))[0]])[None]
    for name in ("gather_1", "gather_2", "gather_3"):
        heads = model.layers[name](heads)
    means, left, right = heads[0].reshape(3, -1).astype(int)
    left, right = left.clip(0, 127), right.clip(0, 127)
    x, M = stream.state, model.widths["M"]
    classes = model.tensors["frozen.zero_class"][left, right].tolist()
    flags = np.array(stream.symbols(model.tables["zero"], classes))
    (rest,) = flags.nonzero()
    sides = np.array(stream.symbols(model.tables["side"], model.tensors["frozen.side_class"][left, right][rest].tolist()))
    own = model.tensors["frozen.magnitude_class"][np.where(sides, right[rest], left[rest])]
    sizes = stream.symbols(model.tables["magnitude"], own.tolist())
    show = lambda values: " ".join(str(int(v)) for v in values)
    lines += [
        f"front 0, the cell (0, 0), {M} channels, x = {x:#018x}",
        f"    features      {show(features[:8])} …",
        f"    means         {show(means)}",
        f"    left indices  {show(left)}",
        f"    right indices {show(right)}",
        f"    zero classes  {show(classes)}",
        f"    r is not 0    {show(flags)}",
        f"    sides         {show(sides)}",
        f"    |r| - 1       {show(sizes)}",
        f"    64 y          {show(decoded.y[:, 0, 0])}",
    ]
    return "\n".join([*hex_lines(data), "", *lines])


def test_the_worked_example():
    assert f"```\n{example()}\n```" in PAGE
