"""How long tests wait for what must come.

Only a test that fails waits so long. Machines that do other things as well have been seen to take a minute for what
takes a second on a quiet one: where shaders are compiled for a processor, most of all.
"""

from __future__ import annotations

import os

PATIENCE_S = float(os.environ.get("PATIENCE_S", "200"))
