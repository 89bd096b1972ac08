"""Opens Dask clusters: the cores of this machine, or the workers of a fleet."""
