"""Templates and stop strings of the user's own, effort, a thinking budget and loops: what the engine makes of them, and
what a person sees of it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from tests.app.conftest import StartApp
from tests.conftest import DENSE
from tests.running import llmtui
from tests.tape import IM, Tape, build
from tui.app.screens.choice import ChoiceScreen
from tui.app.screens.main import MainScreen
from tui.base.exit_codes import ExitCode
from tui.config import paths
from tui.config.modelrules import ChatOverrides
from tui.protocol.records import PartialSampling

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PIRATE = "<|im_start|>system\nYou are a pirate.<|im_end|>\n" + CHATML
LEVELS = "{% if reasoning_effort %}<|im_start|>system\nThink: {{ reasoning_effort }}<|im_end|>\n{% endif %}" + CHATML
OPENS = CHATML.replace("assistant\n", "assistant\n<think>\n")


class WriteTemplate(Protocol):
    def __call__(self, source: str, name: str = "mine.jinja") -> str: ...


@pytest.fixture
def template(home: Path) -> WriteTemplate:
    """Write a template beside the user's settings, for all tiny models, and give the section that names it."""

    def write(source: str, name: str = "mine.jinja") -> str:
        file = paths.user_settings_file().with_name(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
        return f'[[model]]\nmatch = "tiny*"\nchat_template = "{name}"\n'

    return write


# Templates


async def test_a_template_of_the_users_own_is_used_for_the_models_that_it_is_for(
    start: StartApp, template: WriteTemplate
) -> None:
    async with start(more_settings=template(PIRATE)) as person:
        assert (await person.ask("hello")).startswith("Ahoy")
    other = template(PIRATE).replace("tiny*", "gpt-oss*")
    async with start(more_settings=other) as person:
        assert (await person.ask("hello")).startswith("Hello! I am Tiny Qwen")


async def test_a_template_from_the_command_line_goes_before_the_settings(
    start: StartApp, template: WriteTemplate
) -> None:
    async with start(more_settings=template(CHATML), chat_format=ChatOverrides(chat_template=PIRATE)) as person:
        assert (await person.ask("hello")).startswith("Ahoy")


async def test_a_template_that_is_missing_is_told_and_the_models_own_used(
    start: StartApp, template: WriteTemplate
) -> None:
    section = template(PIRATE)
    paths.user_settings_file().with_name("mine.jinja").unlink()
    async with start(more_settings=section) as person:
        assert "mine.jinja: there is no such file, so the model's own template is used." in person.told
        assert (await person.ask("hello")).startswith("Hello! I am Tiny Qwen")


async def test_a_changed_template_is_read_again_when_the_model_is_loaded_again(
    start: StartApp, template: WriteTemplate
) -> None:
    async with start(more_settings=template(CHATML)) as person:
        template(PIRATE)
        person.app.controller.restart()
        await person.wait_for(lambda: person.phase != "ready")
        await person.wait_until_ready()
        assert (await person.ask("hello")).startswith("Ahoy")


async def test_a_template_that_does_not_compile_is_told_once(start: StartApp, template: WriteTemplate) -> None:
    async with start(more_settings=template("{% if %}" + CHATML)) as person:
        note = person.loaded.llama.template_note
        assert note.startswith("Your chat template cannot be used (") and note.endswith("the file's own is used.")
        assert person.told.count(note) == 1
        assert (await person.ask("hello")).startswith("Hello! I am Tiny Qwen")
        person.app.controller.restart()
        await person.wait_for(lambda: person.phase != "ready")
        await person.wait_until_ready()
        assert person.told.count(note) == 1


async def test_a_file_whose_template_does_not_compile_is_told_once_and_the_chat_works(
    start: StartApp, tmp_path: Path
) -> None:
    build(
        tmp_path / "tape.gguf",
        [Tape("assistant\n", ["Hello", " there!", IM[1]])],
        template="{% for m in messages %}{{ m.content ",
        eos=IM[1],
        control=IM,
    )
    async with start(model=tmp_path / "tape.gguf") as person:
        note = person.loaded.llama.template_note
        assert note.startswith("The file's chat template cannot be used (") and note.endswith("ChatML is used.")
        assert person.told.count(note) == 1
        assert await person.ask("Hi") == "Hello there!"
        person.app.controller.restart()
        await person.wait_for(lambda: person.phase != "ready")
        await person.wait_until_ready()
        assert await person.ask("And now?") == "Hello there!"
        assert person.told.count(note) == 1


def test_a_template_that_cannot_be_read_is_a_mistake_on_the_command_line(tmp_path: Path) -> None:
    odd = tmp_path / "odd.jinja"
    odd.write_bytes(b"{{ messages }}\xff")
    for file, says in ((tmp_path / "none.jinja", "there is no such file"), (odd, "is not UTF-8 text (line 1)")):
        done = llmtui("--bench", DENSE, "--chat-template", file)
        assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
        assert done.stderr.startswith(f"llmtui: --chat-template {file}: {says}.")
    done = llmtui("--bench", DENSE, "--stop", "")
    assert done.returncode == ExitCode.USAGE and "--stop needs a text" in done.stderr


def test_the_bench_takes_template_and_stop_strings(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(PIRATE)
    common = (*("-p", "32", "-n", "4", "-r", "1", "-t", "1"), *("--backend", "cpu", "--e2e", "--json", "--force"))
    done = llmtui("--bench", DENSE, *common, "--chat-template", file, "--stop", "x", "--stop", "y")
    assert done.returncode == ExitCode.FINE and '"n_gen": 256' in done.stdout


# Stop strings


async def test_stop_strings_of_settings_and_command_line_end_an_answer(start: StartApp) -> None:
    section = '[[model]]\nmatch = "*"\nstop = ["Qwen"]\n'
    async with start(more_settings=section) as person:
        assert await person.ask("hello") == "Hello! I am Tiny "
        assert person.turns[-1].stop == "stop"
    async with start(more_settings=section, chat_format=ChatOverrides(stop=("How can",))) as person:
        assert await person.ask("hello") == "Hello! I am Tiny Qwen. "


# Thinking


async def test_levels_that_the_template_knows_are_offered_and_reach_the_prompt(
    start: StartApp, template: WriteTemplate
) -> None:
    async with start(more_settings=template(LEVELS)) as person:
        loaded = person.loaded
        assert loaded.efforts == ("low", "medium", "high")
        await person.ask("hello")
        usual = person.answer_timings.n_prompt
        await person.press("ctrl+t")
        await person.wait_for(lambda: isinstance(person.app.screen, ChoiceScreen) and "High" in person.screen_text())
        await person.press("h")
        await person.wait_for(lambda: isinstance(person.app.screen, MainScreen))
        assert "thinking on, high effort" in person.app.main.prompt.words_on("bottom")
        await person.press("ctrl+n")
        await person.wait_for(lambda: not person.turns)
        person.app.controller.configure(effort="high")
        await person.ask("hello")
        assert person.answer_timings.n_prompt > usual


async def test_a_template_that_opens_the_thought_itself_always_thinks(start: StartApp, template: WriteTemplate) -> None:
    async with start(more_settings=template(OPENS)) as person:
        assert person.loaded.always_thinks
        await person.press("ctrl+t")
        assert person.told.endswith("This model always thinks; it cannot be switched off.")
        assert person.app.controller.conversation.thinking


async def test_the_switch_of_qwen3_works_and_says_so(start: StartApp) -> None:
    async with start() as person:
        await person.press("ctrl+t")
        assert person.told.endswith("Thinking is off in this conversation.")
        assert "thinking off" in person.app.main.prompt.words_on("bottom")
        await person.ask("hello")
        assert person.turns[-1].reasoning == ""


async def test_a_thought_is_cut_by_its_budget_and_says_so(start: StartApp) -> None:
    async with start(more_settings="[sampling]\nthinking_budget = 5\n") as person:
        await person.ask("hello")
        answer = person.turns[-1]
        assert answer.is_thought_cut and answer.text and 0 < len(answer.reasoning) < 40
        assert f"thought cut off after {answer.n_reasoning} tokens" in person.screen_text()
        person.app.controller.configure(thinking_budget=0)
        await person.ask("hello")
        assert not person.turns[-1].is_thought_cut
        kept = person.app.controller.conversation.id
    async with start() as person:
        await person.app.main.conversations.open_conversation(kept)
        await person.wait_for(lambda: "thought cut off after" in person.screen_text())


# Loops


async def test_an_answer_that_goes_in_circles_is_told_while_it_lasts_and_at_its_end(start: StartApp) -> None:
    async with start() as person:
        # Penalties the other way round: tokens are the likelier the more often they were used.
        circles = PartialSampling(repeat_penalty=0.05, frequency_penalty=-2.0)
        person.app.controller.configure(thinking=False, sampling=circles, max_tokens=700)
        await person.ask("hello")
        assert person.turns[-1].is_loop
        assert "The answer keeps repeating itself. Stop it (esc)" in person.told
        shown = " ".join(person.screen_text().split())
        assert "kept repeating itself" in shown and "Answer again (f5)" in shown
        kept = person.app.controller.conversation.id
    async with start() as person:
        await person.app.main.conversations.open_conversation(kept)
        await person.wait_for(lambda: "repeated itself" in person.screen_text())
        person.app.controller.configure(sampling=None)
        await person.ask("hello")
        assert not person.turns[-1].is_loop


async def test_a_thought_of_which_only_the_end_is_marked_is_shown_and_kept_as_one(
    start: StartApp, tmp_path: Path
) -> None:
    """The model was never told where to begin it: until its end comes, it looks like the answer."""
    build(
        tmp_path / "tape.gguf",
        [Tape("assistant\n", ["Let me", " see.", "\n", "</think>", "\n\n", "Hello", " there!", IM[1]])],
        template=CHATML,
        eos=IM[1],
        control=IM,
        user=("<think>", "</think>"),
    )
    async with start(model=tmp_path / "tape.gguf") as person:
        assert await person.ask("Hi") == "Hello there!"
        turn = person.turns[-1]
        entry = person.app.main.transcript._answer(turn.id)[1]
        assert (turn.reasoning, entry.thinking_text.strip(), entry.text) == (
            "Let me see.",
            "Let me see.",
            "Hello there!",
        )
        stored = await person.app.controller.store.open(person.app.controller.conversation.id)
        assert (stored.turns[-1].reasoning, stored.turns[-1].text) == ("Let me see.", "Hello there!")


async def test_escape_stops_a_template_that_takes_for_ever_and_the_model_stays(
    start: StartApp, template: WriteTemplate
) -> None:
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    # Not by the number of messages: the load tries long conversations too.
    late = "{% if messages[-1].content == 'and again' %}" + loops + "{% endif %}" + CHATML
    async with start(more_settings=template(late)) as person:
        await person.ask("hello")
        assert not person.loaded.llama.template_note
        await person.send("and again")
        await person.press("escape")
        await person.wait_until_ready()
        assert person.turns[-1].text == "" or person.turns[-1].role == "user"
        assert person.app.controller.engine.loaded is not None


async def test_a_template_that_refuses_a_conversation_later_is_replaced_and_that_is_told_once(
    start: StartApp, template: WriteTemplate
) -> None:
    refuses = "{% if messages | length > 2 %}{{ raise_exception('two turns are enough') }}{% endif %}" + CHATML
    async with start(more_settings=template(refuses)) as person:
        assert (await person.ask("hello")).startswith("Hello! I am Tiny Qwen")
        assert "cannot be used" not in person.told
        assert await person.ask("ping") == "pong" == await person.ask("ping")
        note = "Your chat template cannot be used (two turns are enough); the file's own is used."
        assert person.told.count(note) == 1
