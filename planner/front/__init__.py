"""Fronts of cost, carbon and QoE: their geometry, the points on them, choosing one."""
