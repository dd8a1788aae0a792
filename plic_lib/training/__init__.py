"""Training: the objective, the discriminator and one plain loop, from a laptop CPU to many GPUs. In reading order::

    losses         rate, L1, LPIPS and the adversarial term (paper, section 2.2)
    discriminator  PatchGAN and the relativistic average loss
    trainer        recipe, presets, the loop, and states that go on
"""
