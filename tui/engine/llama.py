"""One loaded model and its context over the low-level llama.cpp API: load, decode, sample, token text.
Runs in the engine process only and knows neither the wire nor conversations."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tui.base.oserrors import about
from tui.base.splitfile import part_of
from tui.engine import anatomy, footprint
from tui.engine.abort import Aborted, AbortSwitch
from tui.engine.batch import Batch
from tui.engine.biases import token_biases
from tui.engine.bindings import lib
from tui.engine.contextmemory import ContextMemory
from tui.engine.draftmodel import DraftModel
from tui.engine.llamalog import LOG, LlamaError, open_model
from tui.engine.pagecache import read_ahead
from tui.engine.params import UnknownDevice, context_params, model_params, n_outputs
from tui.engine.prompt import ChatPrompt
from tui.engine.sampler import Sampler
from tui.engine.template_host import TemplateHost
from tui.engine.threadpool import CannotPlace, ThreadPool, pool_for, spread, stand_as_before
from tui.engine.vocabulary import Vocabulary
from tui.planning.draftload import draft_path
from tui.planning.snapshots import n_snapshots
from tui.protocol import loadlog
from tui.protocol.messages import Loaded
from tui.protocol.records import LlamaLoad, LoadSettings, Placed, Sampling
from tui.words.later import later


class Session:
    """A model with one context; but for `decode_batch`, of one sequence. Not thread-safe except for `abort`.

    Raises `LlamaError` from the constructor when it cannot be loaded and `Aborted` when `abort` was set meanwhile.
    `on_progress` gets fractions from 0 to 1.
    """

    def __init__(
        self,
        path: Path,
        settings: LoadSettings,
        abort: AbortSwitch,
        on_progress: Callable[[float], None],
        templates: TemplateHost | None = None,
    ) -> None:
        """`templates` is what another session has left, which saves the start of a process."""
        started = time.perf_counter()
        before = footprint.Before()
        self.abort = abort
        self._model: int | None = None
        self._context: int | None = None
        self._pool: ThreadPool | None = None
        self._keep: list[object] = []
        self.draft: DraftModel | None = None
        """A small model that guesses what this one writes."""
        self._templates = templates or TemplateHost()  # gets ready while the model loads
        self._templates.check = self.raise_if_aborted
        try:
            print(f"{loadlog.LOADING}{path.name!r}", file=sys.stderr)
            stand_as_before()
            with LOG.step() as lines:
                self._load_model(path, settings, on_progress)
                self._create_context(settings)
            self.vocabulary = self._open_vocabulary()
            self.memory = ContextMemory(self._model, self._context, swa_full=settings.swa_full == "on")
            self._tokens = (lib.llama_token * int(lib.llama_n_batch(self._context)))()
            self._single = lib.llama_batch_get_one(self._tokens, 1)
            self.n_outputs = min(n_outputs(settings), max(settings.n_parallel, self.memory.n_rollback + 1))
            """Tokens decoded at once, the logits of all of which can be had, and all but the first taken back."""
            self._all = (ctypes.c_int8 * self.n_outputs)(*([1] * self.n_outputs))
            self.n_ctx = int(lib.llama_n_ctx_seq(self._context))
            self.rope = f"{loadlog.rope(lines)}{' long' if self._is_long_rope() else ''}"
            self.n_parallel = int(lib.llama_n_seq_max(self._context))
            self.n_batch = int(lib.llama_n_batch(self._context))
            self.n_ubatch = int(lib.llama_n_ubatch(self._context))
            source = self._template_source()
            name = self._metadata("general.name")
            self.chat = ChatPrompt(self.vocabulary, source, self._templates, settings.chat_template, name)
            self.stops = settings.stop
            """Texts that end an answer, beside what the chat format says."""
            self._warm_up()
            if (draft := draft_path(settings)) is not None:
                self._load_draft(draft, settings)
        except BaseException:
            self.close()
            raise
        load_s = time.perf_counter() - started
        placed = self._placed(settings, lines)
        told = self._describe(path, settings, lines, placed, load_s)
        self.mapped_bytes = sum(place.mapped_bytes for place in placed)
        """Of the weights, what lies in pages of the file."""
        llama = msgspec.structs.replace(told.llama, footprint=before.after(placed))
        self.loaded = msgspec.structs.replace(told, llama=llama)

    def _load_model(self, path: Path, settings: LoadSettings, on_progress: Callable[[float], None]) -> None:
        def read_progress(fraction: float) -> bool:
            on_progress(fraction * 0.5)
            return not self.abort.is_set

        def load_progress(fraction: float, _user_data: object) -> bool:
            on_progress(0.5 + fraction * 0.5)
            return not self.abort.is_set

        try:
            # With NUMA, the threads that compute are to bring each page into their own node.
            if settings.use_mmap and settings.numa == "off" and not read_ahead(part_of(path)[1], read_progress):
                raise Aborted
        except OSError as error:
            raise LlamaError("model_unreadable", about(str(error.filename or path), error)) from error
        try:
            spread(settings.numa)
            params = model_params(settings, self._keep)
        except (UnknownDevice, CannotPlace) as error:
            raise LlamaError("bad_settings", error.why) from error
        callback = lib.llama_progress_callback(load_progress)
        params.progress_callback = callback
        self._keep.append(callback)
        self._model = open_model(path, params)
        if not self._model:
            if self.abort.is_set:
                raise Aborted
            raise LOG.error("llama.cpp gave no reason")

    def _create_context(self, settings: LoadSettings) -> None:
        params = context_params(settings)
        params.n_rs_seq = n_snapshots(self._metadata("general.architecture"), settings)
        params.abort_callback, params.abort_callback_data = self.abort.callback, self.abort.data
        self._context = lib.llama_init_from_model(self._model, params)
        if not self._context:
            raise LOG.error("llama.cpp could not create the context")
        self._pool = pool_for(self._context, settings)
        if self._pool is not None:
            self._pool.provide(max(self.n_threads))

    def _open_vocabulary(self) -> Vocabulary:
        print(f"{loadlog.READING} the vocabulary", file=sys.stderr)
        pointer = lib.llama_model_get_vocab(self._model)
        if lib.llama_vocab_type(pointer) == lib.LLAMA_VOCAB_TYPE_NONE:
            raise LlamaError("model_refused", later("It has no vocabulary, so it can neither read nor write."))
        return Vocabulary(pointer)

    def _warm_up(self) -> None:
        """Run one token through, so that weights are in memory and shaders compiled before the first question."""
        print(f"{loadlog.COMPUTING} the first token", file=sys.stderr)
        lib.llama_set_warmup(self._context, True)
        try:
            vocabulary = self.vocabulary
            self.decode([vocabulary.bos if vocabulary.bos >= 0 else max(vocabulary.eos, 0)])
            self.synchronize()
            if self.abort.is_set:  # a GPU does not notice
                raise Aborted
        finally:
            lib.llama_set_warmup(self._context, False)
            self.memory.clear()

    def _load_draft(self, path: Path, settings: LoadSettings) -> None:
        self.draft = DraftModel(path, settings, self.abort, self.vocabulary)
        self.draft.expect(int(lib.llama_model_size(self._model)))
        if self._pool is not None and self.draft.context is not None:
            self._pool.share(self.draft.context)

    def _is_long_rope(self) -> bool:
        """LongRoPE (Phi-3, MiniCPM) has two sets of rotations: this context is too long for that of short ones."""
        architecture = self._metadata("general.architecture")
        kind = self._metadata(f"{architecture}.rope.scaling.type")
        original = self._metadata(f"{architecture}.rope.scaling.original_context_length")
        # Phi-3 names no type. The others that know an original length scale all contexts alike.
        return kind in ("", "longrope") and original.isdecimal() and self.n_ctx > int(original)

    def _metadata(self, key: str) -> str:
        """An entry of the model file as text; "" where there is none."""
        value = ctypes.create_string_buffer(128)
        found = lib.llama_model_meta_val_str(self._model, key.encode(), value, len(value))
        return value.value.decode("utf-8", "replace") if found >= 0 else ""

    def _template_source(self) -> str:
        raw = lib.llama_model_chat_template(self._model, None)
        return raw.decode("utf-8", "replace") if raw else ""

    def _describe(
        self, path: Path, settings: LoadSettings, lines: Sequence[str], placed: Sequence[Placed], load_s: float
    ) -> Loaded:
        text = ctypes.create_string_buffer(256)
        lib.llama_model_desc(self._model, text, len(text))
        n_layers = int(lib.llama_model_n_layer(self._model)) + 1
        n_gpu_layers = loadlog.n_offloaded(lines) if settings.devices else 0
        flash = loadlog.flash_attention(lines)
        type_k, type_v = loadlog.cache_types(lines) or (settings.type_k, settings.type_v)
        buffers = loadlog.buffers(lines)
        holding = {place.device for place in placed if place.weights_bytes}
        if not placed:
            holding = {buffer.device for buffer in buffers if buffer.purpose == "weights"}
        llama = LlamaLoad(
            n_layers=n_layers,
            n_gpu_layers=n_gpu_layers,
            devices=tuple(name for name in settings.devices if name in holding) if n_gpu_layers else (),
            n_cpu_moe=settings.n_cpu_moe if n_gpu_layers else 0,
            n_batch=self.n_batch,
            n_ubatch=self.n_ubatch,
            n_threads=self.n_threads[0],
            n_threads_batch=self.n_threads[1],
            flash_attn=settings.flash_attn == "on" if flash is None else flash,
            swa_full=bool(self.memory.window) and settings.swa_full == "on",
            type_k=type_k,
            type_v=type_v,
            buffers=buffers,
            n_drafts=self.n_outputs - settings.n_parallel,
            draft=str(self.draft.path) if self.draft else "",
            mlock_failed=settings.use_mlock and loadlog.lock_failed(lines),
            priority_refused=self._pool is not None and self._pool.was_refused,
            template_note=self.chat.note,
        )
        return Loaded(
            path=str(path),
            description=text.value.decode("utf-8", "replace"),
            n_params=int(lib.llama_model_n_params(self._model)),
            size_bytes=int(lib.llama_model_size(self._model)),
            n_ctx=self.n_ctx,
            n_ctx_train=int(lib.llama_model_n_ctx_train(self._model)),
            load_s=load_s,
            can_think=self.chat.format.can_think,
            can_switch_thinking=self.chat.format.switch.has_effect,
            always_thinks=self.chat.format.always_thinks,
            efforts=self.chat.format.switch.efforts,
            llama=llama,
        )

    def _placed(self, settings: LoadSettings, lines: Sequence[str]) -> tuple[Placed, ...]:
        """What lies where, by llama.cpp's books; empty where they cannot be read."""
        output = sum(buffer.n_bytes for buffer in loadlog.buffers(lines) if buffer.purpose == "output")
        if self._model is None or self._context is None:
            return ()
        try:
            placed = anatomy.placed(self._model, self._context, output, mapped=settings.use_mmap)
            return anatomy.together(placed, self.draft.placed(mapped=settings.use_mmap) if self.draft else ())
        except anatomy.BooksUnreadable as error:
            print(f"llmtui: {error}", file=sys.stderr)
            return ()

    def raise_if_aborted(self) -> None:
        """Raises `Aborted` where what is computed is to stop."""
        if self.abort.is_set:
            raise Aborted

    def close(self) -> None:
        """Free all. Safe to call twice."""
        self.leave_templates().close()

    def leave_templates(self) -> TemplateHost:
        """Free context and model; what renders templates is for the next session."""
        if self._pool is not None:
            self._pool.close()
        if self.draft is not None:
            self.draft.close()
        if self._context:
            lib.llama_free(self._context)
        if self._model:
            lib.llama_model_free(self._model)
        self._context = self._model = None
        return self._templates

    # Computing --------------------------------------------------------------------------------------------------------

    def decode(self, tokens: Sequence[int], *, wants_all: bool = False) -> None:
        """Evaluate up to `n_batch` tokens behind what the KV cache holds; logits of the last one are kept, with
        `wants_all` those of each of up to `n_outputs`.

        Raises `Aborted`, and `LlamaError` when the context is full or llama.cpp failed.
        """
        n = len(tokens)
        self._tokens[:n] = tokens
        batch = lib.llama_batch_get_one(self._tokens, n)
        if wants_all:
            batch.logits = ctypes.cast(self._all, type(batch.logits))
        self._decode(batch)

    def decode_one(self, token: int) -> None:
        """As `decode`, for each token of an answer: nothing is made anew."""
        self._tokens[0] = token
        self._decode(self._single)

    def decode_batch(self, batch: Batch) -> None:
        """Evaluate tokens of several sequences together, `n_batch` at a time. Raises as `decode` does."""
        for part in batch.parts(self.n_batch):
            self._decode(part)

    def _decode(self, batch: Any) -> None:
        status = lib.llama_decode(self._context, batch)
        if status != 0:
            raise self.failure(status, batch.n_tokens)

    def failure(self, status: int, n_tokens: int) -> Aborted | LlamaError:
        """What a result of `llama_decode` for so many tokens, not 0, means."""
        if status == 2 or self.abort.is_set:
            return Aborted()
        if status == 1:
            return LlamaError("decode", later("the KV cache has no room for {n} more tokens", n=str(n_tokens)))
        detail = LOG.why(f"llama_decode returned {status}")
        return LlamaError("out_of_memory" if loadlog.failure(detail) == "out_of_memory" else "decode", detail)

    def synchronize(self) -> None:
        """Wait until everything asked for is computed."""
        lib.llama_synchronize(self._context)

    @property
    def n_threads(self) -> tuple[int, int]:
        """Threads that compute: for decode and for prompts."""
        return int(lib.llama_n_threads(self._context)), int(lib.llama_n_threads_batch(self._context))

    @contextlib.contextmanager
    def threads(self, n: int, n_batch: int = 0) -> Iterator[None]:
        """Compute with `n` threads inside the `with` block, prompts with `n_batch` or as many; 0 changes nothing."""
        before = self.n_threads
        if n:
            if self._pool is not None:
                self._pool.provide(max(n, n_batch))
            lib.llama_set_n_threads(self._context, n, n_batch or n)
        try:
            yield
        finally:
            lib.llama_set_n_threads(self._context, *before)

    @contextlib.contextmanager
    def whole_steps(self) -> Iterator[None]:
        """Inside the `with` block, cancelling waits for the end of what is being decoded, where the memory could not go
        back to before it. For steps of a few tokens."""
        if not self.memory.is_recurrent:
            yield
            return
        lib.llama_set_abort_callback(self._context, lib.ggml_abort_callback(), None)
        try:
            yield
        finally:
            lib.llama_set_abort_callback(self._context, self.abort.callback, self.abort.data)

    @property
    def context(self) -> int | None:
        """llama.cpp's context, for those who call it themselves."""
        return self._context

    @property
    def n_vocab(self) -> int:
        return self.vocabulary.n_tokens

    @functools.cached_property
    def token_kinds(self) -> bytes:
        """What each token does to a run of the token loop; see `ChatPrompt.token_kinds`."""
        return self.chat.token_kinds(self.stops)

    def sampler(
        self, sampling: Sampling, seed: int, grammar: str = "", openings: frozenset[int] = frozenset()
    ) -> Sampler:
        """A sampler chain for one answer, which keeps to a `grammar` if there is one. Raises `LlamaError` for a wrong
        grammar; `openings` are as `ConstrainedSampler` has them."""
        biases, _ = token_biases(self.vocabulary, sampling.logit_bias)
        if not grammar:
            return Sampler(self._context, self.vocabulary, sampling, seed, biases)
        from tui.engine.constrained import ConstrainedSampler  # brings numpy, which takes long to import

        return ConstrainedSampler(
            self._context, self.vocabulary, sampling, seed, biases, grammar=grammar, openings=openings
        )

    def take_over(self, sampler: Sampler) -> Sampler:
        """A sampler that goes on here where that one is, of this session or one of the same model."""
        return sampler.copy(self._context, self.vocabulary)
