"""Keeps every benchmark in SQLite, whole and with the columns that one searches by. Blocking, with a connection for
each call: nothing stays open, and any number of processes may write. The front ends say what went wrong."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tui.base import private
from tui.base.format import sentences
from tui.chat.schema import (
    NOT_WRITABLE,
    StoreError,
    StoreErrorKind,
    as_store_error,
    check,
    connect,
    connect_to_read,
    migrate,
    opening,
    transaction,
)
from tui.chat.schema import set_aside as put_aside
from tui.measure.report import BenchResult, Comparison, Report
from tui.words import mark, tr

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE runs(
            id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, model_name TEXT NOT NULL, quant TEXT NOT NULL,
            n_params INTEGER NOT NULL, model_path TEXT NOT NULL, file_bytes INTEGER NOT NULL, backend TEXT NOT NULL,
            n_gpu_layers INTEGER NOT NULL, machine TEXT NOT NULL, build TEXT NOT NULL, driver TEXT NOT NULL,
            pp_name TEXT, pp_ts REAL, tg_name TEXT, tg_ts REAL, tests TEXT NOT NULL, report TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX runs_of_model ON runs(model_name, quant, n_params, backend, id)",
    ),
)
"""Statements that lead from version n to n + 1; never edit one that was released: append. `time` is UTC, to the second;
`tests` is a JSON list of the names of all tests, `pp_*` and `tg_*` are the first test that only reads and the first
that only generates; `report` is the whole `Report` as JSON."""

_COLUMNS = (
    *("time", "model_name", "quant", "n_params", "model_path", "file_bytes", "backend", "n_gpu_layers"),
    *("machine", "build", "driver", "pp_name", "pp_ts", "tg_name", "tg_ts", "tests"),
)
_log = logging.getLogger("llmtui.history")
_ADVICE: dict[StoreErrorKind, str] = {
    "full": mark("Free some space."),
    "read_only": mark("Make the file and its folder writable."),
    "locked": mark("Another program holds it."),
    "unreachable": mark("Check the folder."),
    "corrupt": mark("The next benchmark that is kept sets the damaged file aside and begins a new one."),
    "newer_schema": mark("A newer llmtui wrote it: update llmtui."),
}


class HistoryError(Exception):
    """The history could not be read or written."""

    def __init__(self, kind: StoreErrorKind, path: Path, detail: str) -> None:
        super().__init__(kind, path, detail)
        self.kind = kind
        self.path = path
        self.detail = detail
        """SQLite's or the system's own words."""

    def __str__(self) -> str:
        what = tr("the benchmark history failed: {reason} ({file}).", reason=tr(self.detail), file=self.path)
        return sentences(what, tr(_ADVICE[self.kind]) if self.kind in _ADVICE else "")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One kept run in short."""

    id: int
    time: datetime
    """When it began, in UTC."""
    model_name: str
    quant: str
    n_params: int
    model_path: str
    file_bytes: int
    backend: str
    n_gpu_layers: int
    machine: str
    """Name of the CPU."""
    build: str
    """llama.cpp's commit."""
    driver: str
    pp_name: str | None = None
    pp_ts: float | None = None
    tg_name: str | None = None
    tg_ts: float | None = None
    tests: tuple[str, ...] = ()


