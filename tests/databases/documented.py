"""The queries of docs/edi.md, as they are printed: what a reader copies is what is tried."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs/edi.md"
CHAPTERS = {
    "sqlserver": "SQL Server, Azure SQL",
    "postgresql": "PostgreSQL",
    "mariadb": "MySQL, MariaDB",
    "sqlite": "SQLite",
}


@dataclass(frozen=True)
class Documented:
    """What the document says of one database.

    :param moments: type of a time column -> expression that makes UTC of it; the first is the one in the queries.
    """

    drain: str
    numbers: str
    moments: dict[str, str]

    def drain_for(self, kind: str) -> str:
        """The drain query for a time column of this type, one of `moments`."""
        return self._with(self.drain, kind)

    def numbers_for(self, kind: str) -> str:
        return self._with(self.numbers, kind)

    def _with(self, query: str, kind: str) -> str:
        printed = next(iter(self.moments.values()))
        one = re.escape(printed)
        parts = re.split(rf"(?<![\w(']){one}(?= AS at_utc)|(?<=MIN\(){one}(?=\) AS)", query)
        assert len(parts) == 2, f"{printed} has to stand once in {query}"
        return self.moments[kind].join(parts)


@cache
def documented(database: str) -> Documented:
    """
    :param database: one of `CHAPTERS`.
    """
    text = DOCUMENT.read_text()
    chapter = text.partition(f"\n### {CHAPTERS[database]}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    drain, numbers = re.findall(r"```sql\n(.*?)```", chapter, re.DOTALL)
    rows = re.findall(r"^\| (.+?) \| `(.+)` \|$", chapter.partition("| `logged_at` of ")[2], re.MULTILINE)
    return Documented(drain, numbers, {kind.replace("`", ""): expression for kind, expression in rows})
