"""Every screen and dialog of the app as a scene: the steps that lead there, sizes, and a text that is seen then. For
tests and pictures of what people see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from textual.widgets import Input

from tests.app import branch_scenes, hub_scenes
from tests.app.conftest import Person
from tests.app.prompt_scenes import ask_about_files, choose_files, complete_command, complete_path, find_prompt
from tests.app.search_steps import find_text, list_conversations, search_conversations
from tests.app.steps import (
    action,
    bench,
    bench_running,
    bench_start,
    change_advanced_settings,
    change_load_settings,
    chat,
    chat_beside_others,
    choose_code,
    crash_on_the_cpu,
    details,
    dialog,
    edit_prompt,
    fail_to_load,
    guard,
    load_half,
    lose_the_engine,
    overflow,
    pick_model,
    pick_of_none,
    read_problems,
    read_prompt,
    select_message,
    settings_of_apu,
    start_again,
    start_empty,
    tune_over,
    tune_running,
    use_the_palette,
    watch,
)
from tests.recorded import (
    LIBRARY,
    QWEN,
    replace_machine,
)
from tests.words.pseudo import plain
from tui.app.bindings import Keymap
from tui.app.run import make_app
from tui.app.screens.odds import OddsScreen
from tui.config import paths
from tui.config.options import AppOptions
from tui.config.presets import Preset, write_preset
from tui.models.library import Library
from tui.protocol.records import AnswerFormat, PartialSampling, TokenOdds
from tui.session.memory_speed import MemorySpeed

Size = tuple[int, int]
"""Columns and rows of a terminal."""
ALL_SIZES = ((40, 12), (80, 24), (120, 40), (200, 60))
NARROW = ((40, 24), (80, 24), (120, 40))


def odds(keymap: Keymap) -> OddsScreen:
    """An answer of which two words were not sure."""
    sure = [TokenOdds(text=text, p=0.97, others=((text, 0.97), (" it", 0.02))) for text in ("Because", " only", " 8")]
    unsure = TokenOdds(text=" of", p=0.31, others=((" experts", 0.44), (" of", 0.31), ("\n", 0.08), (" 位", 0.0004)))
    rest = [
        TokenOdds(text=text, p=0.07 if text == " 128" else 0.9) for text in (" 128", " experts", " are", " read.\n")
    ]
    screen = OddsScreen((*sure, unsure, *rest), keymap)
    screen.board.at = 3
    return screen


async def list_presets(person: Person) -> None:
    """The presets of somebody who writes and translates."""
    await chat(person)
    schema = AnswerFormat(kind="json_schema", text='{"type": "object"}')
    for preset in (
        Preset(name="editor", system_prompt="Make this text shorter, and keep its tone.", thinking=False),
        Preset(name="extract", answer_format=schema, sampling=PartialSampling(temperature=0.0), model="qwen3-4b"),
        Preset(
            name="翻译", system_prompt="把我写的内容翻译成中文。", sampling=PartialSampling(top_k=40), max_tokens=900
        ),
    ):
        write_preset(paths.presets_dir(), preset)
    person.app.controller.configure(preset="editor")
    await person.app.screen.run_action("presets")


class Scene(NamedTuple):
    """How to get to a screen, and a text that is seen when it is there."""

    act: Callable[[Person], Awaitable[None]]
    ready: str
    has_model: bool = True
    theme: str = "graphite"
    sizes: tuple[Size, ...] = ((80, 24), (120, 40))


SCENES = {
    "main": Scene(chat, "complete", sizes=((40, 12), (80, 24), (120, 40))),
    "main-light": Scene(chat, "complete", theme="paper"),
    "main-selected": Scene(select_message, "copy · answer again", sizes=NARROW),
    "main-files": Scene(ask_about_files, "this is not text", sizes=NARROW),
    "main-path": Scene(complete_path, "notes.md", sizes=NARROW),
    "main-command": Scene(complete_command, "/monitor", sizes=NARROW),
    "folder-files": Scene(choose_files, "✓", sizes=NARROW),
    "prompts": Scene(find_prompt, "Sky", sizes=NARROW),
    "main-branches": Scene(branch_scenes.select_answer, "2/2", sizes=NARROW),
    "branches": Scene(branch_scenes.see_tree, "Branches", sizes=NARROW),
    "compare": Scene(branch_scenes.compare, "Compare answers", sizes=NARROW),
    "message-details": Scene(branch_scenes.see_details, "Computed on", sizes=NARROW),
    "message-menu": Scene(branch_scenes.see_menu, "Delete message", sizes=((40, 24), (80, 24))),
    "main-editing": Scene(edit_prompt, "editing", sizes=NARROW),
    "main-prompt-read": Scene(read_prompt, "Meanwhile I type"),
    "main-engine-died": Scene(lose_the_engine, "ErrorDeviceLost"),
    "main-cpu-crashed": Scene(crash_on_the_cpu, "without repacking", sizes=NARROW),
    "main-no-model": Scene(start_empty, "No models were found", has_model=False, sizes=((40, 12), (80, 24), (120, 40))),
    "picker-empty": Scene(pick_of_none, "paste the path", has_model=False),
    "start-page": Scene(start_again, "Lighthouse", sizes=((40, 12), (80, 24), (120, 40), (200, 60))),
    "main-wide": Scene(chat_beside_others, "Lighthouse", sizes=((160, 40), (200, 60))),
    "main-loading": Scene(load_half, "62%"),
    "main-load-failed": Scene(fail_to_load, "could not be loaded"),
    "picker": Scene(pick_model, "half.gguf", sizes=NARROW),
    "load-settings": Scene(change_load_settings, "free after", sizes=NARROW),
    "load-settings-advanced": Scene(change_advanced_settings, "mlock"),
    "load-settings-apu": Scene(dialog(settings_of_apu), "dedicated"),
    "guard": Scene(dialog(guard), "Load anyway"),
    "bench": Scene(dialog(bench), "against run 12", sizes=NARROW),
    "bench-running": Scene(dialog(bench_running), "waiting"),
    "bench-start": Scene(dialog(bench_start), "tg128", sizes=NARROW),
    "tune-running": Scene(dialog(tune_running), "left at most"),
    "tune-over": Scene(dialog(tune_over), "38.2%", sizes=NARROW),
    "picker-low": Scene(pick_model, "NAME", sizes=((40, 12),)),
    "copy-code": Scene(choose_code, "python sort.py", sizes=NARROW),
    "memory": Scene(action("screen.memory_report"), "difference", sizes=NARROW),
    "problems": Scene(read_problems, "keys.pick_modell", sizes=NARROW),
    "rename": Scene(action("screen.rename"), "Rename"),
    "theme": Scene(action("screen.theme"), "midnight"),
    "conversations": Scene(list_conversations, "LAST USED"),
    "odds": Scene(dialog(odds), "token 4", sizes=NARROW),
    "presets": Scene(list_presets, "WHAT IT SETS", sizes=NARROW),
    "answer-format": Scene(action("screen.answer_format"), "GBNF"),
    "conversations-found": Scene(search_conversations, "experts cost?"),
    "find-text": Scene(find_text, "1/"),
    "sampling": Scene(action("screen.sampling"), "emperature"),
    "system-prompt": Scene(action("screen.system_prompt"), "patient teacher"),
    "help": Scene(action("help"), "pick_model"),
    "log": Scene(action("log_view"), "304.75 MiB"),
    "confirm": Scene(action("screen.delete"), "deletes all its messages"),
    "overflow": Scene(overflow, "The context is full"),
    "palette": Scene(use_the_palette, "Switch thinking", sizes=NARROW),
    "monitor": Scene(watch, "MONITOR", sizes=((40, 12), (80, 24), (120, 40), (200, 60))),
    "details": Scene(dialog(details), "qwen3moe", sizes=((80, 24), (120, 40), (200, 60))),
    "find": Scene(hub_scenes.find, "Qwen3-30B-A3B", sizes=ALL_SIZES),
    "find-words": Scene(hub_scenes.find_by_words, "abliterated", sizes=NARROW),
    "find-failed": Scene(hub_scenes.find_without_hubs, "503", sizes=NARROW),
    "repository": Scene(hub_scenes.look_into, "Q4_K_M", sizes=ALL_SIZES),
    "downloads": Scene(hub_scenes.watch_downloads, "Qwen3-0.6B", sizes=ALL_SIZES),
    "downloads-problem": Scene(hub_scenes.watch_a_problem, "Qwen3-0.6B", sizes=NARROW),
    "main-fetching": Scene(hub_scenes.fetch_some, "43%", sizes=NARROW),
}


IN_CHINESE = {
    "main-selected": "重新回答",
    "main": "已完成",
    "main-no-model": "没有找到模型",
    "start-page": "Lighthouse",
    "main-engine-died": "引擎在",
    "picker": "量化",
    "load-settings": "上下文",
    "guard": "内存不足",
    "conversations": "最近使用",
    "odds": "第 4 个 token",
    "presets": "内容",
    "answer-format": "GBNF",
    "conversations-found": "experts cost?",
    "find-text": "1/",
    "sampling": "温度",
    "help": "pick_model",
    "monitor": "监视器",
    "palette": "查找操作",
    "bench-start": "基准测试",
    "bench-running": "等待",
    "tune-running": "目前最快",
    "tune-over": "快 38.2%",
    "load-settings-advanced": "mlock",
    "main-light": "已完成",
    "main-branches": "2/2",
    "branches": "分支",
    "compare": "比较回答",
    "message-details": "计算设备",
    "message-menu": "删除消息",
    "main-editing": "编辑中",
    "main-files": "这不是文本",
    "main-path": "notes.md",
    "main-command": "/monitor",
    "folder-files": "✓",
    "prompts": "Sky",
    "main-prompt-read": "Meanwhile I type",
    "main-cpu-crashed": "关闭重排重新加载",
    "main-wide": "已完成",
    "main-loading": "62%",
    "main-load-failed": "失败",
    "picker-empty": "没有找到模型",
    "picker-low": "名称",
    "load-settings-apu": "加载后可用",
    "bench": "查看以往结果",
    "copy-code": "python sort.py",
    "memory": "差值",
    "problems": "keys.pick_modell",
    "rename": "重命名对话",
    "theme": "midnight",
    "system-prompt": "patient teacher",
    "log": "304.75 MiB",
    "confirm": "永久删除",
    "overflow": "上下文已满",
    "details": "qwen3moe",
    "find": "适合",
    "repository": "推荐",
    "downloads": "下载",
    "find-words": "abliterated",
    "find-failed": "503",
    "downloads-problem": "Qwen3-0.6B",
    "main-fetching": "43%",
}
"""Every scene, and what shows that it is there in Chinese."""

SPOKEN_TO = (
    "main", "main-light", "main-selected", "main-branches", "main-files", "main-editing", "main-prompt-read",
    "main-engine-died", "main-cpu-crashed", "main-no-model", "main-wide", "main-loading", "main-load-failed",
    "main-fetching", "start-page",
)  # fmt: skip
"""Those on the main screen, which change their language while they are seen. Dialogs are opened in the other one."""

WIDE_IN_CHINESE = ("main", "start-page", "picker", "load-settings", "monitor", "find", "repository")
"""Those that are looked at in Chinese in 120x40 too."""


async def nothing_measured(_: MemorySpeed) -> bool:
    return False


@asynccontextmanager
async def shown(scene: Scene, size: Size, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Person]:
    """The app at that scene, when nothing on it changes any more."""
    replace_machine(monkeypatch, LIBRARY if scene.has_model else Library())
    monkeypatch.setattr(MemorySpeed, "measured", nothing_measured)  # what is found here, and when, is not the scene's
    app = make_app(AppOptions(model=QWEN.path if scene.has_model else None, theme=scene.theme))
    async with app.run_test(size=size, notifications=True) as pilot:
        person = Person(app, pilot)
        await person.wait_for(lambda: person.phase == ("ready" if scene.has_model else "no_model"))
        await scene.act(person)
        await person.wait_for(
            lambda: (
                scene.ready.casefold() in (seen := plain(person.screen_text()).casefold()) and "looking…" not in seen
            )
        )
        for line in app.screen.query(Input):
            line.cursor_blink = False
        await calm(person)
        yield person
        await person.controller.stop()


async def calm(person: Person) -> None:
    """Wait until nothing on the screen changes any more, and paint it as it is then, also what is behind a dialog."""
    await person.wait_for(lambda: person.app.main.prompt_line.is_settled)
    await person.app.controller.monitoring.read()
    person.app.screen.refresh()
    await person.pilot.pause()