class History:
    """The kept runs. Every method raises `HistoryError`; a file that does not exist yet holds none.

    history = History(paths.bench_file())
    ids = history.add(comparison)
    before = history.last(comparison.reports[0], before=ids[0])
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 5.0) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self.set_aside: Path | None = None
        """Where a damaged file was put by the `add` that found it."""

    def add(self, comparison: Comparison) -> tuple[int, ...]:
        """Keep each report that has results; their ids, in the same order. A damaged file is set aside first."""
        rows = [_row(report) for report in comparison.reports if report.results]
        if not rows:
            return ()
        names = (*_COLUMNS, "report")
        insert = f"INSERT INTO runs({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        with self._errors(), closing(self._open_or_begin_anew()) as connection, transaction(connection):
            return tuple(int(connection.execute(insert, row).lastrowid or 0) for row in rows)

    def list(self, limit: int = 50) -> tuple[Kept, ...]:
        """The newest runs, the last one first."""
        return tuple(self._kept("ORDER BY id DESC LIMIT ?", limit))

    def get(self, run_id: int) -> Report | None:
        """The whole report; None when there is no such run, or a later llmtui wrote it in a form that is unknown."""
        with self._reading() as connection:
            row = connection and connection.execute("SELECT report FROM runs WHERE id = ?", (run_id,)).fetchone()
        return _readable(row[0]) if row else None

    def reports(self, machine: str, limit: int) -> tuple[Report, ...]:
        """The newest runs whole, the last one first, of the machine with a CPU of this name; those that a later llmtui
        wrote in a form that is unknown are left out."""
        with self._reading() as connection:
            if connection is None:
                return ()
            query = "SELECT report FROM runs WHERE machine = ? ORDER BY id DESC LIMIT ?"
            rows = connection.execute(query, (machine, limit)).fetchall()
        return tuple(report for (raw,) in rows if (report := _readable(raw)) is not None)

    def last(self, report: Report, before: int | None = None) -> Kept | None:
        """The newest run, before the one with the id `before`, of the same model on the same backend that has all
        tests of this report."""
        wanted = {result.test.name for result in report.results}
        model = report.model
        found = self._kept(
            "WHERE model_name = ? AND quant = ? AND n_params = ? AND backend = ? AND id < ? ORDER BY id DESC",
            *(model.name, model.quant, model.n_params, report.backend, before or 2**63 - 1),
        )
        return next((kept for kept in found if wanted <= set(kept.tests)), None)

    def delete(self, run_id: int) -> bool:
        """Forget a run; whether there was one. Its id is not used again."""
        with self._errors():
            if not self.path.exists():
                return False
        with self._errors(), closing(self._open()) as connection, transaction(connection):
            return connection.execute("DELETE FROM runs WHERE id = ?", (run_id,)).rowcount == 1

    def _kept(self, which: str, *values: object) -> Sequence[Kept]:
        with self._reading() as connection:
            if connection is None:
                return ()
            rows = connection.execute(f"SELECT id, {', '.join(_COLUMNS)} FROM runs {which}", values).fetchall()
        return [kept for row in rows if (kept := _as_kept(row)) is not None]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (StoreError, sqlite3.Error, OSError) as error:
            told = as_store_error(error, self.path)
            raise HistoryError(told.kind, self.path, told.detail) from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection, None where nothing was kept yet. A folder that cannot be written is no hindrance."""
        with self._errors():
            if not self.path.exists():
                yield None
                return
            try:
                connection = self._open()
            except (StoreError, sqlite3.Error, OSError) as error:
                if as_store_error(error, self.path).kind not in NOT_WRITABLE:
                    raise
                if self.path.is_file() and not self.path.stat().st_size:  # it could not even be begun
                    yield None
                    return
                connection = connect_to_read(self.path)
            with closing(connection):
                # A text that is damaged is no reason to lose the others.
                connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
                yield connection

    def _open_or_begin_anew(self) -> sqlite3.Connection:
        private.folder(self.path.parent)
        with opening(self.path, self._busy_timeout_s):
            private.make_file(self.path)
            try:
                return self._open(is_checked=True)
            except (StoreError, sqlite3.Error) as error:
                if as_store_error(error, self.path).kind != "corrupt":
                    raise
                self.set_aside = put_aside(self.path)
                private.make_file(self.path)
                return self._open()

    def _open(self, *, is_checked: bool = False) -> sqlite3.Connection:
        connection = connect(self.path, self._busy_timeout_s)
        try:
            if is_checked:
                check(connection, self.path)
            migrate(connection, self.path, MIGRATIONS)
        except (StoreError, sqlite3.Error):
            connection.close()
            raise
        return connection


def _readable(raw: str) -> Report | None:
    try:
        return _report(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _report(raw: str) -> Report:
    """A kept report; of an older form too, in which all facts of a load stand side by side."""
    told = msgspec.json.decode(raw)
    if isinstance(told, dict) and isinstance(loaded := told.get("loaded"), dict):
        loaded.setdefault("llama", loaded)
    return msgspec.convert(told, Report)


def _row(report: Report) -> tuple[object, ...]:
    model, prefill, decode = report.model, report.prefill, report.decode
    return (
        report.results[0].test_time.astimezone(UTC).isoformat(timespec="seconds"),
        *(model.name, model.quant, model.n_params, str(Path(report.loaded.path).absolute()), model.file_bytes),
        *(report.backend, report.loaded.llama.n_gpu_layers),
        *(report.machine.cpu, report.hello.build_commit, report.machine.gpu_driver),
        *(*_name_and_mean(prefill), *_name_and_mean(decode)),
        msgspec.json.encode([result.test.name for result in report.results]).decode(),
        msgspec.json.encode(report).decode(),
    )


def _name_and_mean(result: BenchResult | None) -> tuple[str | None, float | None]:
    return (result.test.name, result.avg_ts) if result else (None, None)


def _as_kept(row: Sequence[object]) -> Kept | None:
    """The run of a row; None, and a word in the log, when damage or another program left there what is none."""
    told = dict(zip(("id", *_COLUMNS), row, strict=True))
    try:
        return msgspec.convert({**told, "tests": msgspec.json.decode(str(told["tests"]))}, Kept)
    except (msgspec.MsgspecError, RecursionError) as error:
        _log.warning("run %s of the benchmark history cannot be read and is left out: %s", told["id"], error)
        return None
