"""How many small mistakes the tests notice: ``python -m tests.mutation``, or ``make mutants``."""
