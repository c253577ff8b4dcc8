"""Textual, and only here: screens, widgets, Markdown, the terminal, and the sentences of the app (`phrases.py`).

Never decides what a model, a load or a conversation does: that is `tui.session`.

Begin with `screens/main.py`; `app.py` for what is above the screens.
"""
