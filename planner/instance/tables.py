"""Read the files of an instance folder into typed rows; every unreadable thing is a finding.

`read_table` and `read_settings` never raise for any bytes: what cannot be understood is left out
of the result and listed, so that all mistakes of a folder can be shown together.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from planner.instance.findings import Finding, near_matches, shortened
from planner.instance.schema import Row, Settings
from planner.instance.units import Conversion, Refusal, convert_header
from planner.numbers import plain_number, why_no_number

MAX_BYTES = 50_000_000
MAX_ROWS = 2_000_000
MAX_FINDINGS_PER_TABLE = 1_000
MAX_CELL_CHARACTERS = 400

R = TypeVar("R", bound=Row)
Kind = Literal["float", "int", "date", "text"]

_NOTE = re.compile(r"#+(\s|$)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NOTHING = {"na", "n/a", "nan", "null", "none", "nil", "-", "--", "?", "tbd", "missing", "unknown"}


@dataclass(frozen=True)
class Table(Generic[R]):
    """The understood rows of one file, with the lines they came from."""

    file: str
    rows: tuple[R, ...] = ()
    lines: tuple[int | None, ...] = ()
    """line of the file, one per row; None: the row was changed since"""
    headers: Mapping[str, str] = field(default_factory=dict)
    """field -> header as the file has it"""
    factors: Mapping[str, float] = field(default_factory=dict)
    """field -> value in its unit over the cell, where the header has another unit"""
    lost: tuple[Mapping[str, str], ...] = ()
    """raw cells of rows that could not be understood"""
    whole: bool = True
    """every row of the file was understood"""
    present: bool = True

    def known(self, column: str) -> frozenset[str]:
        """Every value of a text column, rows with other mistakes included."""
        found = {str(getattr(row, column)) for row in self.rows}
        return frozenset(found | {cells[column] for cells in self.lost if column in cells})

    def finding(
        self,
        index: int,
        column: str,
        problem: str,
        remedy: str,
        *,
        warning: bool = False,
        name: str = "",
    ) -> Finding:
        """A finding about a cell of row `index`; one with a name can be accepted."""
        value = getattr(self.rows[index], column, None) if column else None
        if isinstance(value, float):
            value /= self.factors.get(column, 1.0)  # as the file has it
        shown = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        header = self.headers.get(column, column)
        return Finding(
            self.file, self.lines[index], header, shortened(shown), problem, remedy, warning, name
        )

    def about(self, problem: str, remedy: str, column: str = "", value: str = "") -> Finding:
        """A finding about the table as a whole."""
        return Finding(self.file, None, column, value, problem, remedy)


# ------------------------------------------------------------------ bytes and text


def _read_text(path: Path, max_bytes: int) -> str | Finding:  # noqa: PLR0911
    """The file as text, or why not."""
    name = path.name
    try:
        if not path.is_file():
            return Finding(name, None, "", "", "not a regular file", "replace it by a text file")
        size = path.stat().st_size
        if size > max_bytes:
            return Finding(
                name,
                None,
                "",
                f"{size:,} bytes",
                f"larger than the {max_bytes:,} bytes that are read",
                "merge rows, or split the instance",
            )
        data = path.read_bytes()
    except OSError as error:
        return Finding(name, None, "", "", f"cannot be read ({error.strerror})", "mend its rights")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return Finding(name, None, "", "", "encoded as UTF-16", "save it as UTF-8")
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        return Finding(
            name, line, "", "", "holds a NUL byte: not a text file", "save it as plain UTF-8 text"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        value = shortened(repr(data[error.start : error.start + 4]))
        return Finding(name, line, "", value, "not UTF-8 text", "save the file as UTF-8")


# ------------------------------------------------------------------ cells


def field_kind(annotation: object) -> Kind:
    """What the text of a cell must look like."""
    found = _leaves(annotation)
    for kind, name in ((dt.date, "date"), (float, "float"), (int, "int")):
        if kind in found:
            return name  # type: ignore[return-value]
    return "text"


def _leaves(annotation: object) -> set[object]:
    if get_origin(annotation) is Literal or not get_args(annotation):
        return {annotation}
    return {leaf for part in get_args(annotation) for leaf in _leaves(part)}


def number_fields(row_class: type[BaseModel]) -> tuple[str, ...]:
    """Fields that hold real numbers: those whose headers may be in another unit."""
    return tuple(
        name for name, info in row_class.model_fields.items() if float in _leaves(info.annotation)
    )


def _why_no_number(text: str) -> tuple[str, str]:
    """Problem and remedy of a cell that should be a number."""
    if text.lower() in _NOTHING:
        return "not a number", "leave the cell blank if there is none"
    if text.startswith("#"):
        return "a spreadsheet error, not a number", "mend the formula and export again"
    if text.lower().lstrip("+-") in {"inf", "infinity"}:
        return "not a finite number", "leave the cell blank where there is no limit"
    return why_no_number(text)


def _parse(text: str, kind: Kind, factor: float) -> Any:  # noqa: PLR0911
    """The value of a cell; a pair of strings is problem and remedy."""
    if kind == "text":
        if len(text) > MAX_CELL_CHARACTERS:
            return f"longer than {MAX_CELL_CHARACTERS} characters", "shorten it"
        if not text.isprintable():
            return "holds line breaks or control characters", "write plain text on one line"
        return text
    if kind == "date":
        try:
            return dt.date.fromisoformat(text) if _DATE.fullmatch(text) else _no_date()
        except ValueError:
            return _no_date()
    number = plain_number(text)
    if number is None:
        return _why_no_number(text)
    value = number * factor
    if not math.isfinite(value):
        return "not a finite number", "write a number that can be meant"
    if kind == "int":
        if value != round(value):
            return "not a whole number", "write a whole number"
        return int(value)
    return value


def _no_date() -> tuple[str, str]:
    return "not a date", "write year-month-day, such as 2026-11-01"


# ------------------------------------------------------------------ pydantic's words and ours


def _explain(error: Mapping[str, Any]) -> tuple[str, str]:
    """Problem and remedy of one pydantic error."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", str(context.get("expected", ""))) or [
            str(context.get("expected", ""))
        ]
        return "not one of the choices", near_matches(str(error["input"]), words)
    if kind == "string_pattern_mismatch":
        return (
            "not an identifier",
            "use letters, digits and _ . : + - only, starting with a letter or digit",
        )
    bounds = {
        "greater_than": ("gt", "must be above"),
        "greater_than_equal": ("ge", "must be at least"),
        "less_than": ("lt", "must be below"),
        "less_than_equal": ("le", "must be at most"),
        "string_too_long": ("max_length", "must not be longer than"),
    }
    if kind in bounds:
        key, words_ = bounds[kind]
        number = context.get(key)
        shown = f"{number:g}" if isinstance(number, float) else str(number)
        unit = " characters" if kind == "string_too_long" else ""
        return f"{words_} {shown}{unit}", f"write a value that is: it {words_} {shown}{unit}"
    if kind == "finite_number":
        return "not a finite number", "write a number that can be meant"
    if kind == "missing":
        return "missing", "add it"
    message = str(error["msg"])
    return message[0].lower() + message[1:], "see instances/FORMAT.md for what is expected"


