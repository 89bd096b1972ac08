"""Labels archives of films on the workers of a Dask cluster."""
