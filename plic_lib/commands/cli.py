"""The command ``plic``: encode, decode, info, eval, results, eval-roi, bench, train, ablate, enhance, freeze, doctor."""

import argparse
import json
import os
import sys
from pathlib import Path

import torch

from plic_lib import bitstream, checkpoint, codec, files, images, memory, metrics
from plic_lib.bitstream import File
from plic_lib.errors import BitstreamError, UsageError
from plic_lib.grid import LEVEL_STEPS, OFFSET_STEPS


def main(arguments: list[str] | None = None) -> int:
    """Run one command; errors a user can act on become one sentence and exit code 1."""
    options = _parser().parse_args(arguments)
    memory.keep_freed_memory()
    try:
        options.command(options)
    except KeyboardInterrupt:
        print("plic: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except (OSError, ValueError, RuntimeError) as error:
        # our own errors are subclasses of these; a traceback helps nobody who typed a command
        if os.environ.get("PLIC_DEBUG"):
            raise
        print(f"plic: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="plic", description="Perceptual learned image compression with continuous rate adaptation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, function, help):
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(command=function)
        return sub

    def with_model(sub, default="mini"):
        sub.add_argument(
            "--model", default=default, metavar="NAME_OR_PATH", help="a shipped model or a .safetensors file (default: %(default)s)"
        )
        sub.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: %(default)s)")

    sub = command("encode", _encode, "compress a picture to a .plic file")
    sub.add_argument("input", metavar="IN")
    sub.add_argument("output", metavar="OUT.plic")
    rate = sub.add_mutually_exclusive_group()
    rate.add_argument("--rate", type=float, metavar="R", help="level, 0 (fewest bits) to 2, fractions allowed (default: 1)")
    rate.add_argument("--bpp", type=float, metavar="B", help="find the level that gives B bits per pixel")
    rate.add_argument("--background-rate", type=float, metavar="R", help="with a region: the level of the rest; the same as --rate")
    region = sub.add_mutually_exclusive_group()
    region.add_argument("--roi", action="append", metavar="X0,Y0,X1,Y1", help="a region in pixels that gets its own rate; may be repeated")
    region.add_argument("--roi-mask", metavar="MASK.png", help="the region as a picture of the same size, light where it is")
    region.add_argument("--roi-faces", action="store_true", help="the faces that scikit-image's detector finds")
    sub.add_argument(
        "--roi-rate", type=float, metavar="R", help="level of the region (default: the highest); with --bpp the rest pays for it"
    )
    with_model(sub)

    sub = command("decode", _decode, "decompress a .plic file to a picture")
    sub.add_argument("input", metavar="IN.plic")
    sub.add_argument("output", metavar="OUT.png")
    with_model(sub, default=None)

    sub = command("info", _info, "show what a .plic file says of itself")
    sub.add_argument("input", metavar="FILE")
    sub.add_argument("--json", action="store_true", help="as JSON")

    sub = command("eval", _eval, "figures over a folder of pictures, from real files")
    sub.add_argument("folder", metavar="DIR")
    rate = sub.add_mutually_exclusive_group()
    rate.add_argument("--rates", default="0,1,2", help="levels, separated by commas (default: %(default)s)")
    rate.add_argument("--bpp", type=float, metavar="B", help="the one level that gives B bits per pixel over the whole folder")
    sub.add_argument("--json", metavar="OUT", help="write the figures of each picture and the totals here")
    with_model(sub)

    sub = command(
        "results", _results, "every codec over a folder of pictures: curves, tables and the README's section; goes on where it stopped"
    )
    sub.add_argument("folder", metavar="DIR")
    sub.add_argument("--models", nargs="*", metavar="MODEL", help="ours (default: all that are shipped)")
    sub.add_argument("--codecs", nargs="*", metavar="NAME", help="rivals (default: all)")
    sub.add_argument("--work", default="runs/results", metavar="DIR", help="folder for the points (default: %(default)s)")
    sub.add_argument("--json", metavar="OUT", help="default: data/results/NAME.json, after the folder")
    sub.add_argument("--readme", action="store_true", help="renew the results in README.md and their figure")

    sub = command("eval-roi", _eval_roi, "what another level in the middle of each picture costs and gains (paper, Figure 4)")
    sub.add_argument("folder", metavar="DIR")
    sub.add_argument("--roi-rate", type=float, default=1.5, metavar="R", help="level of the central third (default: %(default)s)")
    sub.add_argument("--background-rate", type=float, default=0.5, metavar="R", help="level of the rest (default: %(default)s)")
    sub.add_argument("--json", metavar="OUT", help="write the figures of each picture and the totals here")
    with_model(sub)

    sub = command("bench", _bench, "seconds beside CompressAI's serial context model, or beside other codecs, one thread")
    sub.add_argument(
        "--model", default="mini", metavar="NAME_OR_PATH", help="or 'untrained-paper' for the paper's width (default: %(default)s)"
    )
    sub.add_argument("--runs", type=int, default=5, help="interleaved runs (default: %(default)s)")
    other = sub.add_mutually_exclusive_group()
    other.add_argument(
        "--codecs",
        nargs="*",
        metavar="NAME",
        help="time and memory beside other codecs over picture sizes (default: all), and nothing else",
    )
    other.add_argument(
        "--training", metavar="PRESET", help="samples a second of a preset beside CompressAI's training loop, and nothing else"
    )
    sub.add_argument("--sizes", nargs="+", type=float, metavar="MP", help="with --codecs: megapixels (default: 0.25 1 2 4 12)")
    sub.add_argument("--compile", action="store_true", help="with --training: compile our networks")
    sub.add_argument("--json", metavar="OUT", help="write all figures here")

    sub = command("train", _train, "train a model; started again, it goes on where it was")
    sub.add_argument("--preset", default="mini", help="recipe (default: %(default)s)")
    sub.add_argument(
        "--branch",
        metavar="STATE.pt",
        help="go on from the whole state of another run, with its recipe, in a folder of its own",
    )
    sub.add_argument("--cooldown", type=int, metavar="N", help="with --branch: N last steps, over which the learning rate falls to zero")
    sub.add_argument("--save-every", type=int, default=500, metavar="N", help="steps between two saved states (default: %(default)s)")
    sub.add_argument("--check-every", type=int, default=1000, metavar="N", help="steps between two looks at files (default: %(default)s)")
    sub.add_argument("--data", nargs="+", required=True, metavar="DIR", help="folders of pictures, searched recursively")
    sub.add_argument("--out", required=True, metavar="DIR", help="folder for state.pt and log.jsonl")
    sub.add_argument(
        "--from",
        dest="start",
        metavar="MODEL",
        help="begin a new stage with the weights of a shipped model, a checkpoint or another run's state.pt",
    )
    sub.add_argument(
        "--workers", type=int, default=0, help="processes that load pictures; 0 keeps all of them in memory (default: %(default)s)"
    )
    sub.add_argument("--compile", action="store_true", help="compile the networks: pays on a GPU")
    sub.add_argument("--tensorboard", action="store_true", help="write the log for TensorBoard too (pip install tensorboard)")
    sub.add_argument("--set", nargs="+", default=[], metavar="FIELD=JSON", help="change the recipe, as in steps=2000 'alphas=[2,0.7,0.2]'")

    sub = command("ablate", _ablate, "train and measure the models that differ in one thing each; goes on where it stopped")
    sub.add_argument("--data", nargs="+", required=True, metavar="DIR", help="folders of training pictures")
    sub.add_argument("--eval", required=True, metavar="DIR", help="pictures to measure the files of")
    sub.add_argument("--work", required=True, metavar="DIR", help="folder for the training states")
    sub.add_argument("--results", required=True, metavar="DIR", help="folder for one JSON file a run")
    sub.add_argument("--runs", nargs="+", metavar="NAME", help="some of the runs (default: all)")
    sub.add_argument("--seeds", nargs="+", type=int, metavar="N", help="seeds (default: 0 1)")
    sub.add_argument("--steps", type=int, help="steps of each run (default: 3000)")

    sub = command("enhance", _enhance, "train a network that repairs a classic codec's pictures, and measure both ways at equal bytes")
    sub.add_argument("--data", nargs="+", required=True, metavar="DIR", help="folders of training pictures")
    sub.add_argument("--eval", required=True, metavar="DIR", help="pictures to measure")
    sub.add_argument("--model", required=True, metavar="MODEL", help="the end-to-end codec: a checkpoint or a run's state.pt")
    sub.add_argument("--codec", default="HEVC", help="the classic codec (default: %(default)s)")
    sub.add_argument("--out", required=True, metavar="DIR", help="folder for the training state")
    sub.add_argument("--steps", type=int, help="steps of the network (default: 3000, as the runs of ablate)")
    sub.add_argument("--seed", type=int, default=0, help="of crops and weights (default: %(default)s)")
    sub.add_argument("--json", metavar="OUT", help="write all figures here, and a sheet of pieces at level 1 beside it as PNG")

    sub = command("freeze", _freeze, "turn a training state into a checkpoint that can write files")
    sub.add_argument("state", metavar="STATE.pt")
    sub.add_argument("output", metavar="OUT.safetensors")

    sub = command("doctor", _doctor, "versions, what is missing and what to do about it")
    sub.add_argument("--fetch", choices=sorted(metrics.WEIGHT_FILES), help="download the weights of a perceptual metric")
    return parser


