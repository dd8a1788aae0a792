"""plic_lib: the reference parts of the plic course. Start at ``plic_lib.codec``."""

import warnings

# CompressAI still imports torch.jit; its deprecation notice would stand in every notebook.
warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated", category=FutureWarning)
