# SPDX-License-Identifier: GPL-3.0-or-later
"""``make translations``: collects the texts of the program and compiles ``resources/translations``.

The English file holds plural forms alone. They are filled in here: a text says “(s)” behind what has
it for several, and “(is|are)” where one and several differ. Sentences that the database makes are read out of its functions.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from ggnet_console.db.sentences import key_of

CHECKOUT = Path(__file__).parents[1]
FOLDER = CHECKOUT / "resources" / "translations"
BIN = Path(sys.executable).parent
_LITERAL = r"'(?:[^']|'')*'(?:\s*\n\s*'(?:[^']|'')*')*"
"""Of SQL: text in quotation marks, which may go on in the next line."""
_CALL = re.compile(r"\b(refuse|refuse_as|refuse_until|sentence|sentence_until)\((.*)", re.DOTALL)
_TEMPLATES = {
    "refuse": re.compile(rf"\s*({_LITERAL})\s*[,)]"),
    "refuse_as": re.compile(rf"\s*'GG\d+',\s*({_LITERAL})\s*[,)]"),
    "refuse_until": re.compile(rf"\s*\w+,\s*({_LITERAL}),\s*({_LITERAL})\s*\)"),
}
_TEMPLATES["sentence"] = _TEMPLATES["refuse"]
_TEMPLATES["sentence_until"] = _TEMPLATES["refuse_until"]


def templates(sql: str) -> set[str]:
    """Those of the sentences that these functions make; ValueError for one that is no literal."""
    found: set[str] = set()
    rest = re.sub(r"--[^\n]*", "", sql)
    while call := _CALL.search(rest):
        name, rest = call.groups()
        arguments = _TEMPLATES[name].match(rest)
        if arguments is None:
            raise ValueError(f"{name}({rest[:80]}")
        for literal in arguments.groups():
            parts = re.split(r"'\s*\n\s*'", literal[1:-1])
            found.add("".join(parts).replace("''", "'"))
    return found


def database_sentences() -> list[str]:
    """The keys of what functions of the database say; ``limits.sql`` only defines how."""
    folder = CHECKOUT / "migrations" / "functions"
    files = [file for file in folder.glob("*.sql") if file.name != "limits.sql"]
    return sorted(
        {key_of(each)[0] for file in files for each in templates(file.read_text("utf-8"))}
    )


def collect(ts: Path, *, plurals: bool) -> None:
    """Bring ``ts`` up to date with the sources; with ``plurals`` only what has a number."""
    with tempfile.TemporaryDirectory() as folder:
        sentences = Path(folder) / "sentences.py"
        lines = [f"sentence({text!r})" for text in database_sentences()]
        sentences.write_text("\n".join(lines), "utf-8")
        sources = sorted(map(str, (CHECKOUT / "ggnet_console").rglob("*.py")))
        (Path(folder) / "sources").write_text("\n".join([*sources, str(sentences)]), "utf-8")
        subprocess.run(
            [
                BIN / "pyside6-lupdate",
                *("-silent", "-no-obsolete", "-locations", "none", "-sort-messages"),
                *("-tr-function-alias", "QT_TR_NOOP+=sentence"),
                *(["-pluralonly"] if plurals else []),
                *("-source-language", "en", "-target-language", ts.stem.partition("_")[2]),
                f"@{folder}/sources",
                *("-ts", ts),
            ],
            check=True,
        )


def forms(text: str) -> tuple[str, str]:
    """The text for one and for several: ``%n target(s) (differs|differ)``."""

    def choose(number: int) -> str:
        chosen = re.sub(r"\((\w*)\|(\w*)\)", lambda found: found[number + 1], text)
        return chosen.replace("(s)", "s" if number else "")

    return choose(0), choose(1)


def fill(ts: Path) -> None:
    """Fill in the English plural forms."""
    tree = ET.parse(ts)  # noqa: S314 - our own file
    for message in tree.iter("message"):
        translation = message.find("translation")
        if translation is None or message.get("numerus") != "yes":
            continue
        translation.attrib.pop("type", None)
        one, several = translation.findall("numerusform")
        one.text, several.text = forms(message.findtext("source") or "")
    ET.indent(tree, "    ")
    ts.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE TS>\n'
        + ET.tostring(tree.getroot(), encoding="unicode")
        + "\n",
        "utf-8",
    )


def main() -> None:
    """Collect, fill in, compile."""
    ts = FOLDER / "ggnet_en.ts"
    collect(ts, plurals=True)
    fill(ts)
    compile_ts(ts, ts.with_suffix(".qm"))


def compile_ts(ts: Path, qm: Path) -> None:
    """Make what Qt loads."""
    subprocess.run([BIN / "pyside6-lrelease", "-silent", ts, "-qm", qm], check=True)


if __name__ == "__main__":
    main()
