# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarative base: naming convention, column types and the shapes every table shares."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from sqlalchemy import BigInteger, DateTime, Enum, Identity, MetaData, Text, func
from sqlalchemy.orm import DeclarativeBase, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All mapped classes; the migrations create exactly these tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {str: Text}


Id = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]
Bytes = Annotated[int, mapped_column(BigInteger)]
Line = Annotated[str, mapped_column(Text)]
Text0 = Annotated[str, mapped_column(Text, server_default="")]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Created = Annotated[
    datetime, mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())
]
Version = Annotated[int, mapped_column(server_default="1")]

TIDY_NAME = (
    "name = btrim(translate(normalize(name, NFC), U&'\\00A0\\1680\\2000\\2001\\2002\\2003\\2004"
    "\\2005\\2006\\2007\\2008\\2009\\200A\\202F\\205F\\3000', repeat(' ', 16)))"
)
"""``values.tidy`` in SQL: what the check of every name says."""


def enum_type(enum: type[StrEnum], name: str) -> Enum:
    """The PostgreSQL enum type ``name`` whose labels are the members of ``enum``."""
    return Enum(enum, name=name, values_callable=lambda members: [m.value for m in members])
