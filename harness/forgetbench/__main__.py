"""``python -m forgetbench``."""

from forgetbench.cli import main

main()
