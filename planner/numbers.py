"""Numbers that people write: one way to read them, and the reason where a text is none.

A decimal point, never a comma; digits of ASCII. Tables take plain numbers only; a request (the
command line, ``--set`` and its kin) may group digits, but only in threes: ``1,000,000``, never
``0,5`` or ``1,5``, which would otherwise be read as 5 and 15.
"""

from __future__ import annotations

import math
import re

_PLAIN = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}([,_])[0-9]{3}(\1[0-9]{3})*(\.[0-9]*)?")
_SEPARATED = re.compile(r"[+-]?[0-9]{1,3}([,_'\s][0-9]{3})+(\.[0-9]*)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
_COMMA_AFTER_GROUPS = re.compile(r"[+-]?[0-9]{1,3}([.'\s][0-9]{3})+,[0-9]*")
_CURRENCIES = ("$", "€", "£")


def plain_number(text: str) -> float | None:
    """The number that a text plainly is, infinite where it is too large; None where it is none."""
    return float(text) if _PLAIN.fullmatch(text) else None


def asked_number(text: str) -> float:
    """The number of a request, digits grouped in threes or not.

    Raises ValueError with the reason and the remedy.
    """
    word = text.strip()
    if _GROUPED.fullmatch(word):
        word = re.sub("[,_]", "", word)
    value = plain_number(word)
    if value is None:
        raise ValueError("{}: {}".format(*why_no_number(word)))
    if not math.isfinite(value):
        raise ValueError("not a finite number: write a number that can be meant")
    return value


def looks_like_number(text: str) -> bool:
    """Whether a word begins as a number does, in whatever script."""
    return text.strip().lstrip("+-.,")[:1].isnumeric()


def why_no_number(text: str) -> tuple[str, str]:  # noqa: PLR0911
    """Problem and remedy of a text that should be a number, and is none."""
    if text.endswith("%"):
        return "a percent sign", "write a share between 0 and 1, such as 0.05 for 5 %"
    if _DECIMAL_COMMA.fullmatch(text) and not _GROUPED.fullmatch(text):
        return "a decimal comma", f"write {_pointed(text)}"
    if _COMMA_AFTER_GROUPS.fullmatch(text):
        whole, _, rest = text.rpartition(",")
        return "a decimal comma", f"write {re.sub(r'[^0-9+-]', '', whole)}.{rest}".rstrip(".")
    if _SEPARATED.fullmatch(text):
        return "a thousands separator", "write " + re.sub(r"[,_'\s]", "", text)
    if text[:1] in _CURRENCIES or text[-1:] in _CURRENCIES:
        return "a currency sign", "write the number only; prices are in US dollars"
    if any(sign.isnumeric() and not sign.isascii() for sign in text):
        return "digits of another script", "write the digits 0 to 9"
    if re.match(r"[+-]?[0-9.]+\s*[A-Za-zµ/]", text):
        return "a unit beside the number", "write the number only"
    return "not a number", "write a plain number such as 1500 or 0.5"


def _pointed(text: str) -> str:
    """``0,5`` as 0.5, ``,5`` too."""
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    return sign + (f"0{digits}" if digits.startswith(",") else digits).replace(",", ".")
