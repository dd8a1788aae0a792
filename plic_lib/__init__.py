"""plic_lib: a learned image codec, down to the bytes of a file, and the course that builds it by hand.

Start at ``codec``, encoding and decoding on one screen. This is the map of the house, in reading order: each
module imports only from those above it.

What all the rest stands on::

    errors      what can go wrong in a user's hands, each in one sentence
    files       written whole or not at all, read whatever they are, known by their contents
    shipped     the models that come with plic, by name or hash
    grid        cells of 16 x 16 pixels, blocks of 64, the steps in which levels are counted
    images      any picture file <-> an RGB tensor in [0, 1]

The networks, as the paper has them::

    quantise    rounding, and its two stand-ins for training
    layers      the blocks of encoder and generator
    asymmetric  the split normal: density, bins, bits, samples
    gain        gain units: one model, any rate
    hyperprior  the side information z: hyper-encoder, hyper-decoder, its own density
    context     the masked convolution, gather, and the wavefront's order
    model       ``Plic``, all of these wired together
    inference   encoder and generator in the form in which a CPU runs them

From latents to bytes and back::

    tables      the frequencies that rANS uses, from the two scales of a latent
    integer     hyper-decoder, context and gather in exact integer arithmetic
    checkpoint  trained models on disk, by name or path
    coding      latents <-> a stream: rANS over the wavefront
    level_map   a level for each cell, and its bytes
    bitstream   the .plic file: header, map, stream, checks
    strips      encoder and generator on large pictures
    codec       picture -> bytes -> picture, at a level or for a size

The same bytes once more, written from docs/format.md::

    reference_decoder   bytes -> latents with numpy alone
    selftest            golden files of format 1, through both decoders

Around the codec::

    roi         regions of interest: boxes, masks, faces, what stands out
    datasets    photographs: folders, crops, samples
    metrics     what was spent and what was lost
    memory      one setting of the C library's allocator

Then the packages, whose own docstrings go on from here::

    training    the objective, the discriminator, the loop
    study       measuring, other codecs, results, ablation, speed
    course      what the notebooks draw, let you turn, and check
    commands    the command ``plic``
"""

import os
import sys
import warnings

# A thread that waits for its turn spins. Where other processes want the core, the threads that work wait for those that spin: a training
# cell took a hundred times as long. Sleeping costs nothing on an idle machine. OpenMP reads this once, when torch is loaded, so plic_lib is
# imported before torch; who set one of these has chosen. GOMP and LLVM's (macOS) know the first name, LLVM's and Intel's the second.
PASSIVE = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}
if "torch" not in sys.modules and not os.environ.keys() & {*PASSIVE, "GOMP_SPINCOUNT", "KMP_LIBRARY"}:
    os.environ.update(PASSIVE)

# CompressAI still imports torch.jit; its deprecation notice would stand in every notebook.
warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated", category=FutureWarning)
