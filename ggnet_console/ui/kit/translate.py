# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way a text reaches the screen: through Qt's translation.

``tr`` takes a literal, never an f-string: pyside6-lupdate collects literals (``make translations``),
and values are put in afterwards, ``tr("Stop {name}?").format(name=name)``. Texts that are made
when a module is imported are translated only in modules that are imported after ``install``, so
modules of the first frame make theirs in functions.
"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale, QTranslator

from ...errors import Sentence
from ...paths import RESOURCES

FOLDER = RESOURCES / "translations"
_MOST = 2**31 - 1
"""Qt counts in 32 bits; what is more has the form of that."""


def tr(text: str, comment: str = "", n: int = -1) -> str:
    """``text`` in the person's language.

    ``comment`` tells translators two equal texts apart. With ``n`` the form for that number is
    chosen, and ``%n`` in the text becomes the number: ``tr("%n machine(s)", "", 3)``.
    """
    if n <= _MOST:
        shown = QCoreApplication.translate("", text, comment or None, n)
        return shown if n < 1000 else shown.replace(str(n), grouped(n), 1)
    shown = QCoreApplication.translate("", text, comment or None, _MOST)
    return shown.replace(str(_MOST), grouped(n), 1)


def translated(sentence: str) -> str:
    """A sentence that was made below the window, by its key; another text as it is."""
    if not isinstance(sentence, Sentence):
        return sentence

    def shown(value: object) -> object:
        return translated(value) if isinstance(value, str) else value

    numbered = map(shown, sentence.numbered)
    values = {name: shown(value) for name, value in sentence.values.items()}
    text = tr(sentence.key)
    return text.format(*numbered, **values) if sentence.numbered or values else text


def grouped(value: int) -> str:
    """A number in groups of three, such as ``10 000``."""
    return f"{value:,}".replace(",", "\u202f")


def install(app: QCoreApplication) -> None:
    """Use the desktop's language where there is a translation, else English.

    English has one, too: it holds what Qt needs to choose between one and several. Done once,
    before the first window is made.
    """
    if app.findChild(QTranslator) is not None:
        return
    for language in (*QLocale.system().uiLanguages(), "en"):
        translator = QTranslator(app)
        if translator.load(f"ggnet_{language.replace('-', '_')}", str(FOLDER)):
            app.installTranslator(translator)
            return
