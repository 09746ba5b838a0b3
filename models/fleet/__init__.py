"""The fleet program: frozen data in, a Pyomo mixed-integer program out."""
