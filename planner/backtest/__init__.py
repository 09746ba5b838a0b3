"""Backtest: dated prices and demand replayed, to see what a rule of re-planning would have cost.

history.py    the dated tables
moments.py    an instance folder for every date
steps.py      one plan of one date from one plan in force, kept by content: what resumes
policies.py   never, always, at a threshold, and the proved decision of `planner replan`
replay.py     the loop
results.py    what came of it, frozen
"""
