"""The command ``plic``. In reading order::

    doctor  what this machine has, what is missing, what to do about it
    cli     every other command
"""