def _load(options) -> checkpoint.TrainedModel:
    return checkpoint.load(options.model, _device(options.device))


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {name!r} cannot be used here ({str(error).splitlines()[0]})") from error
    return device


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file completely, or leave what was there."""
    path = Path(path)
    if not path.parent.is_dir():
        raise UsageError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _encode(options) -> None:
    model = _load(options)
    image, notes = images.read_with_notes(options.input)
    level_map = _region(options, model, image)
    if options.bpp is not None:
        data, level = codec.encode_to_bpp(model, image, options.bpp, level_map=level_map)
    else:
        level = next((r for r in (options.rate, options.background_rate) if r is not None), 1.0)
        data = codec.encode(model, image, level, level_map(level))
    write_whole(options.output, data)
    _, height, width = image.shape
    reached = metrics.bpp(len(data), height, width)
    print(f"{options.output}: {len(data)} bytes, {reached:.4f} bpp, level {level:.3f}")
    if (used := File.unpack(data).level_map) is not None:
        print(
            f"region: {(used.labels != 0).mean():.1%} of the cells, level {File.unpack(data).levels.max():.3f}, map of {len(used.pack())} bytes"
        )
    if notes:
        print(f"of {options.input}: {', '.join(notes)}")
    if options.bpp is not None and abs(reached / options.bpp - 1) > 0.02:
        print(f"the target of {options.bpp:g} bpp was not met within 2 %: this is the nearest file that {model.name} makes of this picture")


def _region(options, model, image):
    """The level map that goes with a base level, from the options: a function, constant None without a region."""
    from plic_lib import roi

    if options.roi:
        mask = torch.zeros(image.shape[1:], dtype=torch.bool)
        for text in options.roi:
            try:
                left, top, right, bottom = (int(number) for number in text.split(","))
            except ValueError as error:
                raise UsageError(
                    f"--roi takes four whole numbers like 10,20,200,180 (left, top, right, bottom) and not {text!r}"
                ) from error
            mask |= roi.box(image, left, top, right, bottom)
    elif options.roi_mask:
        mask = roi.from_file(image, options.roi_mask)
    elif options.roi_faces:
        mask = roi.faces(image)
        if not mask.any():
            print(f"{options.input}: no face found, so there is no region")
    else:
        for name in ("roi_rate", "background_rate"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} belongs to a region: give --roi, --roi-mask or --roi-faces too")
        return lambda level: None
    level = model.levels - 1 if options.roi_rate is None else options.roi_rate
    if not 0 <= level <= model.levels - 1:
        raise UsageError(f"--roi-rate lies between 0 (fewest bits) and {model.levels - 1}, not at {level:g}")
    return lambda base: roi.level_map(mask, level, base)


def _read_file(path: str) -> bytes:
    if not Path(path).is_file():
        raise UsageError(f"{path}: there is no such file")
    return Path(path).read_bytes()


def _decode(options) -> None:
    data = _read_file(options.input)
    try:
        file = File.unpack(data)
        path = options.model or checkpoint.needed(file.model)
        image = codec.decode(checkpoint.load(path, _device(options.device)), data)
    except BitstreamError as error:
        raise BitstreamError(f"{options.input}: {error}") from error
    write_whole(options.output, _picture_bytes(images.to_image(image), options.output))
    print(f"{options.output}: {file.width} x {file.height}")


def _picture_bytes(picture, path: str) -> bytes:
    import io

    from PIL import Image

    suffix = Path(path).suffix.lower()
    name = Image.registered_extensions().get(suffix)
    if name not in Image.SAVE:
        raise UsageError(f"{path}: cannot write pictures of the kind {suffix or '(no ending)'}; use .png")
    buffer = io.BytesIO()
    picture.save(buffer, name)
    return buffer.getvalue()


def _info(options) -> None:
    data = _read_file(options.input)
    try:
        file = File.unpack(data, bitstream.MAX_SIDE**2)
        # to decode a map of more cells could take minutes
        labels = file.level_map.labels if file.map_bytes is not None and file.width * file.height <= images.MAX_PIXELS else None
    except BitstreamError as error:
        raise BitstreamError(f"{options.input}: {error}") from error
    known = checkpoint.with_hash(file.model)
    facts = {
        "file": options.input,
        "bytes": len(data),
        "bpp": round(metrics.bpp(len(data), file.height, file.width), 5),
        "format": bitstream.VERSION,
        "model": file.model.hex(),
        "model_name": known.stem if known else None,
        "width": file.width,
        "height": file.height,
        "level": file.level / LEVEL_STEPS,
        "level_offsets": None if labels is None else [float(o) / OFFSET_STEPS for o in (labels.min(), labels.max())],
        "header_bytes": bitstream.HEADER_BYTES,
        "level_map_bytes": len(data) - bitstream.HEADER_BYTES - len(file.stream),
        "stream_bytes": len(file.stream),
        "latents_check": f"{file.latents_check:04x}",
    }
    if options.json:
        print(json.dumps(facts, indent=1))
    else:
        for name, value in facts.items():
            print(f"{name.replace('_', ' '):<14} {'-' if value is None else value}")


def _eval(options) -> None:
    from plic_lib.study import evaluation

    model = _load(options)
    try:
        levels = [float(level) for level in options.rates.split(",")]
    except ValueError as error:
        raise UsageError(f"--rates takes levels like 0,1,2 and not {options.rates!r}") from error
    if options.bpp is not None:
        levels = [evaluation.level_for_bpp(model, options.folder, options.bpp)]
    rows = evaluation.evaluate_folder(model, options.folder, levels)
    totals = [evaluation.summary([row for row in rows if row["level"] == level]) for level in levels]
    show = lambda value, digits: "   -   " if value is None else f"{value:.{digits}f}"  # noqa: E731
    print(f"{'picture':<24} {'level':>6} {'bytes':>9} {'bpp':>8} {'estimate':>8} {'PSNR':>7} {'MS-SSIM':>8} {'LPIPS':>7}")
    for row in rows + [{"picture": f"all {total['pictures']}", **total} for total in totals]:
        print(
            f"{row['picture']:<24} {row['level']:>6.3f} {row['bytes']:>9} {row['bpp']:>8.4f} {row['estimated_bpp']:>8.4f} "
            f"{row['psnr']:>7.2f} {row['ms_ssim']:>8.4f} {show(row['lpips'], 4):>7}"
        )
    for total in totals:
        print(
            f"level {total['level']:.3f}: the files cost {total['overhead']:+.2%} over the float estimate, "
            f"{total['overhead_without_40_bytes_each']:+.2%} when 40 bytes a picture are set aside; "
            f"over all pixels PSNR {total['psnr_pooled']:.3f} dB and MS-SSIM {total['ms_ssim_pooled']:.5f} (CLIC's script)"
        )
    if totals[0]["lpips"] is None:
        print("LPIPS left out: its weights are not here; see `plic doctor`")
    if options.json:
        command = "plic " + " ".join(sys.argv[1:])
        files.write_json(options.json, {"command": command, **evaluation.provenance(model), "totals": totals, "pictures": rows})


def _results(options) -> None:
    from plic_lib.study import compare, results, rivals

    if unknown := [name for name in options.codecs or [] if name not in rivals.CODECS]:
        raise UsageError(f"no codec {unknown[0]!r}; there are {', '.join(rivals.CODECS)}")
    name = Path(options.folder).resolve().name
    models = [checkpoint.load(model) for model in (checkpoint.available() if options.models is None else options.models)]
    result = results.run(options.folder, models, Path(options.work) / name, options.codecs)
    if result is None:  # not the first of several processes
        return
    about = {"command": f"plic results {name}", "folder": name, "versions": results.versions()}
    out = Path(options.json or compare.FOLDER / f"{name}.json")
    files.write_json(out, {**about, **result}, indent=None)
    for what, reason in result["missing"].items():
        print(f"left out: {what} ({reason})")
    print(compare.readme_table(result))
    if options.readme:
        compare.readme_figure(result, compare.FOLDER / f"{name}.png")
        compare.renew_readme(result, name)


def _eval_roi(options) -> None:
    from tqdm.auto import tqdm

    from plic_lib import datasets
    from plic_lib.study import evaluation

    model = _load(options)
    region, background = options.roi_rate, options.background_rate
    rows = [evaluation.evaluate_region(model, path, region, background) for path in tqdm(datasets.find(options.folder), desc="pictures")]
    total = evaluation.region_summary(rows)
    names = {
        "region": f"region {region:g}, rest {background:g}",
        "uniform_background": f"{background:g} everywhere",
        "uniform_region": f"{region:g} everywhere",
        "uniform_equal": "uniform, equal bytes",
    }
    print(f"{total['pictures']} pictures, {total['map_bytes']} bytes of maps in all")
    print(f"{'':<24} {'bytes':>9} {'':>8} {'PSNR in':>8} {'out':>7} {'LPIPS in':>9} {'out':>7}")
    show = lambda value, digits: "-" if value is None else f"{value:.{digits}f}"  # noqa: E731
    for name, text in names.items():
        t = total["files"][name]
        print(
            f"{text:<24} {t['bytes']:>9} {t['bytes'] / total['files']['region']['bytes'] - 1:>+8.1%} {t['psnr_inside']:>8.2f} "
            f"{t['psnr_outside']:>7.2f} {show(t['lpips_inside'], 4):>9} {show(t['lpips_outside'], 4):>7}"
        )
    if options.json:
        settings = {"region": region, "background": background, "rule": "central third in both directions"}
        command = "plic " + " ".join(sys.argv[1:])
        files.write_json(
            options.json, {"command": command, **evaluation.provenance(model), **settings, "totals": total, "pictures": rows}
        )


def _bench(options) -> None:
    from plic_lib.study.bench import compressai as bench

    if options.training:
        return _bench_training(options)
    if options.codecs is not None:
        return _bench_codecs(options)
    if options.sizes:
        raise UsageError("--sizes belongs to --codecs: give that too")
    result = bench.run(options.model, options.runs)
    rival = result["compressai"]
    print(
        f"{result['model']} (N = {rival['N']}, M = {rival['M']}), {rival['pixels'][0]} x {rival['pixels'][1]}, one thread, median of {rival['runs']}"
    )
    print(f"{'':<10} {'plic':>9} {'CompressAI':>11} {'ratio':>7}")
    for name, ratio in rival["ratios"].items():
        print(f"{name:<10} {rival['seconds'][name]:>8.3f}s {rival['seconds']['compressai_' + name]:>10.3f}s {ratio:>6.1f}x")
    print(f"{'bpp':<10} {rival['bpp']:>9.3f} {rival['compressai_bpp']:>11.3f}   (CompressAI with random weights)")
    print(f"\n{'side':>6} {'encode s/MP':>12} {'decode s/MP':>12} {'peak MB':>9}")
    for row in result["growth"]:
        print(f"{row['side']:>6} {row['encode']:>12.3f} {row['decode']:>12.3f} {row['peak_megabytes']:>9.0f}")
    if options.json:
        files.write_json(options.json, result)


def _bench_codecs(options) -> None:
    from plic_lib.study.bench import codecs as bench_codecs
    from plic_lib.study.bench import compressai as bench

    if unknown := [name for name in options.codecs if name not in bench_codecs.NAMES]:
        raise UsageError(f"no codec {unknown[0]!r}; there are {', '.join(bench_codecs.NAMES)}")
    sizes = options.sizes or bench_codecs.SIZES
    if min(sizes) <= 0 or max(sizes) * 1e6 > images.MAX_PIXELS:
        raise UsageError(f"--sizes takes megapixels above 0, up to {images.MAX_PIXELS / 1e6:g}")
    if options.runs < 1:
        raise UsageError(f"--runs is 1 or more, not {options.runs}")
    result = bench_codecs.run(bench.load(options.model), options.codecs or bench_codecs.NAMES, sizes, options.runs)
    print(
        f"{result['model']}, {result['cpu']}, one {'core' if result['pinned_to_one_core'] else 'thread'}, "
        f"median of {options.runs} interleaved runs up to {bench_codecs.REPEAT_LIMIT:g} megapixels, one run above; load at the start "
        f"{result['load_at_start']:.1f}\nMB: the whole process, and what it has above an idle one; "
        "x: times the seconds of plic; *: random weights, so the bits mean nothing"
    )
    columns = ("bpp", "encode s", "decode s", "enc MP/s", "dec MP/s", "encode x", "decode x", "MB", "above")
    for size in sorted({row["megapixels"] for row in result["rows"]}):
        rows = [row for row in result["rows"] if row["megapixels"] == size]
        width, height = rows[0]["pixels"]
        print(f"\n{f'{width} x {height}, {size:.2f} MP':<22}" + "".join(f"{column:>10}" for column in columns))
        for row in rows:
            name = f"{row['codec']}{'*' * (row['codec'] in bench_codecs.COMPRESSAI)}"
            print(f"{name:<22}" + (f"  {row['reason']}" if "reason" in row else _bench_figures(row)))
    if result["growth"]:
        print(f"\n{'growth':<22}{'megapixels':>16}{'encode s/MP':>18}{'decode s/MP':>18}{'MB/MP':>10}")
    for row in result["growth"]:
        ends = [
            f"{a:.3f} to {b:.3f}" for a, b in (row["megapixels"], row["encode_seconds_per_megapixel"], row["decode_seconds_per_megapixel"])
        ]
        print(f"{row['codec']:<22}{ends[0]:>16}{ends[1]:>18}{ends[2]:>18}{row['megabytes_per_megapixel']:>10.0f}")
    if options.json:
        files.write_json(options.json, {"command": "plic " + " ".join(sys.argv[1:]), **result})


def _bench_figures(row: dict) -> str:
    ratios = "".join(f"{row[key]:>10.3g}" if key in row else f"{'-':>10}" for key in ("encode_ratio", "decode_ratio"))
    return (
        f"{row['bpp']:>10.3f}{row['encode_seconds']:>10.3f}{row['decode_seconds']:>10.3f}"
        f"{row['encode_megapixels_per_second']:>10.2f}{row['decode_megapixels_per_second']:>10.2f}"
        f"{ratios}{row['peak_megabytes']:>10.0f}{row['megabytes_above_idle']:>10.0f}"
    )


def _bench_training(options) -> None:
    from plic_lib.study.bench import compressai as bench
    from plic_lib.training.presets import PRESETS

    if options.training not in PRESETS:
        raise UsageError(f"no preset {options.training!r}; there are {', '.join(PRESETS)}")
    result = bench.training(PRESETS[options.training], runs=options.runs, compiled=options.compile)
    print(
        f"{options.training} (N = {result['N']}, M = {result['M']}), batch {result['batch']} of {result['crop']} x {result['crop']}, "
        f"{result['device']}, {result['threads']} threads, precision {result['precision']}"
    )
    for name, value in result["samples_per_second"].items():
        print(f"{name:<26} {value:>8.2f} samples/s   {value / result['samples_per_second']['compressai']:.2f}x")
    if options.json:
        files.write_json(options.json, {"preset": options.training, **result})


def _train(options) -> None:
    from plic_lib.training import states
    from plic_lib.training.codec_task import CodecTask
    from plic_lib.training.presets import PRESETS
    from plic_lib.training.recipe import Recipe
    from plic_lib.training.trainer import Trainer

    begin = None
    if options.branch:
        begin = states.read(options.branch)
        recipe = Recipe.from_json(begin["recipe"]).branched(begin["step"], options.cooldown, options.set)
    elif options.preset not in PRESETS:
        raise UsageError(f"no preset {options.preset!r}; there are {', '.join(PRESETS)}")
    else:
        recipe = PRESETS[options.preset].replaced(options.set)
    start = states.start_from(options.start) if options.start else None
    task = CodecTask(recipe, start, options.compile)
    Trainer(task, options.data, options.out, begin, options.workers, options.tensorboard).run(options.save_every, options.check_every)


def _ablate(options) -> None:
    from plic_lib.study import ablation

    names = options.runs or list(ablation.RUNS)
    if unknown := [name for name in names if name not in ablation.RUNS]:
        raise UsageError(f"no run {unknown[0]!r}; there are {', '.join(ablation.RUNS)}")
    steps = options.steps or ablation.RUN_STEPS
    ablation.run_all(names, options.seeds or ablation.SEEDS, options.data, options.eval, options.work, options.results, steps)
    print(f"{options.results}: {len(names)} runs, seeds {', '.join(map(str, options.seeds or ablation.SEEDS))}")


def _enhance(options) -> None:
    from plic_lib.study import ablation, enhance, evaluation, rivals
    from plic_lib.training import states

    classic = rivals.CODECS.get(options.codec)
    if classic is None:
        raise UsageError(f"no codec {options.codec!r}; there are {', '.join(rivals.CODECS)}")
    is_state = options.model.endswith(".pt")
    model = states.freeze_state(options.model, Path(options.model).parent.name) if is_state else checkpoint.load(options.model)
    recipe = ablation.recipe("variable", options.seed, options.steps or ablation.RUN_STEPS)
    network = enhance.train(recipe, classic, enhance.qualities(classic), options.data, options.out)
    rows = enhance.compare(model, network, classic, options.eval, [float(level) for level in range(model.levels)])
    columns = ("bpp", "psnr", "ms_ssim", "lpips", "lpips_squeeze", "kid_alexnet")
    print(f"{'level':>5} {'':<12} " + " ".join(f"{name:>13}" for name in columns))
    for row in rows:
        for name, figures in row["files"].items():
            shown = " ".join(f"{figures[c]:>13.4f}" if figures.get(c) is not None else f"{'-':>13}" for c in columns)
            print(f"{row['level']:>5g} {name:<12} {shown}")
    if options.json:
        images.to_image(enhance.sheet(model, network, classic, 1.0)).save(Path(options.json).with_suffix(".png"), optimize=True)
        about = {
            "command": f"plic enhance --codec {classic.name} --steps {recipe.steps} --seed {recipe.seed}",
            **evaluation.provenance(model),
        }
        about |= {"classic": classic.name, "steps": recipe.steps, "seed": recipe.seed, "evaluated_on": Path(options.eval).name}
        files.write_json(options.json, {**about, "levels": rows})


def _freeze(options) -> None:
    from plic_lib.training import states

    model = states.freeze_state(options.state, Path(options.output).stem)
    checkpoint.save(model, options.output)
    print(f"{options.output}: {Path(options.output).stat().st_size} bytes, model {model.hash[:8]}, {model.about['step']} steps")


def _doctor(options) -> None:
    from plic_lib.commands import doctor

    if options.fetch:
        doctor.fetch(options.fetch)
    doctor.report()


if __name__ == "__main__":
    sys.exit(main())
