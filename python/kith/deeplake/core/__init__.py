"""Deep Lake's core package: the paths that its users import from."""
