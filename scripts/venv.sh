#!/bin/sh
# Creates a virtual environment with the newest Python from 3.11 on, or says which package is missing.
# Usage: sh scripts/venv.sh FOLDER    (PYTHON names the interpreter to use instead)
set -eu
folder=$1

# Later starts find a wheel in the cache (scripts/wheel_cache.py), and come after seconds.
if ! ls "${XDG_CACHE_HOME:-$HOME/.cache}"/llmtui/wheels/*/*.whl >/dev/null 2>&1; then
    echo "The first start takes about 4 minutes on two cores, most of them to compile llama.cpp. Then llmtui opens."
fi

usable() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "Installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -q "$@" >/dev/null 2>&1 || { apt-get update -q && apt-get install -y -q "$@"; } >/dev/null
}

python=$(find_python)
if [ -z "$python" ] && [ -z "${PYTHON:-}" ]; then
    install python3 python3-venv && python=$(find_python)
fi
if [ -z "$python" ]; then
    echo "llmtui needs Python 3.11 or newer${PYTHON:+, and $PYTHON is not}. On Debian 12 or 13:" >&2
    echo "    apt-get install python3 python3-venv" >&2
    exit 1
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null && ! install python3-venv; then
    echo "$python has no venv module. On Debian: apt-get install python3-venv" >&2
    exit 1
fi
"$python" -m venv "$folder"
echo "Created $folder with $("$python" --version)"
