"""Deep Lake's package of helpers; of it, the exceptions."""
