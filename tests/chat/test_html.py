"""A conversation as one HTML file: what a browser would load, run and show of it."""

from __future__ import annotations

from html.parser import HTMLParser

from tui.chat.conversation import answer_turn, finished, new_conversation, user_turn, with_turn
from tui.chat.copies import plain
from tui.chat.html import to_html

ANSWER = """Here **is**:

```python
def f(x): return "<b>"
```

| a | b |
|---|---|
| 1 | 2 |

![a picture](https://evil.example/track.png) [link](https://x.example/) [js](javascript:alert(1))
<script>alert(1)</script> <img src=x onerror=alert(1)>
"""


class Seen(HTMLParser):
    """Tags with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def page() -> Seen:
    conversation = new_conversation(title="<Title> & more", system_prompt="Be <kind>.")
    answer = finished(answer_turn("Qwen3"), text=ANSWER, reasoning="Hm `x`", stop="stop")
    for turn in (user_turn("Why <so>?\n\x1b[2J 灯塔"), answer):
        conversation = with_turn(conversation, turn)
    return Seen(to_html(conversation, stats=True))


def test_nothing_in_it_is_loaded_or_run() -> None:
    tags = page().tags
    assert {"script", "img", "link", "iframe"}.isdisjoint(tag for tag, _ in tags)
    assert not any(name.startswith("on") or name == "src" for _, attributes in tags for name in attributes)
    assert [attributes["href"] for tag, attributes in tags if tag == "a"] == ["https://x.example/"]
    assert any("default-src 'none'" in (attributes.get("content") or "") for _, attributes in tags)


def test_all_is_there_code_in_colours_and_thinking_folded() -> None:
    seen = page()
    for text in ("<Title> & more", "Be <kind>.", "Why <so>?", "灯塔", "Qwen3", "Hm x", "[a picture]", "<script>"):
        assert text in seen.text
    assert "\x1b" not in seen.text
    classes = {attributes.get("class") for tag, attributes in seen.tags if tag == "span"}
    assert {"k", "nf"} <= classes
    assert {"details", "table", "pre"} <= {tag for tag, _ in seen.tags}


def test_what_is_nested_deeply_is_there() -> None:
    nested = "\n".join(f"{'  ' * depth}- level {depth}" for depth in range(30))
    conversation = with_turn(new_conversation(), finished(answer_turn("Qwen3"), text=nested, stop="stop"))
    assert "level 29" in Seen(to_html(conversation)).text
    assert "level 29" in plain(nested)
