"""Training: the objective, the discriminator and one plain loop, from a laptop CPU to many GPUs.

In reading order::

    losses         rate, L1, LPIPS, squared error and the adversarial term (paper, section 2.2)
    discriminator  PatchGAN and the relativistic average loss
    recipe         every setting of a run, and how weights and learning rate move
    presets        the recipes that have a name
    crops          random pieces of pictures, each a function of its number
    soap           the optimiser that is quicker than Adam
    task           what the loop trains: the part that every task shares
    probe          real files of a model in training
    codec_task     one step of the codec
    states         read a state, begin from one, freeze one into a model
    trainer        the loop: batches, log, checks, states that go on
"""
