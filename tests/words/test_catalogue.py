"""The translations are complete, right in form, and what is installed was made of them."""

from __future__ import annotations

import gettext
import io
import sys
from pathlib import Path

import pytest

from tests.places import CHECKOUT
from tui.words.translate import catalogue_file

sys.path.insert(0, str(CHECKOUT / "scripts"))
from catalogue import BadCall, compiled, part_of, problems, texts_in, texts_of, update

CHINESE = CHECKOUT / "tui" / "words" / "zh_CN"


def test_every_text_of_the_program_has_a_chinese_one_with_the_same_fields() -> None:
    assert list(problems(CHECKOUT, CHINESE)) == []


def test_the_reader_is_spoken_to_in_one_way() -> None:
    assert [file.name for file in CHINESE.glob("*.po") if "您" in file.read_text("utf-8")] == []


def test_what_is_installed_was_compiled_from_the_files_that_are_here() -> None:
    assert Path(catalogue_file("zh")).read_bytes() == compiled(CHINESE), "run: make install"


def test_texts_are_found_wherever_they_stand() -> None:
    source = (
        'A = mark("a constant")\n'
        "def f(n, x):\n"
        '    yield tr("one " "text, {x}", x=x) + trn("{n} a", "{n} b", n)\n'
        '    yield trc("door", "open") + tr(A) + tr(x.title)\n'
    )
    found = [(text.context, text.msgid) for text in texts_in(source, "tui/app/x.py")]
    assert found == [(None, "a constant"), (None, "one text, {x}"), (None, ("{n} a", "{n} b")), ("door", "open")]


@pytest.mark.parametrize(
    "call",
    [
        'tr(f"{x} is there")',
        'tr("a" + x)',
        'tr("{x} is there", y=1)',
        'tr("{x} is there", x=1, y=1)',
        'trn("{n} a", f"{n} b", n)',
        'trn("{n} a", "{n} {m}", n)',
        'mark("a %s" % x)',
        'tr("" if x else "b")',
    ],
)
def test_calls_that_gettext_could_not_serve_are_refused(call: str) -> None:
    with pytest.raises(BadCall, match=r"tui/x\.py:1: "):
        list(texts_in(call, "tui/x.py"))


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("tui/app/phrases.py", "app"),
        ("tui/app/widgets/prompt.py", "app"),
        ("tui/app/screens/main.py", "screens"),
        ("tui/bench/guard.py", "bench"),
        ("tui/__main__.py", "cli"),
    ],
)
def test_each_room_has_a_catalogue_of_its_own(file: str, part: str) -> None:
    assert part_of(file) == part


def program(root: Path, source: str, file: str = "tui/app/x.py") -> Path:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(source)
    folder = root / "tui" / "words" / "zh_CN"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_an_update_keeps_what_is_translated_and_says_what_is_not(tmp_path: Path) -> None:
    folder = program(tmp_path, 'tr("old")\ntr("stays")\ntrn("{n} a", "{n} as", 2)\ntrc("door", "open")')
    update(tmp_path, folder, set())
    file = folder / "app.po"
    assert len(list(problems(tmp_path, folder))) == 4
    text = file.read_text()
    for english, chinese in (("stays", "留下"), ("old", "旧"), ("open", "开")):
        text = text.replace(f'msgid "{english}"\nmsgstr ""', f'msgid "{english}"\nmsgstr "{chinese}"')
    file.write_text(text.replace('msgstr[0] ""', 'msgstr[0] "{n} 个"'))
    assert list(problems(tmp_path, folder)) == []

    program(tmp_path, 'tr("new")\ntr("stays")\ntrn("{n} a", "{n} as", 2)\ntrc("door", "open")')
    assert sorted(problem.partition(":")[2].split(" (")[0] for problem in problems(tmp_path, folder)) == [
        " not there: 'new'",
        " not used any more: 'old'",
    ]
    update(tmp_path, folder, {"app"})
    assert list(problems(tmp_path, folder)) == ["app.po: not translated: 'new'"]

    found = gettext.GNUTranslations(io.BytesIO(compiled(folder)))
    assert found.gettext("stays") == "留下"
    assert found.ngettext("{n} a", "{n} as", 2) == "{n} 个"
    assert found.pgettext("door", "open") == "开"


def translate(file: Path, english: str, chinese: str) -> None:
    file.write_text(file.read_text().replace(f'msgid "{english}"\nmsgstr ""', f'msgid "{english}"\nmsgstr "{chinese}"'))


def test_a_text_that_moved_to_another_room_keeps_its_translation_whichever_is_updated_first(tmp_path: Path) -> None:
    folder = program(tmp_path, 'tr("moves")\ntr("stays")')
    program(tmp_path, "", "tui/chat/y.py")
    update(tmp_path, folder, set())
    translate(folder / "app.po", "moves", "搬家")
    translate(folder / "app.po", "stays", "留下")
    program(tmp_path, 'tr("stays")')
    program(tmp_path, 'tr("moves")', "tui/chat/y.py")
    update(tmp_path, folder, {"app"})
    assert list(problems(tmp_path, folder)) == []


def test_a_text_of_two_rooms_is_translated_in_both_though_one_of_them_has_it_empty(tmp_path: Path) -> None:
    folder = program(tmp_path, 'tr("shared")')
    program(tmp_path, 'tr("shared")', "tui/chat/y.py")
    program(tmp_path, 'tr("shared")', "tui/base/z.py")
    update(tmp_path, folder, set())
    translate(folder / "base.po", "shared", "共用")
    update(tmp_path, folder, set())
    assert list(problems(tmp_path, folder)) == []


def test_a_translation_with_other_fields_is_told(tmp_path: Path) -> None:
    folder = program(tmp_path, 'tr("{model} is not there", model=1)')
    update(tmp_path, folder, set())
    file = folder / "app.po"
    file.write_text(
        file.read_text()
        .replace('msgstr ""\n', 'msgstr "没有 {modell}"\n')
        .replace('msgstr "没有 {modell}"\n"L', 'msgstr ""\n"L')
    )
    assert list(problems(tmp_path, folder)) == ["app.po: other fields than the English: '没有 {modell}'"]


def test_all_parts_are_known() -> None:
    assert {f"{part}.po" for part in texts_of(CHECKOUT)} >= {path.name for path in CHINESE.glob("*.po")}
