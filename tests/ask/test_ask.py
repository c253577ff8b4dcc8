"""`llmtui ask` from outside, with the real engine and tiny models: answers, what is saved, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import DENSE
from tests.endless import endless
from tests.patience import PATIENCE_S
from tests.running import COMMAND, llmtui, on_terminal, plain
from tests.tape import CHATML, IM, Tape, build
from tui.base.exit_codes import ExitCode
from tui.chat.conversation import Conversation
from tui.chat.store import Store
from tui.config import paths
from tui.config.presets import Preset, write_preset
from tui.protocol.records import AnswerFormat

HELLO = "Hello! I am Tiny Qwen. How can I help you today?"
THOUGHT = "The user greets me. I should greet them back and offer help."
TINY = ("-m", str(DENSE), "--temp", "0", "-t", "1")


def saved() -> list[Conversation]:
    """All conversations, the one used last first."""

    async def read() -> list[Conversation]:
        store = Store(paths.database_file())
        await store.start()
        found = [await store.open(one.id) for one in await store.list()]
        await store.close()
        return found

    return asyncio.run(read()) if paths.database_file().exists() else []


def piped(text: str | bytes, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run the command with this on its stdin."""
    data = text.encode() if isinstance(text, str) else text
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=PATIENCE_S)


@contextmanager
def asking(model: Path, *options: str, **streams: int) -> Iterator[subprocess.Popen[bytes]]:
    """A command that answers until it is stopped."""
    command = [*COMMAND, "ask", "go on", "-m", str(model), "-t", "1", "--temp", "0", *options]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def endless_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "endless.gguf"
    endless(path, layers=100)
    return path


def test_an_answer_goes_to_stdout_and_its_conversation_is_saved_and_goes_on(home: Path) -> None:
    done = llmtui("ask", "hello", *TINY)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.FINE, f"{HELLO}\n", "")
    (conversation,) = saved()
    assert [(turn.role, turn.text) for turn in conversation.turns] == [("user", "hello"), ("assistant", HELLO)]
    assert conversation.turns[1].reasoning == THOUGHT and conversation.title == "hello"
    # Nothing else is remembered: what the app loads next, and what it keeps of contexts, is as it was.
    assert not paths.state_file().exists() and not paths.contexts_dir().exists()

    more = piped("hello\n", "ask", "--continue", "--think", "off", "--json")
    assert more.returncode == ExitCode.FINE and more.stderr == b""
    answer = json.loads(more.stdout)
    assert answer["answer"] and (answer["thinking"], answer["stop"]) == ("", "stop")
    assert (answer["conversation"], answer["path"]) == (conversation.id, str(DENSE))
    assert answer["n_prompt"] > 13 and answer["backend"] == ["CPU"]
    (conversation,) = saved()
    assert [turn.text for turn in conversation.turns[2:]] == ["hello", answer["answer"]]


def test_nothing_is_saved_where_that_is_asked_for_and_thoughts_are_shown_where_they_are(home: Path) -> None:
    done = llmtui("ask", "hello", *TINY, "--no-save", "--think", "show")
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.FINE, f"{HELLO}\n", f"{THOUGHT}\n")
    assert not paths.database_file().exists() and not paths.state_file().exists()


def test_how_tokens_are_chosen_is_said_on_the_command_line() -> None:
    done = llmtui("ask", "hello", *TINY, "--think", "off", "--logit-bias", "H=-100", "--logit-bias", "!!?=2")
    assert done.returncode == ExitCode.FINE and done.stdout and not done.stdout.startswith("H")
    assert '"!!?" is not one token of this model' in done.stderr
    (conversation,) = saved()
    assert conversation.sampling is not None
    assert conversation.sampling.given == {"temperature": 0.0, "logit_bias": {"H": -100.0, "!!?": 2.0}}


def test_an_answer_is_in_the_format_of_a_file(tmp_path: Path) -> None:
    schema, grammar = tmp_path / "schema.json", tmp_path / "yes-or-no.gbnf"
    schema.write_text('{"properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}')
    grammar.write_text('root ::= "yes" | "no"')
    done = llmtui("ask", "hello", *TINY, "--schema", str(schema), "--json")
    record = json.loads(done.stdout)
    assert isinstance(json.loads(record["answer"])["ok"], bool) and record["is_complete"]
    assert record["thinking"] == THOUGHT
    # The conversation keeps it.
    again = llmtui("ask", "hello", *TINY, "--continue")
    assert isinstance(json.loads(again.stdout)["ok"], bool)
    done = llmtui("ask", "hello", *TINY, "--grammar", str(grammar), "--no-save")
    assert done.stdout in ("yes\n", "no\n") and done.stderr == ""


