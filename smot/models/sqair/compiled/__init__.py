"""The loops over slots as compiled kernels, with slopes written by hand: what CPUs run."""
