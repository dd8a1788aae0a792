"""plic_lib: the reference parts of the plic course. Start at ``plic_lib.codec``."""

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
