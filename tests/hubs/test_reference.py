"""What people type and paste to name a model on a hub."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.hubs.interface import HubError
from tui.hubs.reference import Reference, is_reference, parse_reference
from tui.hubs.safe_names import is_safe_path, is_safe_repo

QWEN = "Qwen/Qwen3-4B-GGUF"
FILE = "Qwen3-4B-Q4_K_M.gguf"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (QWEN, Reference(name=QWEN)),
        (f"  '{QWEN}' ", Reference(name=QWEN)),
        (f"“{QWEN}:Q8_0”", Reference(name=QWEN, label="Q8_0")),
        (f"{QWEN}:UD-Q4_K_XL", Reference(name=QWEN, label="UD-Q4_K_XL")),
        (f"{QWEN}:sub/plain", Reference(name=QWEN, label="sub/plain")),
        (f"{QWEN}@v1.0:Q8_0", Reference(name=QWEN, label="Q8_0", revision="v1.0")),
        (f"{QWEN}/sub/{FILE}", Reference(name=QWEN, path=f"sub/{FILE}")),
        (f"llama-server -hf {QWEN}:Q4_K_M", Reference(name=QWEN, label="Q4_K_M")),
        (f"ollama run hf.co/{QWEN}:Q4_K_M", Reference(hub="huggingface", name=QWEN, label="Q4_K_M")),
        (f"https://huggingface.co/{QWEN}", Reference(hub="huggingface", name=QWEN)),
        (f"HTTPS://WWW.HuggingFace.co/{QWEN}/?library=x#files", Reference(hub="huggingface", name=QWEN)),
        (f"https://huggingface.co/{QWEN}/discussions/3", Reference(hub="huggingface", name=QWEN)),
        (f"https://huggingface.co/{QWEN}.git", Reference(hub="huggingface", name=QWEN)),
        (f"https://hf-mirror.com/{QWEN}/tree/main", Reference(hub="huggingface", name=QWEN, revision="main")),
        (
            f"https://huggingface.co/{QWEN}/blob/refs%2Fpr%2F1/a%20b/{FILE}?download=true",
            Reference(hub="huggingface", name=QWEN, revision="refs/pr/1", path=f"a b/{FILE}"),
        ),
        (
            f"https://huggingface.co/{QWEN}/resolve/main/{FILE}",
            Reference(hub="huggingface", name=QWEN, revision="main", path=FILE),
        ),
        (
            f"https://huggingface.co/{QWEN}?show_file_info={FILE}",
            Reference(hub="huggingface", name=QWEN, path=FILE),
        ),
        (f"hf://{QWEN}@abc/{FILE}", Reference(hub="huggingface", name=QWEN, revision="abc", path=FILE)),
        (f"hf://models/{QWEN}", Reference(hub="huggingface", name=QWEN)),
        (f"ms://{QWEN}:Q4_K_M", Reference(hub="modelscope", name=QWEN, label="Q4_K_M")),
        (f"modelscope.cn/models/{QWEN}", Reference(hub="modelscope", name=QWEN)),
        (f"https://www.modelscope.cn/models/{QWEN}/files?version=master", Reference(hub="modelscope", name=QWEN)),
        (
            f"https://modelscope.cn/models/{QWEN}/file/view/master/{FILE}?status=2",
            Reference(hub="modelscope", name=QWEN, revision="master", path=FILE),
        ),
        (
            f"https://modelscope.cn/models/{QWEN}/resolve/master/{FILE}",
            Reference(hub="modelscope", name=QWEN, revision="master", path=FILE),
        ),
        (
            f"https://modelscope.cn/api/v1/models/{QWEN}/repo?Revision=master&FilePath={FILE}",
            Reference(hub="modelscope", name=QWEN, path=FILE),
        ),
    ],
)
def test_it_is_understood_as_it_was_meant(written: str, meant: Reference) -> None:
    assert parse_reference(written) == meant


HF, MS = (f"hf://{QWEN}", f"ms://{QWEN}")


@pytest.mark.parametrize(
    ("pasted", "same"),
    [
        (f"git clone git@hf.co:{QWEN}.git", f"hf.co/{QWEN}"),
        (f"ssh://git@huggingface.co/{QWEN}", f"huggingface.co/{QWEN}"),
        (f"hf download {QWEN} {FILE} --local-dir models/x", f"{HF}/{FILE}"),
        (f'huggingface-cli download {QWEN} --include "*Q8_0*" --local-dir ./', f"{HF}:Q8_0"),
        (f'huggingface-cli download {QWEN} --include "{FILE[:-5]}/*"', f"{HF}:{FILE[:-5]}"),
        (f"llama-cli --hf-repo {QWEN} --hf-file {FILE} -p 'either/or'", f"{QWEN}/{FILE}"),
        (f"vllm serve {QWEN}:Q4_K_M --tokenizer Qwen/Qwen3-4B", f"{QWEN}:Q4_K_M"),
        (f"modelscope download --model={QWEN} {FILE} --local_dir a/b", f"{MS}/{FILE}"),
        (f"wget https://hf.co/{QWEN}/resolve/main/{FILE} -O models/q.gguf", f"hf.co/{QWEN}/resolve/main/{FILE}"),
        (f'Llama.from_pretrained(repo_id="{QWEN}", filename="{FILE}")', f"{QWEN}/{FILE}"),
        (f'llm = Llama.from_pretrained("{QWEN}", filename="{FILE}")', f"{QWEN}/{FILE}"),
        (f'Llama.from_pretrained("{QWEN}", filename="*Q4_K_M.gguf")', f"{QWEN}:Q4_K_M"),
        (f"hf download {QWEN} --include '*.Q4_K_M.gguf'", f"hf://{QWEN}:Q4_K_M"),
        (f"https://huggingface.co/{QWEN}，下载后使用", f"https://huggingface.co/{QWEN}"),
        (f"lmstudio://open_from_hf?model={QWEN}&file={FILE}", f"{HF}/{FILE}"),
        (f"lmstudio://open_from_hf?model={QWEN}", HF),
        (f"https://model.lmstudio.ai/download/{QWEN}", HF),
        (f"jan://models/huggingface/{QWEN}", HF),
        (f"[Qwen 3](https://huggingface.co/{QWEN}), which is", HF),
        (f"（https://huggingface.co/{QWEN}）。", HF),
        (f"https://huggingface.co/{QWEN}.", HF),
        (f"\u200bhttps://huggingface.co/{QWEN}\ufeff", HF),
        (f"https%3A%2F%2Fhuggingface.co%2F{QWEN.replace('/', '%2F')}", HF),
        (f"{QWEN}：Q4_K_M", f"{QWEN}:Q4_K_M"),
        (f"{QWEN} Q4_K_M", f"{QWEN}:Q4_K_M"),
        (f"ollama run hf.co/{QWEN}:latest", f"hf.co/{QWEN}"),
    ],
)
def test_what_was_copied_along_changes_nothing(pasted: str, same: str) -> None:
    assert parse_reference(pasted) == parse_reference(same)


@pytest.mark.parametrize(
    "several", [f"{QWEN} Qwen/Qwen3-8B-GGUF", f"https://hf.co/{QWEN} https://hf.co/a/b", "ollama run qwen3"]
)
def test_of_several_models_or_none_nothing_is_chosen(several: str) -> None:
    with pytest.raises(HubError, match="OWNER/NAME"):
        parse_reference(several)


@pytest.mark.parametrize(
    "written",
    [
        *("", "qwen3", "/home/me/model.gguf", "./a/b", "~/a/b", "a/../b", "https://example.com/a/b", "ftp://hf.co/a/b"),
        *(
            "https://huggingface.co/Qwen",
            "hf://",
            "a//b",
            "a/b/c:d",
            "a/b/../../c",
            "a\0/b",
            "a/b c/d",
            "C:\\models\\a",
        ),
    ],
)
def test_what_names_no_repository_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(HubError, match="OWNER/NAME") as raised:
        parse_reference(written)
    assert raised.value.kind == "name"


@pytest.mark.parametrize("page", ["datasets/Qwen/data", "spaces/a/b", "collections/a/b-1"])
def test_a_page_that_is_no_models_is_said_to_be_none(page: str) -> None:
    with pytest.raises(HubError, match=r"not a model.s page"):
        parse_reference(f"https://huggingface.co/{page}")


@pytest.mark.parametrize(
    ("written", "is_one"),
    [
        (QWEN, True),
        (f"{QWEN}:Q4_K_M", True),
        (f"https://huggingface.co/{QWEN}", True),
        ("https://huggingface.co/Qwen", True),
        ("models/deep/qwen.gguf", False),
        ("/models/qwen.gguf", False),
        ("qwen3-4b", False),
    ],
)
def test_a_repository_is_told_from_a_file_on_this_machine(written: str, is_one: bool) -> None:
    assert is_reference(written) == is_one


def test_the_host_of_a_mirror_that_is_set_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example:8443")
    assert parse_reference(f"https://mirror.example:8443/{QWEN}").hub == "huggingface"


@given(st.text(max_size=80) | st.from_regex(r"(https://hf\.co/|hf://|ms://)?[a./:@%~\\-]{0,20}", fullmatch=True))
def test_whatever_is_written_is_refused_or_safe(written: str) -> None:
    try:
        found = parse_reference(written)
    except HubError as error:
        assert "\n" not in str(error)
        return
    assert is_safe_repo(found.name)
    assert not found.path or is_safe_path(found.path)
