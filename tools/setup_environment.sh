#!/bin/sh
# Make .venv from requirements.txt, with hemokit itself installed from this folder.
# Needs only a Python in range; `make` calls it, and only when something has changed.
set -eu

unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX || true
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1

environment=.venv
unfinished=$environment/unfinished

say() { printf 'hemokit: %s\n' "$*" >&2; }

in_range() { # runs it, because a launcher on the PATH need not have a Python behind it
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        if in_range "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    say "no Python 3.11, 3.12 or 3.13 was found; install one from https://www.python.org/downloads/ or name it: make PYTHON=/path/to/python3.12 course"
    return 2
}

if [ -n "${PYTHON:-}" ]; then
    in_range "$PYTHON" || { say "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13 that runs; name another one, or leave PYTHON out."; exit 2; }
else
    PYTHON=$(find_python)
fi

# An environment whose installation was cut short, or whose Python is gone, is made again from nothing.
if [ -e "$unfinished" ] || { [ -d "$environment" ] && ! "$environment/bin/python" -m pip --version >/dev/null 2>&1; }; then
    rm -rf "$environment"
fi
if [ -f "$environment/ready" ] && [ "$(cat "$environment/ready")" != "$(pwd -P)" ]; then
    say ".venv was made in another folder, $(cat "$environment/ready"), which its programs name; it is made again here"
    rm -rf "$environment"
fi
if [ -d "$environment" ] && ! in_range "$environment/bin/python"; then
    say "the folder .venv holds a Python outside 3.11 to 3.13; remove it with: rm -r .venv"
    exit 2
fi

progress=--quiet # an environment that is there already: most often there is nothing to tell
if [ ! -d "$environment" ]; then
    progress=
    mkdir "$environment" && : >"$unfinished"
    say "making .venv with $("$PYTHON" --version 2>&1); the first time this downloads about 0.7 GB and takes some minutes"
    "$PYTHON" -m venv "$environment" || {
        rm -rf "$environment"
        say "this Python cannot make environments; on Debian or Ubuntu: sudo apt install python3-venv"
        exit 2
    }
fi

[ -z "$progress" ] || say "bringing .venv up to date with requirements.txt"
: >"$unfinished"
"$environment/bin/python" -m pip install $progress --requirement requirements.txt
# The build tool is in the lock, so nothing is fetched here.
"$environment/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
pwd -P >"$environment/ready"
rm "$unfinished"
