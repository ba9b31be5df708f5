"""A scan: what it needs before it starts, its measurement, and one that places its own points."""