def test_a_preset_says_how_to_ask_and_options_go_before_it() -> None:
    yes = AnswerFormat(kind="gbnf", text='root ::= "yes"')
    write_preset(paths.presets_dir(), Preset(name="yes", answer_format=yes, thinking=False, model=str(DENSE)))
    done = llmtui("ask", "hello", "--preset", "yes", "-t", "1", "--system", "Be brief.")
    assert (done.returncode, done.stdout) == (ExitCode.FINE, "yes\n")
    (conversation,) = saved()
    assert (conversation.preset, conversation.system_prompt, conversation.thinking) == ("yes", "Be brief.", False)
    wrong = llmtui("ask", "hello", "--preset", "no")
    assert wrong.returncode == ExitCode.USAGE and "There are: yes." in wrong.stderr
    paths.user_settings_file().write_text('[chat]\npreset = "yes"\n')
    assert llmtui("ask", "hello", *TINY).stdout == "yes\n"
    assert llmtui("ask", "hello", *TINY, "--preset", "").stdout == f"{HELLO}\n"


def test_a_format_that_is_not_kept_is_said(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "string", "minLength": 500}')
    cut = llmtui("ask", "hello", *TINY, "--schema", str(schema), "--max-tokens", "30", "--think", "off")
    assert cut.stdout.startswith('"')
    assert "ended before it was complete" in cut.stderr
    schema.write_text('{"type": "number", "minimum": 1}')
    refused = llmtui("ask", "hello", *TINY, "--schema", str(schema))
    assert refused.returncode == ExitCode.USAGE and '"minimum" at #' in refused.stderr and refused.stdout == ""
    missing = llmtui("ask", "hello", *TINY, "--schema", str(tmp_path / "none.json"))
    assert missing.returncode == ExitCode.USAGE and "none.json: No such file or directory." in missing.stderr
    assert len(saved()) == 1


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--top-k", "-1", "'-1' is not a whole number of 0 or more"),
        ("--min-p", "2", "'2' is not a number from 0 to 1"),
        ("--dry-base", "x", "'x' is not a number from 1 to 100"),
        ("--logit-bias", "Hello", "'Hello' is not a token and a number from -100 to 100"),
        ("--logit-bias", "Hello=-101", "'Hello=-101' is not a token and a number"),
    ],
    ids=str,
)
def test_a_wrong_value_of_sampling_is_refused(option: str, value: str, said: str) -> None:
    done = llmtui("ask", "hello", *TINY, f"{option}={value}")
    assert done.returncode == ExitCode.USAGE and said in done.stderr


