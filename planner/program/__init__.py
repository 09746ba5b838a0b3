"""The stated program for other solvers: as a matrix, as files, and solved whole.

matrix.py    the Pyomo program of ``models/fleet`` as arrays
files.py     MPS and LP files of it
names.py     what its columns and rows stand for
export.py    `planner export`
solvers.py   `planner plan --solver`
"""
