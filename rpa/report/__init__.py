"""Reports about kernels: the registry of `programs/`, golden values, and what a kernel costs at each bit width."""
