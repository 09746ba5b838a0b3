"""Capacity planner for fleets that serve large language models."""
