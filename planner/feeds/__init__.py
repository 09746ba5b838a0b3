"""Feeds: prices, demand, carbon and quotas as dated tables, fetched, checked and kept.

The way of a figure: `readers` ask a source by way of `http` and yield a `tables.Reading`; `check`
judges it; `store` keeps it with its hash; `refresh` chooses what a plan may use, under the feed's
policy; `apply` writes the instance of that day. ``feeds.toml`` (`settings`) says which feeds there
are. Nothing of the core imports this package.

::

    settings = load_settings(folder)
    need = need_of(folder)
    fetch(settings, need)
    dated_instance(need, choose(settings, need), Path("my-fleet-2026-11-24"))
"""

from planner.feeds.apply import dated_instance
from planner.feeds.need import need_of
from planner.feeds.refresh import choose, fetch
from planner.feeds.settings import load_settings

__all__ = ["choose", "dated_instance", "fetch", "load_settings", "need_of"]
