"""Model hubs: what Hugging Face and ModelScope have, asked through their own client libraries; a repository's files
sorted into what can be loaded; headers of remote GGUF files read by ranges.

Never fetches weights (`tui.downloads` does), never judges whether something fits (`tui.planning` does), never imports a
hub's library before a hub is asked: they are slow to import.

Begin with `interface.py`, which says what is asked of a hub, and `records.py` for what it answers. `registry.py` has
all hubs as one, `reference.py` what a person writes to name a model, `variants.py` what of a repository can be loaded;
`huggingface.py` and `modelscope.py` are the two hubs.
"""
