"""``python -m plic_lib`` is the command ``plic``, as ``accelerate launch`` needs it."""

import sys

from plic_lib.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
