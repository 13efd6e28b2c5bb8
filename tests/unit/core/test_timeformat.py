"""A format that is accepted can be read, and one that cannot is told apart with the way out."""

from __future__ import annotations

import warnings
from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.core.timeformat import directives, format_fault


def read(text: str, form: str) -> datetime | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moment = pl.Series([text]).str.to_datetime(form, strict=False, time_unit="us")[0]
    return moment.replace(tzinfo=None) if moment else None


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%Y-%m-%d %H:%M:%S", "2024-03-01 14:05:09"),
        ("%d.%m.%Y %H:%M:%S", "01.03.2024 14:05:09"),
        ("%-d.%-m.%y %H:%M:%S", "1.3.24 14:05:09"),
        ("%m/%d/%Y %I:%M:%S %p", "03/01/2024 02:05:09 PM"),
        ("%F %T", "2024-03-01 14:05:09"),
        ("%F %T%.f", "2024-03-01 14:05:09.000"),
        ("%Y%m%d%H%M%S%3f", "20240301140509000"),
        ("%d %b %Y %H:%M:%S", "01 Mar 2024 14:05:09"),
        ("%A, %d %B %Y %T", "Friday, 01 March 2024 14:05:09"),
        ("%j %Y %T", "061 2024 14:05:09"),
        ("%G-W%V-%u %T", "2024-W09-5 14:05:09"),
        ("%s", "1709301909"),
        ("%s%.f", "1709301909.0"),
        ("00%y-%m-%d %T", "0024-03-01 14:05:09"),
        ("%F %T %z", "2024-03-01 15:05:09 +01:00"),
        ("%D %r", "03/01/24 02:05:09 PM"),
        ("%%%F%t%T", "%2024-03-01 14:05:09"),
    ],
)
def test_formats_of_plants_and_offices_are_accepted_and_read(form: str, text: str) -> None:
    assert format_fault(form) is None
    assert read(text, form) == datetime(2024, 3, 1, 14, 5, 9)


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("%Q", "no part of a time"),
        ("%-Q", "no part of a time"),
        ("%", "no part of a time"),
        ("%Y-%m-%d %", "no part of a time"),
        ("%5f", "no part of a time"),
        ("%Y-%m-%d %H:%M:%S.%f", "%S%.f"),
        ("%Y-%m-%d %H:%M %Z", "set `zone`"),
        ("%Y-%m-%dT%H:%M%:z", "write %z"),
        ("%+", "ISO 8601"),
        ("", "names no date"),
        ("dd.mm.yyyy", "names no date"),
        ("%H:%M", "names no date"),
        ("%d.%m. %H:%M", "names no date"),
        ("%d %Y", "names no date"),
        ("%G-W%V", "names no date"),
        ("%F %H", "without minutes"),
        ("%F %M", "without minutes"),
        ("%Y%S", "without hours"),
        ("%F %I:%M", "without %p"),
        ("%F %H:%M %p", "without %p"),
    ],
)
def test_what_cannot_be_a_time_is_told(form: str, says: str) -> None:
    fault = format_fault(form)
    assert fault is not None
    assert says in " ".join(fault)


PARTS = [f"%{mark}" for mark in "YymbBhdejFDsHkIlPpMSTRr%zZQ+f"] + ["%.f", "%3f", "-", ".", " "]


@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join))
@settings(max_examples=500, deadline=None)
def test_an_accepted_format_never_stops_the_reader(form: str) -> None:
    if format_fault(form) is None:
        read("2024-03-01 14:05", form)


@given(st.text(max_size=20))
def test_any_text_has_parts_or_none(form: str) -> None:
    assert len(directives(form)) <= form.count("%")
    format_fault(form)
