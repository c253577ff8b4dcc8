"""Why a download stands still, as a sentence with what to do."""

from __future__ import annotations

from collections.abc import Mapping

from tui.base import format
from tui.downloads.records import Problem, ProblemKind
from tui.hubs.records import HubName
from tui.words import mark, tr

HUB_NAMES: Mapping[HubName, str] = {"huggingface": "Hugging Face", "modelscope": "ModelScope"}
_BY_KIND: Mapping[ProblemKind, str] = {
    "offline": mark("Offline mode is on (HF_HUB_OFFLINE). Unset it and resume."),
    "unreachable": mark("{hub} cannot be reached: {detail}."),
    "timeout": mark("{hub} did not answer in time."),
    "certificate": mark(
        "The certificate of {hub} is not trusted: {detail}. Check this machine's clock; behind a company's proxy, name "
        "its certificates in SSL_CERT_FILE. Then resume."
    ),
    "proxy": mark("The proxy cannot be used: {detail}. Check HTTPS_PROXY and HTTP_PROXY, then resume."),
    "captive": mark("A web page came instead of the file. Log in to this network in a browser, then resume."),
    "busy": mark("{hub} asks to slow down."),
    "server": mark("{hub} has a problem of its own: {detail}."),
    "gated": mark(
        "{hub} does not give this file to you. Accept the model's terms on its page, set HF_TOKEN to a token of yours, "
        "then resume."
    ),
    "token": mark("{hub} wants a valid token. Set HF_TOKEN, or log in with `hf auth login`, then resume."),
    "not_found": mark("{hub} does not have this file any more. Cancel the download and search for it again."),
    "name": mark("The name {detail} cannot be used for a file here."),
    "protocol": mark("{hub} answered in a way that cannot be used: {detail}. Resume to try again."),
    "disk_full": mark("The disk is full. Make room and resume."),
    "disk": mark("The file cannot be written: {detail}."),
    "sum": mark(
        "What came is not what {hub} lists (the SHA-256 differs), so it was deleted. Resume to fetch it again."
    ),
    "changed": mark("The file on {hub} has changed. Cancel this download and order it again."),
    "taken": mark("Another file has this name: {detail}. Move it away, then resume."),
    "elsewhere": mark("Another llmtui is fetching this file."),
    "process": mark("The process that fetches has ended: {detail}. Resume to start it again."),
}
_WITHOUT_DETAIL: Mapping[ProblemKind, str] = {
    "unreachable": mark("{hub} cannot be reached."),
    "process": mark("The process that fetches has ended. Resume to start it again."),
}
_AGAIN: Mapping[ProblemKind, str] = {
    "process": mark("The process that fetches has ended; it is started again."),
}


def problem_words(problem: Problem, hub: HubName) -> str:
    """One or two sentences, in the language in use. When it is tried again by itself is for whoever shows it."""
    kind, detail = problem.kind, problem.detail
    if kind == "disk_full" and detail.isdecimal():
        return tr(
            "The disk is full: {missing} more are needed. Make room and resume.", missing=format.size(int(detail))
        )
    text = _BY_KIND[kind] if detail else _WITHOUT_DETAIL.get(kind, _BY_KIND[kind])
    if problem.retry_at and kind in _AGAIN:
        text = _AGAIN[kind]
    return tr(text, hub=HUB_NAMES[hub], detail=tr(detail) if detail else "")
