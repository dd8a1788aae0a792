"""A process that codes one picture again and again, of this or another checkout of plic; for ``parts``.

    python worker.py ROOT MODEL PICTURE TYPE

loads plic from ROOT and a checkpoint, says so by a line of JSON, and answers each line of
standard input by one: the processor's seconds for the encoder network, for encoding its
latents, for decoding them and for the generator; the bytes of the file, and the squared error of the
picture. It uses what every version of plic has had since its first.
"""

import json
import sys
import time


def main(root: str, path: str, picture: str, dtype: str) -> None:
    sys.path[0] = root
    import torch

    from plic_lib import checkpoint, codec, images, memory

    torch.set_num_threads(1)
    memory.keep_freed_memory()
    model, x = checkpoint.load(path), images.read(picture)
    if dtype != "float32":
        model.to("cpu", getattr(torch, dtype))
    print(json.dumps(codec.__file__), flush=True)
    for _ in sys.stdin:
        times = [time.process_time()]
        analysis = codec.analyse(model, x)
        times.append(time.process_time())
        data = codec.encode_latents(model, analysis, (model.levels - 1) / 2)
        times.append(time.process_time())
        file, y_hat = codec.decode_latents(model, data)
        times.append(time.process_time())
        x_hat = codec.synthesise(model, y_hat, file)
        times.append(time.process_time())
        seconds = [end - start for start, end in zip(times, times[1:])]
        error = float(((images.to_tensor(images.to_image(x_hat)) - x) ** 2).mean())
        print(json.dumps({"seconds": seconds, "bytes": len(data), "squared_error": error}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
