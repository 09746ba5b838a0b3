"""The engine: from an instance folder to a certified plan.

`planner.load`, `plan`, `export`, `front`, `verify`, `explain`, `whatif`, `diff`, `replan`,
`backtest` and `report` are the stable Python API; they are functions of `planner.api` and load on
first use, so that ``import planner`` costs nothing. Those of `CALLABLE_MODULES` are submodules too
(the plan's classes, the front, the checker, the explanation ...): those modules can be called.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__all__ = [
    "backtest",
    "diff",
    "explain",
    "export",
    "front",
    "load",
    "plan",
    "replan",
    "report",
    "verify",
    "whatif",
]

FUNCTIONS = ("diff", "export", "load", "whatif")

CALLABLE_MODULES = ("backtest", "explain", "front", "plan", "replan", "report", "verify")


class _CallableModule(ModuleType):
    """A submodule that, called, is the function of `planner.api` of its name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        api = importlib.import_module("planner.api")
        return getattr(api, self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Package(ModuleType):
    """Makes the modules of `CALLABLE_MODULES` callable, whoever imports them first."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in CALLABLE_MODULES and isinstance(value, ModuleType):
            value.__class__ = _CallableModule
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        return getattr(importlib.import_module("planner.api"), name)
    if name in CALLABLE_MODULES:
        return importlib.import_module(f"planner.{name}")
    raise AttributeError(f"module 'planner' has no attribute {name!r}")


sys.modules[__name__].__class__ = _Package
