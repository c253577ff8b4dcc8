"""The process that outlives a terminal: it keeps a model loaded and answers what other processes of its user ask.

Never imports Textual, listens on no port, and writes to no terminal: what is to be said goes to whoever asked.

Begin with `server.py`, the process's side, and `client.py`, the other. `messages.py` is what they say, `meeting.py`
where they meet.
"""