def test_a_pipe_and_files_follow_the_question(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("```\ncode\n```\n")
    assert piped("- a\n+ b\n", "ask", "review", "this", "-f", notes, *TINY, "--max-tokens", "2").returncode == 0
    (conversation,) = saved()
    (asked, _) = conversation.turns
    assert asked.text == "review this\n\n```\n- a\n+ b\n```"
    assert [(file.name, file.text) for file in asked.files] == [(str(notes), "```\ncode\n```\n")]
    assert asked.content == f"{notes}:\n````\n```\ncode\n```\n````\n\n{asked.text}"


def test_a_prompt_that_does_not_fit_is_told_before_it_is_read_and_leaves_nothing(tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    large.write_text("one more line\n" * 500)
    done = llmtui("ask", "Why?", "-f", large, *TINY, "--ctx", "512")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "Nothing was read: the prompt has " in done.stderr and "the context only 512." in done.stderr
    assert "give --ctx" in done.stderr and saved() == []


def test_a_context_that_nobody_chose_grows_with_the_question(tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    large.write_text("one more line\n" * 300)
    own = tmp_path / "own.toml"
    own.write_text("[load]\nn_ctx = 512\n")
    done = llmtui("ask", "Why?", "-f", large, *TINY, "--settings", own, "--max-tokens", "2", "--json")
    assert done.returncode == ExitCode.FINE, done.stderr
    assert json.loads(done.stdout)["n_prompt"] > 512


def test_a_load_that_leaves_too_little_memory_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[memory]\nreserve_gib = 60000.0\n")
    done = llmtui("ask", "hello", *TINY, "--settings", own)
    assert (done.returncode, done.stdout) == (ExitCode.MODEL, "")
    assert "free in RAM" in done.stderr and "--force loads it anyway." in done.stderr
    assert llmtui("ask", "hello", *TINY, "--settings", own, "--force").stdout == f"{HELLO}\n"


def test_what_was_answered_before_an_interruption_is_shown_and_saved(endless_model: Path) -> None:
    with asking(endless_model) as process:
        assert process.stdout and process.stderr
        begun = process.stdout.read(100)
        process.send_signal(signal.SIGINT)
        out, told = begun + process.stdout.read(), process.stderr.read()
        assert process.wait(PATIENCE_S) == ExitCode.INTERRUPTED
    assert told == b"llmtui: interrupted.\n"
    (conversation,) = saved()
    answer = conversation.turns[1]
    assert answer.stop == "cancelled" and answer.text.strip() == out.decode().strip()


def test_a_reader_who_leaves_ends_the_answer(endless_model: Path) -> None:
    with asking(endless_model) as process:
        assert process.stdout and process.stderr
        process.stdout.read(100)
        (engine,) = psutil.Process(process.pid).children()
        process.stdout.close()
        assert process.wait(PATIENCE_S) == ExitCode.FINE and process.stderr.read() == b""
    assert not engine.is_running()
    (conversation,) = saved()
    assert conversation.turns[1].stop == "cancelled" and len(conversation.turns[1].text) >= 100


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_who_does_not_read_keeps_nothing_from_ending(options: tuple[str, ...]) -> None:
    theirs, ours = os.pipe()
    os.set_blocking(ours, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(ours, bytes(1 << 12)):
            continue
    os.set_blocking(ours, True)
    with asking(DENSE, *options, stdout=ours) as process:
        assert process.stderr
        children: list[psutil.Process] = []
        while not children:
            children = psutil.Process(process.pid).children()
        psutil.wait_procs(children, timeout=PATIENCE_S)  # there is an answer
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == ExitCode.INTERRUPTED
        assert process.stderr.read() == b"llmtui: interrupted.\n"
    os.close(ours)
    os.close(theirs)


def test_an_engine_that_dies_leaves_what_it_has_answered(endless_model: Path) -> None:
    with asking(endless_model) as process:
        assert process.stdout and process.stderr
        begun = process.stdout.read(100)
        psutil.Process(process.pid).children()[0].kill()
        out, told = begun + process.stdout.read(), process.stderr.read()
        assert process.wait(PATIENCE_S) == ExitCode.ENGINE
    assert b"the engine stopped (SIGKILL)" in told
    (conversation,) = saved()
    assert conversation.turns[1].stop == "crashed" and conversation.turns[1].text.strip() == out.decode().strip()


def test_a_full_disk_is_told_and_closed_streams_are_no_trouble() -> None:
    with Path("/dev/full").open("wb") as full, asking(DENSE, stdout=full.fileno()) as process:
        assert process.stderr
        assert process.stderr.read() == b"llmtui: cannot write to stdout: No space left on device.\n"
        assert process.wait(PATIENCE_S) == ExitCode.UNWRITTEN
    closed = f"{' '.join(COMMAND)} ask hello {' '.join(TINY)} <&- 2>&-"
    done = subprocess.run(["sh", "-c", closed], stdout=subprocess.PIPE, text=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout) == (ExitCode.FINE, f"{HELLO}\n")


def test_a_terminal_gets_progress_and_nothing_that_it_would_obey(tmp_path: Path) -> None:
    model = tmp_path / "evil.gguf"
    tape = Tape("assistant\n", ["red", "\x1b", "[31m", " alert", IM[1]])
    build(model, [tape], control=IM, eos=IM[1], template=CHATML, name="Evil")
    with on_terminal("ask", "hello", "-m", model, "-t", "1", "--temp", "0") as running:
        code, _ = running.end()
    assert code == ExitCode.FINE and "loading Evil" in running.seen
    assert plain(running.seen).endswith("red␛[31m alert\r\n")
    # A pipe gets the text as the model wrote it.
    assert llmtui("ask", "hello", "-m", model, "-t", "1", "--temp", "0").stdout == "red\x1b[31m alert\n"


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("ask",), b"", "say what to ask: llmtui ask"),
        (("ask", "-f", str(DENSE)), b"", "say what to ask about the files"),
        (("ask", "hi"), b"\x89PNG\0", "what is piped in: this is not text."),
        (("ask", "hi", "--continue"), b"", "There is no conversation to go on with"),
        (("ask", "hi", "-m", str(DENSE), "--backend", "npu7"), b"", "--backend npu7: there is no such device here."),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_to_do(arguments: tuple[str, ...], stdin: bytes, said: str) -> None:
    done = piped(stdin, *arguments)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, b"")
    assert said in done.stderr.decode()
    assert not os.path.lexists(paths.state_file())


def test_a_pipe_that_does_not_end_is_waited_for_with_a_word() -> None:
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [*COMMAND, "ask", "hello"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        said = b""
        while b"waiting for the end of what is piped in" not in said:
            said += os.read(ours, 4096)
        process.kill()
    os.close(ours)
