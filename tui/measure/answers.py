"""What the end-to-end answers of a job are made with: what the model's file recommends, the user's settings, and the
chat template and stop strings that were asked for. Tests by token, as llama-bench's, use none of it."""

from __future__ import annotations

import msgspec

from tui.config.modelrules import ChatOverrides, chat_format
from tui.config.problems import ConfigProblem
from tui.config.sampling import resolve
from tui.config.settings import Settings
from tui.measure.bench_plan import BenchJob


def for_answers(job: BenchJob, settings: Settings, given: ChatOverrides) -> tuple[BenchJob, list[ConfigProblem]]:
    """The job with all that, what was `given` on the command line first, and what could not be used of it. The answers
    come without thinking."""
    info = job.model.info
    wanted, problems = chat_format(settings.model, [info.name], job.model.path, given)
    load = msgspec.structs.replace(job.settings, chat_template=wanted.chat_template, stop=wanted.stop)
    chosen = resolve(settings, thinking=False, recommended=info.sampling)
    return msgspec.structs.replace(job, settings=load, sampling=chosen.sampling), problems
