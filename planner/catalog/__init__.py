"""The shipped catalog: tables of facts with sources and dates, and their cached reader.

Importing this package costs nothing: pandas is imported when the first table is read.
See README.md beside this file for the data dictionary and the attributions.
"""

from planner.catalog.reader import AdaptationPrior, CarbonProfile, Catalog, RoundTrip, load_catalog

__all__ = ["AdaptationPrior", "CarbonProfile", "Catalog", "RoundTrip", "load_catalog"]