# ------------------------------------------------------------------ CSV tables


@dataclass(frozen=True)
class _Column:
    header: str
    field: str
    kind: Kind
    factor: float


def read_table(path: Path, row_class: type[R]) -> tuple[Table[R], list[Finding]]:
    """Read one CSV table: understood rows, and every finding about the others."""
    cells = read_cells(path)
    if isinstance(cells, Finding):
        return Table(path.name, whole=False), [cells]
    return read_rows(path.name, iter(cells), row_class)


def read_cells(path: Path) -> list[tuple[int, list[str]]] | Finding:
    """(line, cells) of a CSV table, header included, or why it is none."""
    text = _read_text(path, MAX_BYTES)
    if isinstance(text, Finding):
        return text
    try:
        return list(_rows(text))
    except csv.Error as error:
        line = text.count("\n") if "end of data" in str(error) else None
        return Finding(
            path.name,
            line,
            "",
            "",
            f"not a CSV table ({error})",
            "mend the quotes: a cell with commas stands between two double quotes",
        )


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of every row that is neither blank nor a note (``# `` at its start).

    A bare ``#REF!`` is no note but a spreadsheet's error in the first cell.
    """
    lines = ("\n" if _NOTE.match(line) else line for line in io.StringIO(text, newline=""))
    reader = csv.reader(lines, strict=True)
    start = 1
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield start, stripped
        start = reader.line_num + 1


def read_rows(
    file: str, reader: Iterator[tuple[int, list[str]]], row_class: type[R]
) -> tuple[Table[R], list[Finding]]:
    """Understood rows of (line, cells), the header first, and every finding about the others."""
    line, header = next(reader, (1, []))
    if not header:
        finding = Finding(
            file,
            None,
            "",
            "",
            "empty: not even a header",
            "first line: " + ",".join(_required(row_class)),
        )
        return Table(file, whole=False), [finding]
    columns, findings = _columns(file, line, header, row_class)
    if not any(columns):
        return Table(file, whole=False), findings
    header_stands = not findings
    rows: list[R] = []
    lines: list[int] = []
    lost: list[Mapping[str, str]] = []
    for line, cells in reader:
        if len(rows) + len(lost) >= MAX_ROWS:
            findings.append(
                Finding(
                    file,
                    line,
                    "",
                    "",
                    f"more than {MAX_ROWS:,} rows",
                    "merge rows, or split the instance",
                )
            )
            break
        row, wrong = _read_row(file, line, cells, columns, row_class, header_stands)
        if row is None:
            named = zip(columns, cells, strict=False)
            lost.append({c.field: cell for c, cell in named if c is not None})
            findings += wrong
            if len(findings) >= MAX_FINDINGS_PER_TABLE:
                findings.append(
                    Finding(
                        file,
                        line,
                        "",
                        "",
                        f"{len(findings):,} findings so far",
                        "mend these first; the rest of the table was not read",
                    )
                )
                break
        else:
            rows.append(row)
            lines.append(line)
    known = [column for column in columns if column is not None]
    table = Table(
        file,
        tuple(rows),
        tuple(lines),
        headers={column.field: column.header for column in known},
        factors={column.field: column.factor for column in known},
        lost=tuple(lost),
        whole=not findings,
    )
    return table, findings


def _required(row_class: type[Row]) -> list[str]:
    return [name for name, info in row_class.model_fields.items() if info.is_required()]


def _columns(
    file: str, line: int, header: list[str], row_class: type[Row]
) -> tuple[list[_Column | None], list[Finding]]:
    """What each column of the header means."""
    fields = row_class.model_fields
    if len(header) == 1 and re.search(r"[;\t|]", header[0]):
        sign = next(sign for sign in ";\t|" if sign in header[0])
        name = "tabs" if sign == "\t" else f"{sign!r}"
        return [None], [
            Finding(
                file,
                line,
                "",
                shortened(header[0]),
                f"cells are separated by {name}",
                "separate cells by commas",
            )
        ]
    columns: list[_Column | None] = []
    findings: list[Finding] = []
    refused: set[str] = set()
    numbers = number_fields(row_class)
    for position, text in enumerate(header, start=1):
        meaning: Conversion | Refusal | None = None
        if text in fields:
            meaning = Conversion(text, 1.0)
        elif text:
            meaning = convert_header(text, numbers)
        if _passed_over(text, meaning, header, row_class):
            columns.append(None)
            continue
        if isinstance(meaning, Conversion):
            twin = next((c for c in columns if c is not None and c.field == meaning.field), None)
            if twin is None:
                kind = field_kind(fields[meaning.field].annotation)
                columns.append(_Column(text, meaning.field, kind, meaning.factor))
                continue
            problem = "the header appears twice" if twin.header == text else (
                f"says the same as the column {twin.header}")  # fmt: skip
            remedy = "delete one of the two columns"
            columns[columns.index(twin)] = None  # nobody knows which of them is meant
            refused.add(meaning.field)
        elif isinstance(meaning, Refusal):
            problem, remedy = meaning.problem, f"expected header: {meaning.field}"
            refused.add(meaning.field)
        elif not text:
            problem, remedy = f"column {position} has no name", "name it, or delete the column"
        else:
            problem, remedy = "unknown column", near_matches(text, fields)
        columns.append(None)
        findings.append(Finding(file, line, shortened(text), "", problem, remedy))
    present = {column.field for column in columns if column is not None} | refused
    # A misspelt required column is one mistake, not two: the unknown column names its near match.
    guesses = (finding.remedy for finding in findings)
    guessed = " ".join(guess for guess in guesses if guess.startswith("did you mean"))
    findings += [
        Finding(file, line, name, "", "required column is missing", f"add a column {name}")
        for name in _required(row_class)
        if name not in present and not re.search(rf"\b{name}\b", guessed)
    ]
    return columns, findings


def _passed_over(
    text: str, meaning: Conversion | Refusal | None, header: list[str], row_class: type[Row]
) -> bool:
    """Whether a column stays unread: where others may stand, and it looks like none we miss."""
    if not row_class.lets_others_stand or isinstance(meaning, Conversion):
        return False
    if isinstance(meaning, Refusal):
        return meaning.field in header
    missed = [name for name in row_class.model_fields if name not in header]
    return not near_matches(text, missed).startswith("did you mean")


def _read_row(
    file: str,
    line: int,
    cells: list[str],
    columns: list[_Column | None],
    row_class: type[R],
    header_stands: bool,
) -> tuple[R | None, list[Finding]]:
    """The row, or its findings; under a damaged header only the cells are looked at."""
    if len(cells) != len(columns):
        finding = Finding(
            file, line, "", shortened(",".join(cells)),
            f"{len(cells)} cells under {len(columns)} headers",
            "give every row as many cells as the header; a cell with commas needs double quotes",
        )  # fmt: skip
        return None, [finding]
    values: dict[str, Any] = {}
    texts: dict[str, tuple[str, str]] = {}
    findings: list[Finding] = []
    for column, text in zip(columns, cells, strict=True):
        if column is None:
            continue
        texts[column.field] = (column.header, text)
        if not text:
            if row_class.model_fields[column.field].is_required():
                findings.append(
                    Finding(file, line, column.header, "", "blank", "this column needs a value")
                )
            continue
        value = _parse(text, column.kind, column.factor)
        if isinstance(value, tuple):
            findings.append(Finding(file, line, column.header, shortened(text), *value))
        else:
            values[column.field] = value
    if findings or not header_stands:
        return None, findings
    try:
        return row_class.model_validate(values), []
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            name = str(detail["loc"][0]) if detail["loc"] else ""
            header, text = texts.get(name, (name, ""))
            findings.append(Finding(file, line, header, shortened(text), *_explain(detail)))
        return None, findings


# ------------------------------------------------------------------ instance.toml


def read_settings(path: Path) -> tuple[Settings | None, dict[str, int], list[Finding]]:
    """Read ``instance.toml``: settings, line of every key (``policy.max_llms``), findings."""
    text = _read_text(path, MAX_BYTES // 50)
    if isinstance(text, Finding):
        return None, {}, [text]
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        place = re.search(r"at line (\d+)", str(error))
        finding = Finding(
            path.name,
            int(place[1]) if place else None,
            "",
            "",
            f"not TOML ({shortened(str(error), 120)})",
            "write key = value lines, text in quotes",
        )
        return None, {}, [finding]
    lines = _key_lines(text)
    headers: dict[str, str] = {}
    findings = _convert_keys(path.name, data, Settings, "", lines, headers)
    if isinstance(data.get("format_version"), bool):  # Python takes true for 1
        line = lines.get("format_version")
        findings.append(
            Finding(path.name, line, "format_version", "", "not a whole number", "write 1")
        )
    if findings:
        return None, lines, findings
    try:
        # By way of JSON, pydantic can be strict and still take a list for a tuple.
        return Settings.model_validate_json(json.dumps(data, default=str), strict=True), lines, []
    except (ValidationError, ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            return None, lines, [
                Finding(path.name, None, "", "", "cannot be understood", "see instances/FORMAT.md")
            ]  # fmt: skip
        for detail in error.errors(include_url=False):
            parts = [str(part) for part in detail["loc"] if isinstance(part, str)]
            key = ".".join(parts)
            given = detail["input"] if detail["type"] != "missing" else ""
            shown = "" if isinstance(given, dict) else shortened(str(given))
            line = lines.get(headers.get(key, key), lines.get(".".join(parts[:-1])))
            findings.append(
                Finding(path.name, line, headers.get(key, key), shown, *_explain(detail))
            )
        return None, lines, findings


def _key_lines(text: str) -> dict[str, int]:
    """Line of each ``key =`` and ``[section]``, by dotted name; enough for one-line values."""
    lines: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        head = re.match(r"\s*\[+\s*([\w.\-]+)\s*\]+", line)
        if head:
            section = head[1] + "."
            lines.setdefault(head[1], number)
            continue
        key = re.match(r"\s*\"?([\w.\-]+)\"?\s*=", line)
        if key:
            lines.setdefault(section + key[1], number)
    return lines


def _convert_keys(
    file: str,
    data: dict[str, Any],
    model: type[BaseModel],
    prefix: str,
    lines: Mapping[str, int],
    headers: dict[str, str],
) -> list[Finding]:
    """Convert keys in other units in place; findings for unknown keys. Descends into sections."""
    findings: list[Finding] = []
    for key in list(data):
        info = model.model_fields.get(key)
        if info is not None:
            section = info.annotation
            if (
                isinstance(section, type)
                and issubclass(section, BaseModel)
                and isinstance(data[key], dict)
            ):
                findings += _convert_keys(
                    file, data[key], section, f"{prefix}{key}.", lines, headers
                )
            continue
        meaning = convert_header(key, number_fields(model))
        column, line = prefix + key, lines.get(prefix + key)
        shown = "" if isinstance(data[key], dict) else shortened(str(data[key]))
        if isinstance(meaning, Conversion) and meaning.field not in data:
            value = data.pop(key)
            data[meaning.field] = _scaled(value, meaning.factor)
            headers[prefix + meaning.field] = column
            continue
        if isinstance(meaning, Conversion):
            problem, remedy = f"says the same as {meaning.field}", "delete one of the two"
        elif isinstance(meaning, Refusal):
            problem, remedy = meaning.problem, f"expected key: {prefix}{meaning.field}"
        else:
            problem, remedy = "unknown key", near_matches(key, model.model_fields)
        findings.append(Finding(file, line, shortened(column), shown, problem, remedy))
    return findings


def _scaled(value: Any, factor: float) -> Any:
    """Numbers times factor; anything else unchanged, for the validation to refuse."""
    if isinstance(value, list):
        return [_scaled(part, factor) for part in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return value * factor
    except OverflowError:
        return math.inf
