"""Which settings a model is loaded with: the one place that knows the order built-in < user's file < remembered <
command line, and that turns a backend's name into devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from tui.config.overlay import overlay
from tui.config.problems import ConfigProblem
from tui.config.settings import ChosenLoad
from tui.protocol.records import Device, LoadSettings, LoadValues, backend_family
from tui.words.later import later

AUTO = "auto"
CPU = "cpu"


def type_of(name: str) -> Any:
    """The type that `ChosenLoad` gives to its field of this name, with its range."""
    return get_type_hints(ChosenLoad, include_extras=True)[name]


def merge_load(
    defaults: ChosenLoad,
    remembered: Mapping[str, object] | None = None,
    cli: Mapping[str, object] | None = None,
    *,
    state_file: Path | None = None,
) -> tuple[ChosenLoad, list[ConfigProblem]]:
    """`defaults` (built-in and user's file already merged), with what is remembered of this model over them
    (`State.loads.get(path)`), and what the command line said over that (field name to value; None is "not given")."""
    merged, problems = overlay(defaults, remembered or {}, file=state_file, prefix="load.", report_unknown=False)
    given = {key: value for key, value in (cli or {}).items() if value is not None}
    merged, wrong = overlay(merged, given, prefix="command line: ")
    return merged, problems + wrong


def given_fields(defaults: ChosenLoad, remembered: Mapping[str, object], cli: Mapping[str, object]) -> frozenset[str]:
    """Fields of what `merge_load` gives that somebody gave: in the user's file, in the app, on the command line."""
    built_in = ChosenLoad()
    in_file = {name for name in defaults.__struct_fields__ if getattr(defaults, name) != getattr(built_in, name)}
    given = {name for name, value in cli.items() if value is not None}
    return frozenset({*in_file, *remembered, *given})


def engine_settings(choice: ChosenLoad, devices: Sequence[Device]) -> tuple[LoadSettings, ConfigProblem | None]:
    """What the engine is to be asked, on a machine with `devices`.

    A backend that the machine lacks falls back to "auto", and the problem says which ones there are.
    """
    names = backend_devices(choice.backend, devices)
    problem = None
    if names is None:
        have = ", ".join(["cpu", *(device.name for device in devices if device.kind != "cpu")])
        message = later(
            'There is no device "{name}" here, so the backend is chosen automatically. There are: {names}.',
            name=choice.backend,
            names=have,
        )
        problem = ConfigProblem(file=None, key="load.backend", message=message)
        names = auto_devices(devices)
    if choice.split_mode == "none":
        names = names[:1]
    fields = msgspec.structs.asdict(choice)
    del fields["backend"]
    return LoadSettings(devices=names, **fields), problem


def from_engine(settings: LoadSettings) -> ChosenLoad:
    """The way back from `engine_settings`: what is to be remembered of a load."""
    fields: dict[str, Any] = {name: getattr(settings, name) for name in LoadValues.__struct_fields__}
    return ChosenLoad(backend=backend_name(settings.devices), **fields)


def backend_name(devices: Sequence[str]) -> str:
    """The `backend` that stands for these device names: "cpu", "Vulkan0", "CUDA0,CUDA1"."""
    return ",".join(devices) or CPU


def backend_devices(backend: str, devices: Sequence[Device]) -> tuple[str, ...] | None:
    """Names of the devices that `backend` means, none for the CPU; None when one of them is not in `devices`.

    A backend without a number, "vulkan", means what "auto" would take if there were no other backend, and, as it was
    asked for by name, its software devices where it has nothing else.
    """
    wanted = [name.strip().casefold() for name in backend.split(",") if name.strip()]
    if wanted == [CPU]:
        return ()
    if wanted in ([], [AUTO]):
        return auto_devices(devices)
    if len(wanted) == 1:
        named = [
            device for device in devices if backend_family(device.name).casefold() == wanted[0] and device.kind != "cpu"
        ]
        if named:
            return auto_devices(named) or (named[0].name,)
    here = {device.name.casefold(): device.name for device in devices if device.kind != "cpu"}
    names = tuple(here[name] for name in wanted if name in here)
    return names if len(names) == len(wanted) else None


def auto_devices(devices: Sequence[Device]) -> tuple[str, ...]:
    """All GPUs of the kind of the first one with memory of its own, else the first integrated one, else none (the CPU).

    Software devices such as llvmpipe are slower than the CPU itself and are never taken. Two backends that both see one
    GPU ("CUDA0", "Vulkan0") count once: only the first backend's devices are taken.
    """
    own = [device.name for device in devices if device.kind == "gpu"]
    if own:
        return tuple(name for name in own if backend_family(name) == backend_family(own[0]))
    return tuple(device.name for device in devices if device.kind == "igpu")[:1]
