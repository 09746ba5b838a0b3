"""Plain functions on numbers and arrays, each with its formula, units and source."""
