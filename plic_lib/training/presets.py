"""The recipes that have a name: ``plic train --preset NAME``."""

from dataclasses import replace

from plic_lib.model import MINI, PAPER
from plic_lib.training.recipe import Recipe

_PAPER = Recipe(gan=5e-4, gan_from=400_000, precision="bf16")

PRESETS = {
    # The paper's three models: its alphas, crops, batch, optimiser and milestones (section 3). Not stated there and chosen
    # here: 800,000 steps in all, the ramp of alpha, the discriminator from half of the run on; pictures shrunk at random
    # and mirrored, clipped gradients, a larger rate for the gains; AlexNet for LPIPS.
    "paper-low": replace(_PAPER, widths=replace(PAPER, pooled=True), alphas=(4.7, 2.6, 1.6), l1=0.04, l1_start=0.04),
    "paper-mid": replace(_PAPER, alphas=(2.0, 1.35, 0.75)),
    "paper-high": replace(_PAPER, alphas=(1.0, 0.6, 0.45)),
    # Small enough for a laptop. Starts on distortion, then learns perception (stage 1 of HiFiC and MS-ILLM in one
    # run), at a constant rate, as long as there is time; ``--cooldown`` branches off the end from any state.
    "mini": Recipe(
        widths=MINI,
        steps=200_000,
        batch=2,
        smooth=0.03,
        optimizer="soap",
        learning_rate=2e-3,
        warmup=100,
        decay=((8000, 0.5),),
        gain_speed=4.0,
        average=0.999,
        alphas=(3.0, 0.6, 0.05),
        targets=(0.07, 0.18, 0.45),
        l1=0.02,
        lpips_shift=16,
        alpha_start=0.3,
        l1_start=0.06,
        lpips_start=0.0,
        hold=6000,
        ramp=9000,
        precision="bf16",
    ),
}
# The second stage of ``mini``: starts from it (``--from mini``), with its L1 and the alphas that its levels were steered to, and a
# discriminator of a quarter of the paper's width. Its weight is by short pilots (the card of mini-gan has them); at the
# paper's (gan=5e-4), beside our LPIPS, it hardly moved an earlier mini. Batches of 8 keep a GPU busier than those of 2.
PRESETS["mini-gan"] = replace(
    PRESETS["mini"],
    steps=2500,
    batch=8,
    optimizer="adam",
    learning_rate=5e-5,
    warmup=0,
    decay=((1250, 0.4), (1875, 0.15), (2250, 0.05)),
    alphas=(2.41, 0.56, 0.082),
    targets=(),
    alpha_start=1.0,
    l1_start=0.02,
    lpips_start=1.0,
    hold=0,
    ramp=0,
    gan=2e-2,
    discriminator=16,
)
