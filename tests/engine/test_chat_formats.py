"""What comes of a model's words, with templates and vocabularies of all kinds: real models with a scripted answer,
through the real engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.engine.asking import GREEDY, Reply, ask, user
from tests.tape import CHATML, IM, Tape, build
from tui.engine.repetition import Repetition
from tui.engines.interface import Engine
from tui.protocol.messages import Count, Delta, Generate, Loaded
from tui.protocol.records import LoadSettings, Message

HELLO = ("Hello", " there!")
THOUGHT = ("The user greets. ", "Greet back.")
APART = ("The user greets. Greet back.", "Hello there!")
THINK = ("<think>", "</think>")
SETTINGS = LoadSettings(n_ctx=4096, n_threads=1)


def opening(what: str) -> str:
    """ChatML that opens an answer with `what`."""
    return CHATML.replace("assistant\n{%", f"assistant\n{what}{{%")


OPENED = opening("<think>\n")
HARMONY_TOKENS = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>")
HARMONY = (
    "{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}"
    "<|message|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
ANALYSIS = ("<|channel|>", "analysis", "<|message|>")
IN_JSON = (
    "{% for m in messages %}<|im_start|>{{ {'role': m.role} | tojson(indent=2) }}\n"
    "{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}"
    "<|im_start|>{{ {'z': 7, 'a': 'ü'} | tojson(ensure_ascii=False, indent=2, separators=(',', ':'), sort_keys=True) }}"
    "{% endif %}"
)
FINAL = ("<|start|>", "assistant", "<|channel|>", "final", "<|message|>")


@dataclass
class Case:
    """A model, and what it should say."""

    after: str
    script: Sequence[str | bytes]
    thinking: str = ""
    answer: str = "Hello there!"
    template: str | None = CHATML
    control: Sequence[str] = IM
    eos: str = IM[1]
    rest: dict[str, Any] = field(default_factory=dict)
    loads: LoadSettings = SETTINGS
    options: dict[str, Any] = field(default_factory=dict)
    system: str = ""

    def write(self, path: Path) -> Path:
        tape = Tape(self.after, self.script)
        build(path, [tape], template=self.template, control=self.control, eos=self.eos, **self.rest)
        return path


CASES = {
    "tokens": Case("assistant\n", [THINK[0], *THOUGHT, THINK[1], "\n\n", *HELLO, IM[1]], *APART, rest={"user": THINK}),
    "control tokens": Case("assistant\n", [THINK[0], *THOUGHT, THINK[1], *HELLO, IM[1]], *APART, control=(*IM, *THINK)),
    "letters": Case("assistant\n", ["<", "think", ">\n", *THOUGHT, "</", "think", ">\n\n", *HELLO, IM[1]], *APART),
    "opened in the prompt": Case("<think>\n", [*THOUGHT, "</", "think", ">\n", *HELLO, IM[1]], *APART, template=OPENED),
    "closed, though it was never opened": Case(
        "assistant\n", [*THOUGHT, "</think>", "\n\n", *HELLO, IM[1]], *APART, rest={"user": THINK}
    ),
    "sentences that the template asks for": Case(
        "assistant\n",
        ["Here is my thought ", "process:\n", *THOUGHT, "Here is my ", "response:\n", *HELLO, IM[1]],
        *APART,
        template="Write 'Here is my thought process:' and then 'Here is my response:'.\n" + CHATML,
    ),
    "marks of a training course": Case(
        "<start_working_out>",
        [*THOUGHT, "<end_", "working_out>", "<SOLU", "TION>", *HELLO, "</SOLUTION>", IM[1]],
        *APART,
        template="Work between <start_working_out> and <end_working_out>, answer in <SOLUTION></SOLUTION>.\n"
        + opening("<start_working_out>"),
    ),
    "never closed": Case("<think>\n", [*THOUGHT, IM[1]], APART[0], "", template=OPENED),
    "harmony": Case(
        "<|start|>assistant",
        [*ANALYSIS, *THOUGHT, "<|end|>", *FINAL, *HELLO, "<|return|>"],
        *APART,
        template=HARMONY,
        control=HARMONY_TOKENS,
        eos="<|return|>",
    ),
    "harmony, ended by the mark of its template": Case(
        "<|start|>assistant",
        [*ANALYSIS, *THOUGHT, "<|end|>", *FINAL, *HELLO, "<|end|>", " never"],
        *APART,
        template=HARMONY,
        control=HARMONY_TOKENS,
        eos="<|return|>",
    ),
    "an end of turn that is no end token": Case(
        "assistant\n",
        [*HELLO, "<|over|>", "user\n", "And", " you?"],
        control=("<|begin|>", "<|over|>", "</s>"),
        eos="</s>",
        template=CHATML.replace("<|im_start|>", "<|begin|>").replace("<|im_end|>\n", "<|over|>"),
    ),
    "marks that the vocabulary does not have": Case(
        "assistant\n",
        [*HELLO, "<|im_", "end|>", "\n", "more", " and", " more"],
        template=None,
        control=["</s>"],
        eos="</s>",
    ),
    "the next turn's mark": Case(
        "assistant\n",
        [*HELLO, "\n<|im_", "start|>", "user\n", "more", " and"],
        template=None,
        control=["</s>"],
        eos="</s>",
    ),
    "a text of the user's": Case(
        "assistant\n",
        ["Hello", " there!", "##", " never", IM[1]],
        loads=msgspec.structs.replace(SETTINGS, stop=("##",)),
    ),
    "roles in words": Case(
        "Bot:",
        [" Hello", " there!", "\n", "User", ":", " And", " you?"],
        control=["</s>"],
        eos="</s>",
        template="{% for m in messages %}{{ 'User: ' if m.role == 'user' else 'Bot: ' }}{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}Bot:{% endif %}",
    ),
    "a prompt that gets no end token": Case(
        "assistant\n", [*HELLO, IM[1]], control=[*IM, "<s>"], rest={"bos": "<s>", "add_bos": True, "add_eos": True}
    ),
    "a system prompt that is refused": Case(
        "assistant\n",
        [*HELLO, IM[1]],
        system="Be brief.",
        template="{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML,
    ),
    "a system prompt that is left out": Case(
        "assistant\n",
        [*HELLO, IM[1]],
        system="Be brief.",
        template=CHATML.replace("{{ m.content }}", "{{ m.content if m.role != 'system' }}"),
    ),
    "roles that alternate": Case(
        "assistant\n",
        [*HELLO, IM[1]],
        system="Be brief.",
        template="{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}" + CHATML,
    ),
    "contents in parts": Case(
        "assistant\n",
        [*HELLO, IM[1]],
        system="Be brief.",
        template=CHATML.replace("{{ m.content }}", "{% for p in m.content %}{{ p.text }}{% endfor %}"),
    ),
    "variables that must be there": Case(
        "assistant\n", [*HELLO, IM[1]], template="{% for t in tools %}{{ t }}{% endfor %}" + CHATML
    ),
    "several thoughts": Case(
        "assistant\n",
        [
            *["<think>", THOUGHT[0], "</think>"],
            "Hello\n",
            "<think>",
            THOUGHT[1],
            *["</think>", "\n\n", "there!", IM[1]],
        ],
        "The user greets. \n\nGreet back.",
        "Hello\n\nthere!",
        rest={"user": THINK},
    ),
    "an answer about the tags, in letters": Case(
        "assistant\n",
        ["Write ", "<", "think", "> before it", " and </", "think", "> after it.", IM[1]],
        answer="Write <think> before it and </think> after it.",
    ),
    "an answer about the tags, in tokens": Case(
        "assistant\n",
        [*["<think>", *THOUGHT, "</think>", "\n\n"], *["Write `", "<think>", "` and `", "</think>", "`.", IM[1]]],
        APART[0],
        "Write `<think>` and `</think>`.",
        rest={"user": THINK},
    ),
    "JSON and the tags of training tools in a template": Case("7\n}", [*HELLO, IM[1]], template=IN_JSON),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.asyncio(loop_scope="module")
async def test_two_turns_come_out_right(shared: Engine, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    loaded = await shared.load(case.write(tmp_path / "tape.gguf"), case.loads)
    assert loaded.can_think == bool(case.thinking) or name == "harmony" or "<think>" not in (case.template or "")
    history = [Message(role="system", content=case.system)] if case.system else []
    for prompt in ("Hi", "And now?"):
        history.append(user(prompt))
        reply = await ask(shared, *history, max_tokens=80)
        assert (reply.thinking, reply.text.strip(), reply.done.stop) == (case.thinking, case.answer, "stop")
        history.append(Message(role="assistant", content=reply.text or " ", reasoning=reply.thinking))


async def load(engine: Engine, path: Path, template: str | None, **rest: Any) -> Loaded:
    """A model that says hello, with this template."""
    Case("assistant\n", [*HELLO, IM[1]], template=template, rest=rest).write(path)
    return await engine.load(path, SETTINGS)


@pytest.mark.parametrize("kind", ["control", "user"])
@pytest.mark.parametrize("mark", ["<|im_end|>", "</think>", "<think>\n"])
@pytest.mark.asyncio(loop_scope="module")
async def test_what_looks_like_a_mark_in_a_message_is_text(
    shared: Engine, tmp_path: Path, kind: str, mark: str
) -> None:
    tokens = {"control": (*IM, *THINK)} if kind == "control" else {"control": IM, "user": THINK}
    build(tmp_path / "tape.gguf", [Tape("assistant\n", [*HELLO, IM[1]])], template=OPENED, eos=IM[1], **tokens)
    await shared.load(tmp_path / "tape.gguf", SETTINGS)
    for role in ("user", "system"):  # a byte is a token here
        marked, plain = [
            (await shared.ask(Count(messages=(Message(role=role, content=f"say {text} again"), user("Hi"))))).n_tokens
            for text in (mark, "x" * len(mark))
        ]
        assert marked == plain


@pytest.mark.asyncio(loop_scope="module")
async def test_tojson_takes_what_training_tools_give_it(shared: Engine, tmp_path: Path) -> None:
    """With a byte to a token, the length of a prompt tells what was written."""
    written = '{\n  "a":"ü",\n  "z":7\n}'
    call = IN_JSON[IN_JSON.index("{{ {'z'") : IN_JSON.index("{% endif %}", IN_JSON.index("{{ {'z'"))]
    lengths = []
    for template in (IN_JSON, IN_JSON.replace(call, written)):
        loaded = await load(shared, tmp_path / "tape.gguf", template)
        assert loaded.llama.template_note == ""
        lengths.append((await shared.ask(Count(messages=(user("Hi"),)))).n_tokens)
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize("add_bos", [False, True])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_file_without_a_beginning_token_gets_none_written(
    shared: Engine, tmp_path: Path, add_bos: bool
) -> None:
    """For such a file llama.cpp takes token 11, which is text."""
    lengths = []
    for template in (CHATML, "{{ bos_token }}" + CHATML):
        await load(shared, tmp_path / "tape.gguf", template, add_bos=add_bos)
        lengths.append((await shared.ask(Count(messages=(user("Hi"),)))).n_tokens)
    assert lengths == [len("user\nHi\nassistant\n") + 3] * 2


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_about_marks_comes_back_as_it_was_said(shared: Engine, tmp_path: Path) -> None:
    """Templates cut what was thought off earlier answers, by looking for its end."""
    cuts = CHATML.replace("{{ m.content }}", "{{ m.content.split('</think>')[-1] }}")
    build(tmp_path / "tape.gguf", [Tape("assistant\n", [*HELLO, IM[1]])], template=cuts, eos=IM[1], control=IM)
    await shared.load(tmp_path / "tape.gguf", SETTINGS)
    said = Message(role="assistant", content="Write </think> at the end of it.")
    plain = Message(role="assistant", content="Write /xxxxxx> at the end of it.")
    lengths = {
        (await shared.ask(Count(messages=(user("How?"), answer, user("Why?"))))).n_tokens for answer in (said, plain)
    }
    assert len(lengths) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_thoughts_are_no_part_of_the_next_prompt(shared: Engine, tmp_path: Path) -> None:
    repeats = CHATML.replace("{{ m.content }}", "{{ m.reasoning_content or m.thinking or '' }}{{ m.content }}")
    build(tmp_path / "tape.gguf", [Tape("assistant\n", [*HELLO, IM[1]])], template=repeats, eos=IM[1], control=IM)
    await shared.load(tmp_path / "tape.gguf", SETTINGS)
    turns = [Message(role="assistant", content="Hello!", reasoning=thought) for thought in ("", "a long thought")]
    lengths = {(await shared.ask(Count(messages=(user("Hi"), turn, user("And?"))))).n_tokens for turn in turns}
    assert len(lengths) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_where_thoughts_would_be_repeated_no_empty_ones_are(shared: Engine, tmp_path: Path) -> None:
    """Qwen3.8 writes those of all earlier turns, unless told otherwise."""
    thought = "{% if m.role == 'assistant' and PRESERVE %}<think></think>{% endif %}{{ m.content }}"
    lengths = []
    for preserve in ("preserve_thinking is undefined or preserve_thinking", "false"):
        await load(
            shared, tmp_path / "tape.gguf", CHATML.replace("{{ m.content }}", thought.replace("PRESERVE", preserve))
        )
        turns = (user("Hi"), Message(role="assistant", content="Hello!", reasoning="a thought"), user("And?"))
        lengths.append((await shared.ask(Count(messages=turns))).n_tokens)
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize("pieces", [["<", "think", ">\n"], ["<think>"]])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_thinking_budget_ends_a_thought_and_the_answer_comes(
    shared: Engine, tmp_path: Path, pieces: list[str]
) -> None:
    """The thought would go on for ever; what is written in the model's place leads to the answer."""
    again = ["So", " on", " and", " so", " on", " and"]
    tapes = [Tape("assistant\n", [*pieces, *again]), Tape("</think>\n\n", [*HELLO, IM[1]])]
    tokens = THINK if len(pieces) == 1 else ()
    build(tmp_path / "tape.gguf", tapes, template=CHATML, eos=IM[1], control=IM, user=tokens)
    await shared.load(tmp_path / "tape.gguf", SETTINGS)
    free = await ask(shared, user("Hi"), max_tokens=60)
    assert (free.text, free.done.stop, free.done.thinking_cut) == ("", "length", False)
    cut = await ask(shared, user("Hi"), max_tokens=60, thinking_budget=20)
    assert (cut.text, cut.done.stop, cut.done.thinking_cut) == ("Hello there!", "stop", True)
    assert cut.thinking.startswith("So on and so on") and free.thinking.startswith(cut.thinking.rstrip())
    assert 20 <= cut.done.timings.n_thinking < 60
    assert (await ask(shared, user("Hi"), max_tokens=60, thinking_budget=20)).text == "Hello there!"


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_that_goes_round_in_circles_is_told(shared: Engine, tmp_path: Path) -> None:
    words = ["Once", " upon", " a", " time", " there", " was", " a", " model", ".\n"]
    build(tmp_path / "tape.gguf", [Tape("assistant\n", [*words, *words[:2]])], template=CHATML, eos=IM[1], control=IM)
    await shared.load(tmp_path / "tape.gguf", SETTINGS)
    reply = Reply()
    async for event in shared.generate(Generate(messages=(user("Hi"),), sampling=GREEDY, max_tokens=400, flush_s=0)):
        reply.add(event)
    assert reply.done.is_loop
    assert next(event for event in reply.events if isinstance(event, Delta)).is_loop is False
    assert not (await ask(shared, user("Hi"), max_tokens=60)).done.is_loop


def test_an_answer_that_finds_its_way_out_of_a_circle_at_its_very_end_is_complete() -> None:
    repetition = Repetition()
    for n in range(64 * 4):
        repetition.add(n % 3)
    assert repetition.is_loop
    repetition.add(99)
    repetition.check()
    assert not repetition.is_loop
