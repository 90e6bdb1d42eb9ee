"""Random values that are a pure function of a seed, a site and an index, and `${…}` expressions."""
