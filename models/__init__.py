"""The mathematics: what one replica, answer, watt and dollar are worth, and the fleet program.

Imports numpy and pyomo only; nothing of ``planner``, no files, no solver, no printing.
"""
