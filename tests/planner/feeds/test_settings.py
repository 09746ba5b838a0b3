"""``feeds.toml``: what may stand there, and what is said where it is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from planner.errors import FeedError
from planner.feeds.feed import Feed
from planner.feeds.http import HttpSettings
from planner.feeds.readers import READERS
from planner.feeds.settings import load_settings

GOOD = """
store = "kept"
[http]
attempts = 2
[feeds.azure]
reader = "azure-retail"
on_failure = "last-good"
max_age_h = 48
ignore = ["azure:eastus2/azure_x"]
[feeds.mine]
reader = "tables"
kind = "quotas"
path = "quotas"
"""


def refusal(folder: Path, text: str) -> str:
    (folder / "feeds.toml").write_text(text)
    with pytest.raises(FeedError) as caught:
        load_settings(folder)
    return str(caught.value)


def test_settings_are_read(tmp_path: Path) -> None:
    (tmp_path / "feeds.toml").write_text(GOOD)
    settings = load_settings(tmp_path)
    assert settings.store == tmp_path / "kept"
    assert settings.http.attempts == 2
    azure = settings.feeds["azure"]
    assert (azure.on_failure, azure.max_age_h, azure.max_move) == ("last-good", 48.0, 10.0)
    assert azure.ignore == ("azure:eastus2/azure_x",)
    assert list(settings.chosen(())) == ["azure", "mine"]
    assert list(settings.chosen(("mine",))) == ["mine"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"azure-retail"', '"azure-retial"', "no such reader; did you mean azure-retail"),
        ("max_age_h = 48", 'max_age_h = "two days"', "feeds.azure.max_age_h 'two days'"),
        ("max_age_h = 48", "max_age_h = -1", "greater than 0"),
        ("max_age_h = 48", "max_move = 1", "greater than 1"),
        ('"last-good"', '"carry-on"', "'stop' or 'last-good'"),
        ("attempts = 2", "attempts = 0", "http.attempts 0"),
        ("attempts = 2", "tries = 2", "http.tries: unknown key"),
        ("max_age_h = 48", "max_age = 48", "did you mean max_age_h or"),
        ('path = "quotas"', "", "give path or url"),
        ('path = "quotas"', 'path = "q"\nurl = "https://x/y.csv"', "give path or url"),
        ('path = "quotas"', 'url = "file:///etc/passwd"', "feeds.mine.url"),
        ('path = "quotas"', 'path = "q"\nfolder = "/"', "feeds.mine.folder: unknown key"),
        ("[feeds.mine]", "[feeds.'my feed']", "feeds.my feed"),
        ("[http]", "[http", "not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    assert words in refusal(tmp_path, GOOD.replace(old, new))


def test_a_credential_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    words = refusal(tmp_path, GOOD.replace("max_age_h = 48", 'api_key = "hush-hush"'))
    assert "feeds.azure.api_key: unknown key" in words
    assert "credentials belong to the environment" in words
    assert "hush-hush" not in words


def test_no_feeds_and_no_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="cannot be read"):
        load_settings(tmp_path)
    assert "feeds" in refusal(tmp_path, 'store = "x"')
    (tmp_path / "feeds.toml").write_text(GOOD)
    with pytest.raises(FeedError, match=r"no feed 'azur'.*did you mean azure"):
        load_settings(tmp_path).chosen(("azur",))


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_states_its_published_format(reader: str) -> None:
    import sys

    words = sys.modules[READERS[reader].__module__].__doc__ or ""
    assert "format" in words.lower()
    assert reader == "tables" or "https://" in words


# ------------------------------------------------------------------ the page about feeds

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "feeds.md").read_text(encoding="utf-8")


def test_the_settings_on_the_page_are_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "feeds.toml").write_text(example)
    assert list(load_settings(tmp_path).feeds) == ["azure", "agreed", "grid", "demand"]


def test_the_defaults_on_the_page_are_true() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+?)`? \|", PAGE, re.MULTILINE))
    told = {name: rows[name] for name in Feed.model_fields if name not in {"kind"}}
    words = {None: "all the source covers", (): "none", "stop": "stop"}
    for name, text in told.items():
        default = Feed.model_fields[name].default
        assert text == words.get(default, str(default).removesuffix(".0")), name
    for name, info in HttpSettings.model_fields.items():
        shown = {"max_bytes": "100 MB"}.get(name, f"{info.default:,g}")
        assert re.search(rf"`{name}`\s+{shown}\b", PAGE), name


def test_every_reader_and_its_keys_are_on_the_page() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| .+ \| .+ \| (.+) \|$", PAGE, re.MULTILINE))
    del rows["reader"]  # the heading
    assert set(rows) == set(READERS)
    for reader, keys in rows.items():
        assert set(re.findall(r"`(\w+)`", keys)) <= set(READERS[reader].model_fields)
