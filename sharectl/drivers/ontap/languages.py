"""The languages of ONTAP, in which a volume keeps the names of files."""

from __future__ import annotations

from typing import Final

_WITH_UTF_8: Final = (
    "ar c cs da de en en_us es fi fr he hr hu it ja ja_jp.932 ja_jp.pck ja_jp.pck_v2 ja_v1 ko nl no pl pt ro ru sk sl sv tr zh zh.gbk "
    "zh_tw zh_tw.big5"
)

LANGUAGES: Final = tuple(
    sorted(("utf8mb4", *(name for plain in _WITH_UTF_8.split() for name in (plain, f"{plain}.utf_8"))))
)


def language_of(value: str) -> str | None:
    """Return a language as the REST API spells it, also from the spelling of the CLI (`C.UTF-8`); None where there is none."""
    name = value.strip().lower().replace("-", "_")
    return name if name in LANGUAGES else None
