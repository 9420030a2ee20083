"""What the commands of `tinygrad-bn` do; the command line itself is in `cli`."""
