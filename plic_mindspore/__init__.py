"""plic_mindspore: the codec of plic_lib on MindSpore, with its names, its weights and its files.

Nothing here imports torch, apart from ``metrics.lpips_weights``. The map, in reading order::

    quantise       rounding, and its two stand-ins for training
    layers         the blocks of encoder and generator
    asymmetric     bits of the split normal
    gain           gain units: one model, any rate
    hyperprior     hyper-encoder, hyper-decoder, the density of z
    context        the masked convolution, gather, and the wavefront's order
    model          ``Plic``, all of these wired together
    checkpoint     models of plic_lib's safetensors files
    coding         latents -> a stream; from a stream, ``plic_lib.reference_decoder`` makes them
    codec          picture -> bytes -> picture
    discriminator  the PatchGAN discriminator and the relativistic average loss
    metrics        LPIPS, the one metric that is also a loss
    losses         the training objective
    adam           the optimiser, step for step torch's
    codec_task     one training step

What stays with plic_lib, which reads and writes the same files: reading pictures with all that their files may say,
finding regions, freezing a trained model, large pictures in strips (here memory grows with the picture), the training
loop around the step.
"""

import os
import sys

# The oneDNN inside MindSpore 2.10 computes a convolution of plain layout by its reference loop where the processor has AVX-512: a hundred
# times as slow as with the instructions of AVX2, where it makes a matrix product of it. oneDNN reads this once; who has set it has chosen.
if "mindspore" not in sys.modules:
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
