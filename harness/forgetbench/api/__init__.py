"""The Python API: what ``import forgetbench`` offers, over the engine that the command line uses."""
