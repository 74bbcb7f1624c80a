"""Names that operators import to configure logging by themselves."""

from kopf._loggers import (
    LocalObjectLogger,
    LogFormat,
    ObjectFormatter,
    ObjectJsonFormatter,
    ObjectLogger,
    ObjectTextFormatter,
    TerseObjectLogger,
    configure,
)

__all__ = [
    "LocalObjectLogger",
    "LogFormat",
    "ObjectFormatter",
    "ObjectJsonFormatter",
    "ObjectLogger",
    "ObjectTextFormatter",
    "TerseObjectLogger",
    "configure",
]
